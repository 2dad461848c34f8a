#!/bin/sh
# SPDX-License-Identifier: MIT
# Takes the table of record of Vulkan, from a folder made by pack-vulkan.sh: programs that compute and draw, and
# `virtio-gpu-bench vulkan`, natively, through virtio-gpu-run and through virgl_test_server. Each has a time limit,
# and all of it ends within 8 minutes, whatever hangs. Writes into RESULTDIR: programs.txt (what each program
# said), failures.txt (the ends of what failed), vulkan.txt and vulkan.json (the table).
#
# Usage: ./record-vulkan.sh RESULTDIR [ROUNDS] [SECONDS-PER-CELL]
# VULKAN_DRIVER names the JSON file of the driver to measure; by default the first one that finds a GPU.
# VULKAN_LAYER= (empty): without the memory layer, but for what virtio-gpud does by itself. As root, or where /dev/nvidia* may be opened.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { echo "usage: $0 RESULTDIR [ROUNDS] [SECONDS-PER-CELL]" >&2; exit 2; }
mkdir -p "$1"
results=$(cd "$1" && pwd)
rounds=${2:-9}
seconds=${3:-0.4}
cd "$here"
. ./record-common.sh

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
end=$(($(date +%s) + 440))
layer=${VULKAN_LAYER-$PWD/share/virtio-gpud/vulkan}
server=$PWD/bin/virgl_render_server
client=$PWD/drivers/virtio.json
failed=0
: > "$results/programs.txt"
: > "$results/failures.txt"
export PATH="$PWD/bin:$PATH"

left()
{
	echo $((end - $(date +%s)))
}

# step NAME SECONDS COMMAND...: runs it, keeps what it says, and never stops the script.
step()
{
	name=$1
	limit=$2
	shift 2
	[ "$(left)" -gt "$limit" ] || limit=$(left)
	if [ "$limit" -lt 1 ]; then
		echo "$name: left out, no time is left" | tee -a "$results/failures.txt"
		return 1
	fi
	status=0
	before=$(date +%s)
	timeout -k 5 "$limit" "$@" > "$work/out" 2>&1 || status=$?
	{
		echo "=== $name: $*"
		cat "$work/out"
		echo "--- status $status, $(($(date +%s) - before)) s"
	} >> "$results/programs.txt"
	if [ "$status" = 0 ]; then
		echo "$name: ok, $(($(date +%s) - before)) s"
		grep -E '^(device|driver|draw|memory|copy|image):|deviceName|driverInfo' "$work/out" | head -n 8 |
			sed 's/^[[:blank:]]*/    /' || true
		return 0
	fi
	failed=$((failed + 1))
	{
		echo "$name: FAILED, status $status$([ "$status" != 124 ] || echo " (after $limit s)"): $*"
		tail -n 25 "$work/out"
	} | tee -a "$results/failures.txt"
	return 1
}

# Words that load the layer, for `env'.
layer_words=
[ -z "$layer" ] ||
	layer_words="VK_ADD_LAYER_PATH=$layer VK_INSTANCE_LAYERS=VK_LAYER_VIRTIO_GPUD_exportable_memory"

# Not by vulkaninfo: it ends with SIGSEGV on NVIDIA's headless driver, in what it asks about windows.
finds_gpu()
{
	timeout 60 env VK_DRIVER_FILES="$1" VK_ICD_FILENAMES="$1" vk_compute > "$work/summary" 2>&1
}

# A file of our own for a driver that brings none: by its libraries.
write_drivers()
{
	for library in $(find /usr/local/nvidia /usr/lib /usr/lib64 /lib /opt \( -name libGLX_nvidia.so.0 -o \
		-name libEGL_nvidia.so.0 \) 2>/dev/null | sort -u); do
		file="$work/$(echo "$library" | tr / _).json"
		echo "{\"file_format_version\": \"1.0.1\", \"ICD\": {\"library_path\": \"$library\"," \
			"\"api_version\": \"1.4.0\"}}" > "$file"
		echo "$file"
	done
}

find_driver()
{
	for file in ${VULKAN_DRIVER:-$(find /usr/local/nvidia /usr/share/vulkan/icd.d /etc/vulkan/icd.d \
		/usr/local/share/vulkan/icd.d -name 'nvidia*icd*.json' 2>/dev/null) $(write_drivers)}; do
		if finds_gpu "$file"; then
			echo "$file"
			return 0
		fi
		{
			echo "no GPU by $file:"
			tail -n 12 "$work/summary"
		} >> "$results/failures.txt"
	done
	return 1
}

# The driver's own libraries, if nobody told ld.so about them.
for folder in /usr/local/nvidia/lib64 /usr/local/nvidia/lib; do
	[ ! -d "$folder" ] || export LD_LIBRARY_PATH="$LD_LIBRARY_PATH:$folder"
done
vendor=/usr/local/nvidia/share/glvnd/egl_vendor.d/10_nvidia.json
[ ! -e "$vendor" ] || export __EGL_VENDOR_LIBRARY_FILENAMES="$vendor"

cat versions.txt
uname -a
cat /proc/driver/nvidia/version 2>/dev/null || nvidia-smi -L 2>/dev/null || echo "no NVIDIA driver"
if ! driver=$(find_driver); then
	echo "no Vulkan driver finds a GPU here:"
	cat "$results/failures.txt"
	exit 1
fi
echo "driver: $driver ($(tr -d '\n' < "$driver"))"

run="virtio-gpu-run --vulkan --client-driver=$client --render-server=$server --vulkan-driver=$driver"

native="env VK_DRIVER_FILES=$driver VK_ICD_FILENAMES=$driver"

# shellcheck disable=SC2086 # here and below: words
run_programs()
{
	step "native: vk_compute" 60 $native vk_compute || true
	step "native: vk_draw" 60 $native vk_draw --frames=200 --output="$work/native.ppm" || true
	if [ -n "$layer" ]; then
		step "layer: vk_compute" 60 $native $layer_words vk_compute || true
	fi
	step "daemon: list of GPUs" 30 $native virtio-gpud --list-gpus || true
	step "virtio-gpu-run: vulkaninfo" 45 $run -- vulkaninfo --summary || true
	step "virtio-gpu-run: vk_compute" 45 $run -- vk_compute ||
		step "the same with all that loader, drivers and server say" 45 env \
			VN_DEBUG=init,result VK_LOADER_DEBUG=error,warn,layer $run --log-level=debug -- \
			vk_compute || true
	step "virtio-gpu-run: vk_draw" 45 $run -- vk_draw --frames=200 \
		--output="$work/run.ppm" || true
	step "the two pictures are the same" 10 cmp "$work/native.ppm" "$work/run.ppm" || true
}

# shellcheck disable=SC2086
run_vtest()
{
	$native $layer_words RENDER_SERVER_EXEC_PATH="$server" virgl_test_server --venus --no-virgl \
		--socket-path="$work/vtest.sock" > "$work/vtest.log" 2>&1 &
	vtest=$!
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ ! -S "$work/vtest.sock" ] || break
		sleep 0.3
	done
	through="env VK_DRIVER_FILES=$client VK_ICD_FILENAMES=$client VN_DEBUG=vtest VTEST_SOCKET_NAME=$work/vtest.sock"
	step "virgl_test_server: vulkaninfo" 45 $through vulkaninfo --summary || true
	step "virgl_test_server: vk_compute" 45 $through vk_compute || tail -n 12 "$work/vtest.log"
	kill "$vtest" 2>/dev/null || true
	wait "$vtest" 2>/dev/null || true
	{
		echo "=== virgl_test_server said"
		cat "$work/vtest.log"
	} >> "$results/programs.txt"
}

# measure ROUNDS SECONDS BACKEND...: the table, as far as it goes
measure()
{
	count=$1
	cell=$2
	shift 2
	for backend; do
		set -- "$@" --backend "$backend"
		shift
	done
	[ -z "$layer" ] || set -- "$@" --layer "$layer"
	[ -z "$cpus" ] || set -- "$@" --cpus "$cpus"
	timeout -k 5 "$(left)" virtio-gpu-bench vulkan --rounds "$count" --seconds-per-cell "$cell" --bars \
		--json "$results/vulkan.json" --note "$note" --driver "$driver" --client-driver "$client" \
		--render-server "$server" --daemon "$daemon" "$@" > "$results/vulkan.txt" 2> "$work/bench.log" || bench_status=$?
	cat "$work/bench.log" >> "$results/programs.txt"
}

run_programs
run_vtest
cpus=$(pick_cpus || true)
note=$(make_note)
ours="virtio-gpu-run=$run --listen=%s"
reference="virgl_test_server --venus --no-virgl --socket-path=%s"
daemon="virtio-gpud --venus --render-server=$server --vulkan-driver=$driver --socket-path=%s"

# One round tells whether it works, and how long it takes.
bench_status=0
before=$(date +%s)
measure 1 "$seconds" "$ours" "reference=$reference"
took=$(($(date +%s) - before + 1))
set -- "$ours" "reference=$reference"
if [ "$bench_status" != 0 ]; then
	echo "bench: FAILED, status $bench_status" | tee -a "$results/failures.txt"
	tee -a "$results/failures.txt" < "$work/bench.log"
	cp "$results/vulkan.txt" "$results/vulkan-failed.txt"
	failed=$((failed + 1))
	# What is left to compare.
	if grep -q '^reference FAILED' "$results/vulkan.txt"; then
		set -- "$ours"
	else
		set -- "virgl_test_server=env $layer_words RENDER_SERVER_EXEC_PATH=$server $reference"
		daemon=
	fi
fi
fit=$((($(left) - 20) / took))
[ "$fit" -gt "$rounds" ] || rounds=$fit
if [ "$rounds" -ge 2 ] || [ "$bench_status" != 0 ]; then
	bench_status=0
	measure "$((rounds > 1 ? rounds : 1))" "$seconds" "$@"
	[ "$bench_status" = 0 ] || tail -n 20 "$work/bench.log" | tee -a "$results/failures.txt"
fi
cat "$results/vulkan.txt"
echo "$failed steps failed; $((440 - $(left))) s"
[ "$failed" = 0 ] && [ "$bench_status" = 0 ]
