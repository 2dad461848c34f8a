#!/bin/sh
# SPDX-License-Identifier: MIT
# Collects into one folder what measuring Vulkan needs on a machine that has a GPU and its driver, but no packages:
# the built programs and the memory layer, virglrenderer 1.3 with its servers, Mesa's virtio driver, the Vulkan
# loader, and every shared library of theirs but glibc's (2.38 or newer is taken from there). No Vulkan driver: the
# other machine's own is measured.
#
# Usage: tools/bench/pack-vulkan.sh OUTDIR VULKANROOT [BUILDDIR]     then, there: OUTDIR/record-vulkan.sh RESULTDIR
# VULKANROOT is the folder that `tests/vm/run --prepare` names.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { echo "usage: $0 OUTDIR VULKANROOT [BUILDDIR]" >&2; exit 2; }
out=$1
root=$(cd "$2" && pwd)
build=${3:-$here/../../build}
libraries=$root/usr/lib/$(uname -m)-linux-gnu
loader=$(echo "$root"/lib*/ld-linux-*.so.*)

mkdir -p "$out/bin" "$out/lib" "$out/drivers" "$out/share/virtio-gpud/vulkan"
for program in virtio-gpud virtio-gpu-run virtio-gpu-bench tests/run/vk_compute tests/run/vk_draw; do
	cp "$build/$program" "$out/bin/"
done
for program in usr/bin/virgl_test_server usr/libexec/virgl_render_server usr/bin/vulkaninfo; do
	cp "$root/$program" "$out/bin/"
done
cp "$build/src/vulkan_layer/libVkLayer_virtio_gpud_memory.so" \
	"$build/src/vulkan_layer/virtio_gpud_memory.json" "$out/share/virtio-gpud/vulkan/"

# What programs open when they need it: Vulkan, the daemon's list of GPUs (EGL and GL of glvnd), vendors' drivers.
for library in libvulkan.so.1 libvulkan_virtio.so libvirglrenderer.so.1 libEGL.so.1 libOpenGL.so.0 \
	libGL.so.1 libXext.so.6; do
	if [ -e "$libraries/$library" ]; then
		cp -L "$libraries/$library" "$out/lib/"
	else
		echo "pack-vulkan.sh: no $library in $root" >&2
	fi
done

# "name => path (address)" of each one's libraries, as the root has them
for file in "$out"/bin/* "$out"/lib/* "$out"/share/virtio-gpud/vulkan/*.so; do
	"$loader" --library-path "$libraries" --list "$file" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }'
done | sort -u | while read -r library; do
	case $(basename "$library") in
	ld-linux* | libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libresolv.so.*)
		;;
	*)
		[ -e "$out/lib/$(basename "$library")" ] || cp -L "$library" "$out/lib/"
		;;
	esac
done

# Relative to the file: wherever the folder lies.
cat > "$out/drivers/virtio.json" <<END
{"file_format_version": "1.0.1",
 "ICD": {"library_path": "../lib/libvulkan_virtio.so", "library_arch": "64", "api_version": "1.4.0"}}
END

needs=$(for file in "$out"/bin/* "$out"/lib/* "$out"/share/virtio-gpud/vulkan/*.so; do
	grep -ao 'GLIBC_2\.[0-9]*' "$file"
done | sort -uV | tail -n 1)
{
	echo "packed on $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release), needs $needs"
	revision=$(git -C "$here" describe --always --dirty 2>/dev/null) && echo "virtio-gpud $revision"
	for library in libvirglrenderer.so.1 libvulkan.so.1; do
		basename "$(readlink -f "$libraries/$library")"
	done
} > "$out/versions.txt" || true
cp "$here/record-vulkan.sh" "$here/record-common.sh" "$out/"
# shellcheck disable=SC2012 # names of programs
echo "packed: $(ls "$out/bin" | tr '\n' ' ')and $(ls "$out/lib" | wc -l) libraries, $(du -sh "$out" | cut -f1); needs $needs"
