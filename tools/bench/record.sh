#!/bin/sh
# SPDX-License-Identifier: MIT
# Takes the table of record, from a folder made by pack.sh: this daemon, the same with --poll-us, and
# QEMU's reference, all in one run. Takes about five and a half minutes. Writes RESULTDIR/transport.txt and
# transport.json.
#
# Usage: ./record.sh RESULTDIR [ROUNDS] [SECONDS-PER-CELL]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { echo "usage: $0 RESULTDIR [ROUNDS] [SECONDS-PER-CELL]" >&2; exit 2; }
mkdir -p "$1"
results=$(cd "$1" && pwd)
rounds=${2:-9}
seconds=${3:-0.4}
cd "$here"

# Three processors of different cores of one socket; not the first, which takes most interrupts. With fewer
# than four cores nothing is pinned.
pick_cpus()
{
	allowed=" $(taskset -pc $$ | sed 's/.*: //' | tr ',' '\n' |
		awk -F- '{ for (i = $1; i <= ($2 == "" ? $1 : $2); i++) printf "%d ", i }')"
	cores=
	picked=
	count=0
	for cpu in $allowed; do
		topology=/sys/devices/system/cpu/cpu$cpu/topology
		package=$(cat "$topology/physical_package_id" 2>/dev/null || echo 0)
		core=$package:$(cat "$topology/core_id" 2>/dev/null || echo "$cpu")
		case " $cores " in
		*" $core "*)
			continue
			;;
		esac
		if [ -z "$cores" ]; then
			cores=$core
			first=$package
			continue
		fi
		[ "$package" = "$first" ] || continue
		cores="$cores $core"
		picked="$picked${picked:+,}$cpu"
		count=$((count + 1))
		[ "$count" -lt 3 ] || break
	done
	[ "$count" -eq 3 ] && echo "$picked"
}

cpus=$(pick_cpus || true)
governor=$(cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor 2>/dev/null || echo unknown)
glibc=$(ldd --version 2>/dev/null | sed -n 1p | sed 's/.* //')
note="$(tr '\n' ';' < versions.txt) frequency governor $governor; glibc here $glibc"

export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
set -- --rounds "$rounds" --seconds-per-cell "$seconds" --poll --bars \
	--json "$results/transport.json" --note "$note"
[ -n "$cpus" ] && set -- "$@" --cpus "$cpus"
if [ -x bin/virtio-gpud ]; then
	set -- "$@" --backend "virtio-gpud=bin/virtio-gpud --socket-path=%s"
fi
if [ -x bin/vhost-user-gpu ]; then
	set -- "$@" --backend "reference=bin/vhost-user-gpu --socket-path=%s"
fi
if [ -x bin/virtio-gpud ]; then
	set -- "$@" --backend "virtio-gpud-poll=bin/virtio-gpud --poll-us 100 --socket-path=%s"
fi
bin/virtio-gpu-bench transport "$@" > "$results/transport.txt" || status=$?
cat "$results/transport.txt"
exit "${status:-0}"
