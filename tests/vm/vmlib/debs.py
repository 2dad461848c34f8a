# SPDX-License-Identifier: MIT
"""Debian packages of another release, unpacked into a folder: no root, no chroot, no scripts run.

How this works: APT itself resolves and downloads, with a private sources list, package lists and
status file in the cache; the machine's own sources are read (for the address of its mirror) and
never changed, and its APT settings (proxy, retries, certificates) apply as they are. Signatures
are checked with the machine's Debian keyring. What a list of packages depends on but a folder
without maintainer scripts does not need (systemd, debconf, ...) is claimed as installed in the
private status file, and so is left out with everything that only it needs. The .debs are then
unpacked by dpkg-deb and tar, without documentation and translations."""

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import cache
from .say import VmError, mib, say, step

EXCLUDE = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info",
           "usr/share/lintian", "usr/share/bug", "usr/share/i18n", "var/cache")
# The aliases of a merged /usr, which packages rely on.
ALIASES = ("bin", "sbin", "lib", "lib64")


def read_list(path):
    """Package names, one a line; '#' starts a comment."""
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def _mirror_from_indextargets():
    """The address from which APT already fetched this machine's own Debian release."""
    answer = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)|$(ORIGIN)|$(LABEL)|$(COMPONENT)",
         "Created-By: Packages"], capture_output=True, text=True, check=False)
    for line in answer.stdout.splitlines():
        uri, origin, label, component = line.split("|")
        if origin == label == "Debian" and component == "main":
            return uri
    return None


def _mirror_from_sources():
    """The same from the sources files, for a machine whose package lists were never fetched."""
    folder = Path("/etc/apt")
    for path in [folder / "sources.list", *sorted(folder.glob("sources.list.d/*"))]:
        text = path.read_text(errors="replace") if path.is_file() else ""
        if path.suffix == ".sources":
            found = re.findall(r"^URIs:\s*(\S+)", text, re.M)
        else:
            found = re.findall(r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)", text, re.M)
        for uri in found:
            # The security archive has no releases of its own to offer.
            if re.match(r"https?://.*/debian/?$", uri):
                return uri
    return None


def mirror():
    uri = (os.environ.get("VIRTIO_GPUD_MIRROR") or _mirror_from_indextargets() or
           _mirror_from_sources())
    if not uri:
        raise VmError("no Debian mirror found in APT's sources of this machine: run "
                      "`apt-get update` once, or set VIRTIO_GPUD_MIRROR to a mirror's address")
    return uri


def _keyring():
    for name in ("debian-archive-keyring.pgp", "debian-archive-keyring.gpg"):
        path = Path("/usr/share/keyrings") / name
        if path.exists():
            return path
    raise VmError("no keyring to check Debian's signatures with: install debian-archive-keyring")


class Apt:
    """A private APT for one architecture, with its own sources and state in `state`."""

    def __init__(self, state, suites, arch, provided):
        self.state = state
        self.suites = suites
        self.arch = arch
        self.provided = provided

    def _command(self, *arguments):
        options = {
            "Dir::Etc::sourcelist": self.state / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State::lists": self.state / "lists",
            "Dir::State::status": self.state / "status",
            "Dir::State::extended_states": self.state / "extended_states",
            "Dir::Cache::archives": self.state / "archives",
            "Dir::Cache::pkgcache": "",
            "Dir::Cache::srcpkgcache": "",
            "Dir::Log": self.state,
            "APT::Architecture": self.arch,
            "APT::Architectures": self.arch,
            "APT::Install-Recommends": "false",
            "APT::Install-Suggests": "false",
            # Files of a user's cache folder cannot be handed to user _apt.
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Check-Valid-Until": "false",
            # Hooks of the machine (image builders clean up after APT) are not for this folder.
            "APT::Keep-Downloaded-Packages": "true",
            "Debug::NoLocking": "true",
        }
        command = ["apt-get", "-q"]
        for name, value in options.items():
            command += ["-o", f"{name}={value}"]
        return command + list(arguments)

    def _run(self, *arguments):
        answer = subprocess.run(self._command(*arguments), stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, check=False,
                                env={**os.environ, "LC_ALL": "C"})
        if answer.returncode:
            tail = "\n".join((answer.stdout + answer.stderr).strip().splitlines()[-12:])
            raise VmError(f"apt-get {arguments[0]} of {' and '.join(self.suites)} failed:\n{tail}")
        return answer.stdout

    def update(self):
        for name in ("lists/partial", "archives/partial"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        sources = "".join(f"deb [signed-by={_keyring()}] {mirror()} {suite} main\n"
                          for suite in self.suites)
        (self.state / "sources.list").write_text(sources)
        (self.state / "status").write_text("".join(
            f"Package: {name}\nStatus: install ok installed\nVersion: 99:0\nArchitecture: all\n"
            "Multi-Arch: foreign\nMaintainer: none <none@localhost>\n"
            "Description: claimed to be there, so that it is not fetched\n\n"
            for name in self.provided))
        self._run("update")

    def download(self, packages, release=None):
        """Fetch `packages` and what they need; returns the paths of the .debs."""
        which = ["-t", release] if release else []
        # Asked with an empty archive folder: APT leaves out what it has already.
        nothing = self.state / "nothing"
        (nothing / "partial").mkdir(parents=True, exist_ok=True)
        plan = self._run(*which, "install", "--print-uris", "-qq",
                         "-o", f"Dir::Cache::archives={nothing}", *packages)
        wanted = []
        for line in plan.splitlines():
            match = re.match(r"'[^']*' (\S+) (\d+)", line)
            if match:
                wanted.append((match.group(1), int(match.group(2))))
        total = sum(size for _, size in wanted)
        archives = self.state / "archives"

        def fetched():
            files = [*archives.glob("*.deb"), *archives.glob("partial/*.deb")]
            return f"{mib(sum(file.stat().st_size for file in files if file.exists()))} on disk"

        with step(f"fetching {len(wanted)} packages ({mib(total)})", fetched):
            self._run(*which, "install", "--download-only", "-y", *packages)
        paths = [archives / name for name, _ in wanted]
        missing = [path.name for path in paths if not path.exists()]
        if missing:
            raise VmError(f"APT fetched all but these packages: {' '.join(missing)}")
        return paths


def unpack(debs, target, jobs=None):
    """Unpack .debs side by side into `target`, which becomes the root of a merged-/usr system."""
    for name in ALIASES:
        (target / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (target / name).is_symlink():
            (target / name).symlink_to(f"usr/{name}")
    exclude = [f"--exclude=./{name}" for name in EXCLUDE]

    def unpack_one(deb):
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb],
                              stdout=subprocess.PIPE) as source:
            tar = subprocess.run(
                ["tar", "-x", "-C", target, "--no-same-owner", "--keep-directory-symlink",
                 *exclude], stdin=source.stdout, capture_output=True, text=True, check=False)
            source.stdout.close()
            if tar.returncode or source.wait():
                raise VmError(f"unpacking {deb.name} failed: {tar.stderr.strip()}")

    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        list(pool.map(unpack_one, sorted(debs, key=lambda deb: -deb.stat().st_size)))


def host_arch():
    return subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True,
                          check=True).stdout.strip()


def fetch_and_unpack(target, suites, arch, packages, provided=(), release=None):
    """Fetch into the cache's APT state and unpack into `target`; returns the .debs' paths."""
    apt = Apt(cache.ensure() / f"apt-{arch}", suites, arch, provided)
    with cache.lock(f"apt-{arch}"):
        say(f"reading the package lists of {' and '.join(suites)} ({arch})")
        apt.update()
        debs = apt.download(packages, release)
        with step("unpacking"):
            unpack(debs, target)
    return debs


def forget(debs):
    """Remove .debs that have been unpacked: they only take disk."""
    for deb in debs:
        deb.unlink(missing_ok=True)


def forget_all():
    for state in cache.folder().glob("apt-*"):
        if state.is_dir():
            shutil.rmtree(state)
