# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# Sourced by record.sh and record-gl.sh, in the folder made by pack.sh: which processors, what goes into
# the header, and where the libraries are.

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

make_note()
{
	governor=$(cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor 2>/dev/null || echo unknown)
	glibc=$(ldd --version 2>/dev/null | sed -n 1p | sed 's/.* //')
	echo "$(tr '\n' ';' < versions.txt) frequency governor $governor; glibc here $glibc"
}

export LD_LIBRARY_PATH="$PWD/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
