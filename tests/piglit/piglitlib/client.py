# SPDX-License-Identifier: MIT
"""Runs one program of piglit against one vtest server, and reads its verdict."""

import json
import os
import platform
import subprocess
from pathlib import Path

SECONDS = 30  # one test's limit; most take less than one on an idle machine
PASS, FAIL, WARN, SKIP, CRASH, TIMEOUT = "pass", "fail", "warn", "skip", "crash", "timeout"

# Mesa of Debian 12 looks for its server at this path whatever the environment says. So each side
# has a folder that its clients see as /tmp, and the socket has this name in it.
SOCKET = ".virgl_test"
_INSIDE = 'mount --bind "$0" /tmp && exec "$@"'
# Root needs no user namespace, and gets none in a chroot.
_NAMESPACE = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"]),
              "sh", "-c", _INSIDE]


def has_namespaces():
    """Does this machine give a program a mount namespace? Not in a chroot, but to root."""
    return subprocess.run([*_NAMESPACE[:-3], "true"], stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


_ENVIRONMENT = {
    "LIBGL_ALWAYS_SOFTWARE": "1",
    "GALLIUM_DRIVER": "virpipe",
    "VTEST_SOCKET_NAME": f"/tmp/{SOCKET}",
    "PIGLIT_PLATFORM": "surfaceless_egl",
    # What one side compiled is not to be found by the other.
    "MESA_SHADER_CACHE_DISABLE": "true",
}


class Outcome:
    """What a test came to: its result, and those of its subtests by name."""

    def __init__(self, result, subtests=None):
        self.result = result
        self.subtests = subtests or {}

    def passed(self):
        """The names of all that passed; the test as a whole has the name ''."""
        names = {name for name, result in self.subtests.items() if result == PASS}
        return names | {""} if self.result == PASS else names


def folder():
    """Where Debian's package has piglit's programs and scripts; None without the package."""
    path = Path(f"/usr/lib/{platform.machine()}-linux-gnu/piglit")
    return path if (path / "bin").is_dir() else None


def has(test):
    """Has the installed piglit this test?"""
    words = test.split()
    paths = [folder() / word for word in words[1:] if word.endswith(".shader_test")]
    return (folder() / "bin" / words[0]).exists() and all(path.exists() for path in paths)


def run(words, tmp):
    """Runs a program of piglit's in `tmp`'s namespace; returns (status, output), and None for the
    status of one that hung."""
    command = [*_NAMESPACE, str(tmp), str(folder() / "bin" / words[0]), *words[1:]]
    with subprocess.Popen(command, cwd=folder(), env={**os.environ, **_ENVIRONMENT},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        try:
            output, _ = process.communicate(timeout=SECONDS)
            status = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()  # unshare and sh have become the program
            output, _ = process.communicate()
            status = None
    return status, output.decode(errors="replace")


def run_test(test, tmp):
    """Runs one line of the list; returns its Outcome."""
    status, output = run([*test.split(), "-auto", "-fbo"], tmp)
    result, subtests = None, {}
    for line in output.splitlines():
        if line.startswith("PIGLIT: "):
            said = json.loads(line.removeprefix("PIGLIT: "))
            result = said.get("result", result)
            subtests.update(said.get("subtest", {}))
    if status is None:
        result = TIMEOUT
    elif status < 0 or result is None:
        result = CRASH
    return Outcome(result, subtests)


def renderer(tmp):
    """GL_RENDERER and GL_VERSION as a client of this server sees them."""
    _, output = run(["glinfo"], tmp)
    found = dict(line.split(" = ", 1) for line in output.splitlines() if " = " in line)
    return found.get("GL_RENDERER", f"no answer ({output.strip()[-200:]})"), \
        found.get("GL_VERSION", "none")
