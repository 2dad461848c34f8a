# SPDX-License-Identifier: MIT
"""The cache folder: everything big that can be made again, keyed by what it was made from.

How this works: an entry is a folder NAME-KEY, KEY being a hash of its recipe. It is made in a
temporary folder beside it and renamed when it is whole, so an entry that exists is complete,
whatever was interrupted. A file lock per name keeps two builders from doing the work twice.
Entries of the same name with another key are stale and removed after a successful build."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from .say import VmError

# Marks the folder as ours, so that --clean never removes a folder that somebody else filled.
MARK = ".virtio-gpud-cache"


def folder():
    """The cache folder; not made by this call."""
    given = os.environ.get("VIRTIO_GPUD_CACHE")
    if given:
        return Path(given).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base).absolute() / "virtio-gpud"


def ensure():
    path = folder()
    if path.is_dir() and not (path / MARK).exists() and any(path.iterdir()):
        raise VmError(f"{path} is not empty and not a cache of virtio-gpud: "
                      "set VIRTIO_GPUD_CACHE to another folder")
    path.mkdir(parents=True, exist_ok=True)
    (path / MARK).touch()
    return path


def remove():
    """Remove the whole cache; returns the folder's path, or None if there was none."""
    path = folder()
    if not path.exists():
        return None
    if not (path / MARK).exists():
        raise VmError(f"{path} was not made by virtio-gpud (no {MARK} in it): not removed")
    shutil.rmtree(path)
    return path


def key_of(*parts):
    """A short hash of strings, bytes and the contents of Paths."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part
        data = data.encode() if isinstance(data, str) else data
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def lock(name):
    path = ensure() / f"{name}.lock"
    with open(path, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def find(name, key):
    """The entry's path if it is there, else None."""
    path = folder() / f"{name}-{key}"
    return path if path.is_dir() else None


def get(name, key, build):
    """Returns the entry's path, made by build(temporary folder) if it is not there yet."""
    path = find(name, key)
    if path:
        return path
    with lock(name):
        path = folder() / f"{name}-{key}"
        if path.is_dir():
            return path
        for left in folder().glob(f"{name}.tmp-*"):
            shutil.rmtree(left, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f"{name}.tmp-", dir=folder()))
        try:
            temporary.chmod(0o755)
            build(temporary)
            temporary.rename(path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        for stale in folder().glob(f"{name}-*"):
            if stale != path and stale.name[len(name) + 1:].isalnum():
                shutil.rmtree(stale, ignore_errors=True)
    return path
