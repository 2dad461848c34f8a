#!/bin/sh
# SPDX-License-Identifier: MIT
# Takes the table of record of OpenGL, from a folder made by pack.sh: this daemon and the same with --poll-us
# beside direct calls of virglrenderer, all in one run and on the machine's own GL driver: the pack has none.
# Takes about four and a half minutes. Writes RESULTDIR/gl.txt and gl.json. Another build of the daemon, as
# bin/virtio-gpud-other, takes part as the reference.
#
# Usage: ./record-gl.sh RESULTDIR [ROUNDS] [SECONDS-PER-CELL]
# Where libEGL.so.1 (glvnd) is not in the usual places: LD_LIBRARY_PATH, __EGL_VENDOR_LIBRARY_FILENAMES.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { echo "usage: $0 RESULTDIR [ROUNDS] [SECONDS-PER-CELL]" >&2; exit 2; }
mkdir -p "$1"
results=$(cd "$1" && pwd)
rounds=${2:-9}
seconds=${3:-0.2}
cd "$here"
. ./record-common.sh

cpus=$(pick_cpus || true)
note=$(make_note)
set -- --rounds "$rounds" --seconds-per-cell "$seconds" --poll --bars \
	--json "$results/gl.json" --note "$note" \
	--backend "virtio-gpud=bin/virtio-gpud --virgl --socket-path=%s" \
	--backend "virtio-gpud-poll=bin/virtio-gpud --virgl --poll-us 100 --socket-path=%s"
if [ -x bin/virtio-gpud-other ]; then
	set -- "$@" --backend "reference=bin/virtio-gpud-other --virgl --socket-path=%s"
fi
[ -n "$cpus" ] && set -- "$@" --cpus "$cpus"
bin/virtio-gpu-bench gl "$@" > "$results/gl.txt" || status=$?
cat "$results/gl.txt"
exit "${status:-0}"
