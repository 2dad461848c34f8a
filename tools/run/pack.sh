#!/bin/sh
# SPDX-License-Identifier: MIT
# Collects into one folder what measuring GL programs needs on a machine that has a GPU and its driver, but no
# packages: the built programs, virgl_test_server, Debian's GL programs, Mesa as the client's GL, an X server,
# and every shared library of theirs but glibc's (that of the other machine must be at least as new).
#
# Usage: tools/run/pack.sh OUTDIR [BUILDDIR]     then, there: OUTDIR/record.py --help
# Needs the packages of `tools/setup.sh --list build gl gltest`.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { echo "usage: $0 OUTDIR [BUILDDIR]" >&2; exit 2; }
out=$1
build=${2:-$here/../../build}
libraries=/usr/lib/$(uname -m)-linux-gnu

mkdir -p "$out/bin" "$out/lib" "$out/dri" "$out/share"
cp "$build/virtio-gpud" "$build/virtio-gpu-run" "$build/tests/run/gl_program" "$out/bin/"
for program in virgl_test_server glmark2 glxgears es2_info Xvfb xkbcomp; do
	cp -L "$(command -v "$program")" "$out/bin/$program"
done
cp -L "$libraries/dri/swrast_dri.so" "$out/dri/"

# What programs open when they need it.
for library in libvirglrenderer.so.1 libEGL.so.1 libGL.so.1 libGLX.so.0 libGLESv2.so.2 libOpenGL.so.0 \
	libEGL_mesa.so.0 libGLX_mesa.so.0; do
	cp -L "$libraries/$library" "$out/lib/"
done

# "name => path (address)" of each one's libraries
for file in "$out"/bin/* "$out"/lib/* "$out"/dri/*; do
	ldd "$file" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }'
done | sort -u | while read -r library; do
	case $(basename "$library") in
	ld-linux* | libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libresolv.so.*)
		;;
	*)
		[ -e "$out/lib/$(basename "$library")" ] || cp -L "$library" "$out/lib/"
		;;
	esac
done

cp -r /usr/share/glmark2 /usr/share/X11/xkb "$out/share/"
cp /usr/share/glvnd/egl_vendor.d/50_mesa.json "$out/share/"
cp "$here/record.py" "$out/"
{
	echo "packed on $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)"
	revision=$(git -C "$here" describe --always --dirty 2>/dev/null) && echo "virtio-gpud $revision"
	dpkg-query -W libgl1-mesa-dri libvirglrenderer1 virgl-server glmark2-x11 2>/dev/null | tr '\t' ' '
} > "$out/versions.txt" || true
echo "packed: $(ls "$out/bin" | tr '\n' ' ')and $(ls "$out/lib" | wc -l) libraries, $(du -sh "$out" | cut -f1)"
