#!/bin/sh
# SPDX-License-Identifier: MIT
# Counts the user-space instructions of one operation of a back end under valgrind's callgrind: for machines
# without a counter, and exact to a few instructions wherever it runs. Each row is run with N and with 3 N
# operations; the difference divided by 2 N leaves start and end out. With --gl the rows are those of OpenGL,
# and the direct calls are counted beside them: both figures contain virglrenderer and the GL driver.
#
# Usage: tools/bench/instructions.sh [--gl] BENCH 'COMMAND with %s' [ROW...]
# With KEEP=FOLDER the last callgrind output of each row stays there, for callgrind_annotate.
set -eu

usage="usage: $0 [--gl] BENCH 'COMMAND with %s' [ROW...]"
what=transport
if [ "${1:-}" = --gl ]; then
	what=gl
	shift
fi
[ $# -ge 2 ] || { echo "$usage" >&2; exit 2; }
bench=$1
command=$2
shift 2
if [ $# -eq 0 ] && [ $what = gl ]; then
	set -- 'empty, 1 in flight' 'empty, 64 in flight' 'upload 64 KiB texture' 'upload 4 MiB texture' \
		'upload 4 MiB buffer' 'download 4 MiB texture' 'download 4 MiB buffer' 'draw, 1 in flight'
elif [ $# -eq 0 ]; then
	set -- 'empty, 1 in flight' 'empty, 64 in flight' 'create 64x64' 'update 64x64 of 1080p' \
		'update 1080p' 'transfer 1080p' 'cursor move, 1 in flight'
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
callgrind="valgrind -q --tool=callgrind --callgrind-out-file=$scratch/callgrind.%p"

# run PREFIX ROW OPERATIONS COMMAND: one run of the bench itself, in the background's place
run()
{
	rm -f "$scratch"/callgrind.*
	$1 "$bench" $what --rounds 1 --operations "$3" --only "$2" --backend "subject=$4" \
		> "$scratch/table" 2>&1 &
	driver=$!
	wait $driver || { cat "$scratch/table" >&2; exit 1; }
	rm -f "$scratch/callgrind.$driver" # the driver's own
}

# Of the whole life of the processes that were counted: the mean.
mean()
{
	sed -n 's/^summary: //p' "$scratch"/callgrind.* |
		awk '{ sum += $1; count++ } END { printf "%.0f\n", sum / count }'
}

# Two processes, the subject and its A/A control.
of_subject()
{
	run '' "$1" "$2" "$callgrind $command"
	mean
}

# The process of the direct calls is forked by the bench.
of_direct()
{
	run "$callgrind" "$1" "$2" "$command"
	mean
}

# per_operation COUNTER ROW OPERATIONS
per_operation()
{
	few=$($1 "$2" "$3")
	many=$($1 "$2" $(($3 * 3)))
	echo $(((many - few) / (2 * $3)))
}

operations_of()
{
	case $1 in
	*' 1080p' | *' 2160p' | *MiB* | draw*)
		echo 10
		;;
	*load*)
		echo 100
		;;
	*)
		echo 2000
		;;
	esac
}

keep()
{
	mkdir -p "$KEEP"
	name=$(echo "$1" | tr -c 'a-z0-9\n' '-')
	cp "$(ls "$scratch"/callgrind.* | head -n 1)" "$KEEP/$name$2.callgrind"
}

printf '%-28s %14s' 'row' 'instructions/op'
[ $what = transport ] || printf ' %14s' 'direct calls'
printf '\n'
for row in "$@"; do
	operations=$(operations_of "$row")
	count=$(per_operation of_subject "$row" "$operations")
	printf '%-28s %14s' "$row" "$count"
	[ -z "${KEEP:-}" ] || keep "$row" ''
	if [ $what = gl ]; then
		count=$(per_operation of_direct "$row" "$operations")
		printf ' %14s' "$count"
		[ -z "${KEEP:-}" ] || keep "$row" '-direct'
	fi
	printf '\n'
done
