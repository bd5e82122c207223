#!/bin/sh
# Installs what Bungee needs on Debian 12 or Ubuntu 24.04, and nothing that is
# there already. "setup.sh demo" is for building and running; "setup.sh test" adds
# the browser of the page's test, what makes videos, the compiler of the C guest in docs/abi.md, what makes
# networks, and what starts the service and the image.
set -eu

missing=""
optional="nftables iproute2 systemd runc mandoc chromium ffmpeg clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32" # of tests, which skip without
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
	need ffmpeg command -v ffmpeg
	need nftables sh -c 'command -v nft || test -x /usr/sbin/nft'
	need iproute2 sh -c 'command -v ip || test -x /usr/sbin/ip'
	need systemd command -v systemd-analyze
	need runc command -v runc
	need mandoc command -v mandoc
	for package in clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32; do
		need "$package" dpkg -s "$package"
	done
	"${0%/*}/onnxruntime.sh" || echo "setup: the tests of ONNX Runtime will say so and skip" >&2
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
# Some systems lack some of what only tests want: Ubuntu's chromium is a snap.
for package in $optional; do
	case " $missing " in *" $package "*) ;; *) continue ;; esac
	apt-cache show "$package" >/dev/null 2>&1 && continue
	echo "setup: this system has no package $package; the tests that need it will say so and skip" >&2
	kept=""
	for other in $missing; do
		[ "$other" = "$package" ] || kept="$kept $other"
	done
	missing=$kept
done
[ -n "$missing" ] || exit 0
echo "installing:$missing" >&2
# shellcheck disable=SC2086 # missing is a list
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
