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
. ./record-common.sh

cpus=$(pick_cpus || true)
note=$(make_note)
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
