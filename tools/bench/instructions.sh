#!/bin/sh
# SPDX-License-Identifier: MIT
# Counts the user-space instructions of one operation of a back end under valgrind's callgrind: for machines
# without a counter, and exact to a few instructions wherever it runs. Each row is run with N and with 3 N
# operations; the difference divided by 2 N leaves start and end out.
#
# Usage: tools/bench/instructions.sh BENCH 'COMMAND with %s' [ROW...]
# With KEEP=FOLDER the last callgrind output of each row stays there, for callgrind_annotate.
set -eu

[ $# -ge 2 ] || { echo "usage: $0 BENCH 'COMMAND with %s' [ROW...]" >&2; exit 2; }
bench=$1
command=$2
shift 2
if [ $# -eq 0 ]; then
	set -- 'empty, 1 in flight' 'empty, 64 in flight' 'create 64x64' 'update 64x64 of 1080p' \
		'update 1080p' 'transfer 1080p' 'cursor move, 1 in flight'
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# instructions ROW OPERATIONS: of the whole life of the subject's process
instructions()
{
	rm -f "$scratch"/callgrind.*
	"$bench" transport --rounds 1 --operations "$2" --only "$1" --backend \
		"subject=valgrind -q --tool=callgrind --callgrind-out-file=$scratch/callgrind.%p $command" \
		> "$scratch/table" 2>&1 || { cat "$scratch/table" >&2; exit 1; }
	# two processes, the subject and its A/A control: the mean
	sed -n 's/^summary: //p' "$scratch"/callgrind.* |
		awk '{ sum += $1; count++ } END { printf "%.0f\n", sum / count }'
}

printf '%-28s %14s\n' 'row' 'instructions/op'
for row in "$@"; do
	operations=2000
	case $row in
	*' 1080p' | *' 2160p')
		operations=10
		;;
	esac
	few=$(instructions "$row" "$operations")
	many=$(instructions "$row" $((operations * 3)))
	printf '%-28s %14s\n' "$row" "$(((many - few) / (2 * operations)))"
	if [ -n "${KEEP:-}" ]; then
		mkdir -p "$KEEP"
		name=$(echo "$row" | tr -c 'a-z0-9\n' '-')
		cp "$(ls "$scratch"/callgrind.* | head -n 1)" "$KEEP/$name.callgrind"
	fi
done
