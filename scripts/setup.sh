#!/bin/sh
# Installs what Bungee needs on Debian 12 or Ubuntu 24.04, and nothing that is
# there already. "setup.sh demo" is for building and running; "setup.sh test" adds
# the browser of the page's test.
set -eu

missing=""
need() { # need PACKAGE COMMAND...: PACKAGE is missing unless COMMAND succeeds
	package=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $package"
}

need g++ command -v g++
need make command -v make
need pkg-config command -v pkg-config
need libopencv-dev pkg-config --exists opencv4
need ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
if [ "${1:-demo}" = test ]; then
	need chromium sh -c 'command -v chromium || command -v chromium-browser || command -v google-chrome'
fi
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null || ! { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
		echo "setup: these packages are missing and this user cannot install them; ask somebody who can:" >&2
		echo "    apt-get install --no-install-recommends$missing" >&2
		exit 1
	fi
	as_root=sudo
fi
if ! command -v apt-get >/dev/null; then
	echo "setup: there is no apt-get here; install what these Debian packages hold:$missing" >&2
	exit 1
fi
$as_root apt-get update -q
# Ubuntu's chromium is a snap. The page's test then says why it skips.
if [ "$missing" != "${missing% chromium}" ] && ! apt-cache show chromium >/dev/null 2>&1; then
	echo "setup: this system has no package chromium; the test of the page in a browser will be skipped" >&2
	missing=${missing% chromium}
	[ -n "$missing" ] || exit 0
fi
echo "installing:$missing" >&2
# shellcheck disable=SC2086 # missing is a list
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
