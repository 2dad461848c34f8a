#!/bin/sh
# SPDX-License-Identifier: MIT
# Which Debian packages a part of this project needs, and how they get onto the machine.
#
#	tools/setup.sh --list GROUP...         the names, one a line
#	tools/setup.sh --missing GROUP...      those that are not installed
#	tools/setup.sh --apt-line GROUP...     the command that installs them all
#	tools/setup.sh [-y] GROUP...           install what is missing (as root or with sudo)
#	tools/setup.sh --no-install GROUP...   print the command and stop, status 3 if it is needed
#
# Groups: build (the programs), gl (OpenGL in them), vulkan (the Vulkan layer), check (what ./check needs
# beyond that), gltest (GL programs and piglit, 40 MB to fetch and 2 GB on the disk), vm (guests: ./demo and
# tests/vm), arm64 (the cross build and its tests), libvirt (its test). APT's sources are never changed;
# package names are those of Debian 12 and 13.
set -eu

packages() {
	case $1 in
	build)
		echo gcc libc6-dev meson ninja-build pkgconf libuv1-dev libpixman-1-dev \
			libjansson-dev libpng-dev libdrm-dev
		;;
	check)
		# clang-format is pinned: see tools/check-format. libclang-rt-dev: clang's sanitizers.
		# libvulkan-dev: the tests' Vulkan programs.
		echo libcmocka-dev libvulkan-dev clang libclang-rt-dev clang-format-19 shellcheck python3 git
		;;
	gl)
		# The headers, the library, and Mesa's drivers, of which one draws in software.
		echo libvirglrenderer-dev libegl-dev libgles-dev libvirglrenderer1 libegl1 libgl1 \
			libgl1-mesa-dri
		;;
	vulkan)
		# The headers, the loader, and Mesa's drivers, of which one draws in software.
		echo libvulkan-dev libvulkan1 mesa-vulkan-drivers
		;;
	gltest)
		# virgl-server: the server that piglit's results are compared with.
		echo piglit virgl-server mesa-utils glmark2-x11 glmark2-es2-x11 xvfb util-linux \
			libgl1-mesa-dri libegl1 libgl1 libgles2
		;;
	arm64)
		echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
		;;
	libvirt)
		;;
	vm)
		# python3-minimal lacks modules that tests/vm uses. ca-certificates: an https mirror.
		echo python3 e2fsprogs tar debian-archive-keyring ca-certificates
		;;
	*)
		echo "tools/setup.sh: no group is named '$1' (build, gl, vulkan, check, gltest, vm, arm64, libvirt)" >&2
		exit 2
		;;
	esac
}

is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

usage() {
	sed -n '3,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//p;}' "$0"
}

# The words before an apt-get that may install, or nothing for root.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		return 0
	fi
	if command -v sudo >/dev/null 2>&1; then
		# Without a terminal sudo cannot ask for a password; let it say so.
		if [ -t 0 ]; then echo sudo; else echo sudo -n; fi
		return 0
	fi
	return 1
}

action=install
for argument; do
	case $argument in
	-y | --yes) ;;
	--list | --missing | --apt-line | --no-install) action=${argument#--} ;;
	-h | --help)
		usage
		exit 0
		;;
	-*)
		echo "tools/setup.sh: unknown option $argument" >&2
		exit 2
		;;
	*) groups="${groups:-} $argument" ;;
	esac
done
if [ -z "${groups:-}" ]; then
	usage >&2
	exit 2
fi
if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "tools/setup.sh: this is not Debian (no dpkg); install by hand what --list names" >&2
	[ "$action" = list ] || exit 1
fi

wanted=
for group in $groups; do
	wanted="$wanted $(packages "$group")"
done
# shellcheck disable=SC2086 # here and below: names are words
wanted=$(printf '%s\n' $wanted | sort -u)
missing=
for name in $wanted; do
	is_installed "$name" || missing="$missing $name"
done
missing=${missing# }

case $action in
list)
	printf '%s\n' $wanted
	exit 0
	;;
missing)
	[ -z "$missing" ] || printf '%s\n' $missing
	exit 0
	;;
apt-line)
	echo "apt-get install --no-install-recommends" $wanted
	exit 0
	;;
no-install)
	[ -n "$missing" ] || exit 0
	echo "apt-get install --no-install-recommends $missing"
	exit 3
	;;
esac

[ -n "$missing" ] || exit 0
if ! prefix=$(as_root); then
	echo "These packages are missing, and neither are you root nor is there sudo. As root, run:" >&2
	echo "    apt-get install --no-install-recommends $missing" >&2
	exit 1
fi
apt() {
	# shellcheck disable=SC2086 # the prefix is words, or nothing
	$prefix env DEBIAN_FRONTEND=noninteractive apt-get -q "$@"
}

# A fresh machine has no package lists yet, an old one stale ones: fetch them only then. That
# fetches lists of the sources that are there; it changes no source.
# shellcheck disable=SC2086 # package names are words
if ! apt-get install -s --no-install-recommends $missing >/dev/null 2>&1; then
	apt update
fi
# shellcheck disable=SC2086
if ! apt install -y --no-install-recommends $missing; then
	echo "tools/setup.sh: once more with fresh package lists"
	apt update
	if ! apt install -y --no-install-recommends $missing; then
		echo "tools/setup.sh: installing failed; see above for what APT says about $missing" >&2
		exit 1
	fi
fi
