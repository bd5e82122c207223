#!/bin/sh
# Puts the library of ONNX Runtime where Bungee looks for it: into the user's cache
# folder. It comes from the npm package onnxruntime-node and is checked against a
# pinned digest. It does nothing when the library is there.
set -eu

version=1.30.0
dir=${XDG_CACHE_HOME:-$HOME/.cache}/bungee/onnxruntime
file=$dir/libonnxruntime.so.1

case $(uname -sm) in
"Linux x86_64") arch=x64 sum=ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23 ;;
"Linux aarch64") arch=arm64 sum=1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76 ;;
*)
	echo "onnxruntime: there is no package for $(uname -sm) here; install ONNX Runtime 1.24 or later and name its library in BUNGEE_ONNXRUNTIME" >&2
	exit 1
	;;
esac

if echo "$sum  $file" | sha256sum --check --status 2>/dev/null; then
	exit 0
fi
if ! command -v npm >/dev/null; then
	echo "onnxruntime: this needs npm; or install ONNX Runtime 1.24 or later and name its library in BUNGEE_ONNXRUNTIME" >&2
	exit 1
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
(cd "$tmp" && npm pack "onnxruntime-node@$version" --ignore-scripts --silent >/dev/null)
tar -xzf "$tmp/onnxruntime-node-$version.tgz" -C "$tmp" "package/bin/napi-v6/linux/$arch/libonnxruntime.so.1"
got=$tmp/package/bin/napi-v6/linux/$arch/libonnxruntime.so.1
if ! echo "$sum  $got" | sha256sum --check --status; then
	echo "onnxruntime: the library of onnxruntime-node@$version has not the digest pinned here" >&2
	exit 1
fi
mkdir -p "$dir"
# The file appears whole or not at all, also beside a process that uses the old one.
cp "$got" "$file.$$"
mv "$file.$$" "$file"
