#!/bin/sh
# SPDX-License-Identifier: MIT
# Collects into one folder what a measurement needs on a machine without packages: the built programs,
# QEMU's reference back end if it is installed, virglrenderer likewise, and every shared library of theirs but
# glibc's (the other machine's glibc must be at least as new as this one's). No GL driver: the other
# machine's own is measured.
#
# Usage: tools/bench/pack.sh OUTDIR [BUILDDIR]     then, there: OUTDIR/record.sh or record-gl.sh RESULTDIR
set -eu

here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { echo "usage: $0 OUTDIR [BUILDDIR]" >&2; exit 2; }
out=$1
build=${2:-$here/../../build}
reference=/usr/lib/qemu/vhost-user-gpu

mkdir -p "$out/bin" "$out/lib"
for program in virtio-gpu-bench virtio-gpud virtio-gpu-ctl; do
	if [ -x "$build/$program" ]; then
		cp "$build/$program" "$out/bin/"
	else
		echo "pack.sh: no $program in $build" >&2
	fi
done
if [ -x "$reference" ]; then
	cp "$reference" "$out/bin/"
else
	echo "pack.sh: no $reference (package qemu-system-gui)" >&2
fi

# The programs open it when they need it.
virglrenderer=$(ldconfig -p | sed -n 's/.*libvirglrenderer\.so\.1 .*=> //p' | head -n 1)
if [ -n "$virglrenderer" ]; then
	cp -L "$virglrenderer" "$out/lib/"
else
	echo "pack.sh: no libvirglrenderer.so.1 (package libvirglrenderer1): OpenGL cannot be measured" >&2
fi

# "name => path (address)" of each program's libraries
for program in "$out"/bin/* $virglrenderer; do
	ldd "$program" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }'
done | sort -u | while read -r library; do
	case $(basename "$library") in
	ld-linux* | libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libresolv.so.*)
		;;
	*)
		cp -L "$library" "$out/lib/"
		;;
	esac
done

{
	echo "packed on $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)"
	revision=$(git -C "$here" describe --always --dirty 2>/dev/null) && echo "virtio-gpud $revision"
	dpkg-query -W qemu-system-gui libpixman-1-0 libuv1 libvirglrenderer1 libepoxy0 2>/dev/null | tr '\t' ' '
} > "$out/versions.txt" || true
cp "$here/record.sh" "$here/record-gl.sh" "$here/record-common.sh" "$out/"
echo "packed: $(ls "$out/bin" | tr '\n' ' ')and $(ls "$out/lib" | wc -l) libraries, $(du -sh "$out" | cut -f1)"
