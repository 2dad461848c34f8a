#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures GL programs natively and through each server that stands in between, from a folder that
pack.sh made: record.py [options] RESULTDIR. As root, on a machine with a GPU and its driver.

Participants: native (the machine's own GL), run (virtio-gpu-run with a virtio-gpud for each program),
again (the same once more: what the machine's drift alone does), asleep (run, without looking for work before
sleeping), vtest (virgl_test_server). Every participant draws every scene in every round, and each
round begins with another one; ratios are formed inside a round. Programs and X server are pinned to
some processors, servers to others.

CPU is what the server's processes used for a frame (user and system), as far as seen every 20 ms: the
difference of a long and a short run, so that the start does not count. It is taken in every third
round, as is native."""

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOCKET = "/tmp/.virgl_test"  # old Mesas know no other
GLMARK2 = ("build:use-vbo=false", "build:use-vbo=true", "texture:texture-filter=linear",
           "shading:shading=phong", "bump:bump-render=normals", "effect2d:kernel=0,1,0;1,-4,1;0,1,0;",
           "pulsar:quads=5:texture=false", "desktop:effect=blur:passes=1:windows=4", "ideas", "shadow",
           "buffer:columns=200:interleave=false:update-dispersion=0.9:update-fraction=0.5:"
           "update-method=subdata", "jellyfish", "terrain", "loop:fragment-steps=5:vertex-steps=5")
SCENES = ("draws", "fill", "readback", "upload")
SERVERS = {
    "native": None,
    "run": ["virtio-gpu-run", f"--listen={SOCKET}"],
    "again": ["virtio-gpu-run", f"--listen={SOCKET}"],
    "asleep": ["virtio-gpu-run", f"--listen={SOCKET}", "--spin-us=0"],
    "vtest": ["virgl_test_server", "--use-egl-surfaceless"],
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each scene")
    parser.add_argument("--only", help="participants, with commas")
    parser.add_argument("--server", action="append", default=[], metavar="NAME=OPTIONS",
                        help="one more participant: virtio-gpu-run with these options")
    parser.add_argument("--no-cpu", action="store_true", help="leave the server's CPU time out")
    parser.add_argument("--scenes", help="of glmark2, with blanks")
    return parser.parse_args()


def install():
    """Paths that the X server and glmark2 were built with."""
    for name, place in (("share/xkb", "/usr/share/X11/xkb"), ("share/glmark2", "/usr/share/glmark2"),
                        ("bin/xkbcomp", "/usr/bin/xkbcomp"),
                        ("dri/swrast_dri.so", f"/usr/lib/{os.uname().machine}-linux-gnu/dri/"
                         "swrast_dri.so")):
        place = Path(place)
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(HERE / name)


def processors():
    """(of programs, of the X server, of servers), or three times None on a small machine."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 12:
        return None, None, None
    return allowed[2:4], allowed[4:6], allowed[6:]


PROGRAM_CPUS, SCREEN_CPUS, SERVER_CPUS = processors()


def pinned(cpus, words):
    return ["taskset", "-c", ",".join(map(str, cpus)), *words] if cpus else words


def environment(**more):
    path = os.environ.get("LD_LIBRARY_PATH")
    return {**os.environ, "LD_LIBRARY_PATH": f"{HERE}/lib" + (f":{path}" if path else ""),
            "PATH": f"{HERE}/bin:{os.environ['PATH']}", "vblank_mode": "0",
            "__GL_SYNC_TO_VBLANK": "0", **more}


def client_environment(participant, **more):
    if participant == "native":
        return environment(__GLX_VENDOR_LIBRARY_NAME="nvidia", **more)
    return environment(GALLIUM_DRIVER="virpipe", LIBGL_ALWAYS_SOFTWARE="1", VTEST_SOCKET_NAME=SOCKET,
                       LIBGL_DRIVERS_PATH=f"{HERE}/dri", __GLX_VENDOR_LIBRARY_NAME="mesa",
                       __EGL_VENDOR_LIBRARY_FILENAMES=f"{HERE}/share/50_mesa.json", **more)


def family(root):
    """{pid: CPU seconds} of a process and all that it started."""
    found, parents = {}, {}
    tick = os.sysconf("SC_CLK_TCK")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            found[int(entry.name)] = (int(fields[11]) + int(fields[12])) / tick
    members = {root}
    grown = True
    while grown:
        grown = False
        for pid, parent in parents.items():
            if parent in members and pid not in members:
                members.add(pid)
                grown = True
    return {pid: found[pid] for pid in members if pid in found}


class Server:
    """A participant's server, and the CPU time of it and its children."""

    def __init__(self, words):
        self.seen = {}
        self.process = None
        Path(SOCKET).unlink(missing_ok=True)
        if words:
            log = open(HERE / "server.log", "ab")  # pylint: disable=consider-using-with
            self.process = subprocess.Popen(pinned(SERVER_CPUS, words), env=environment(),
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            log.close()
            self.running = True
            self.watcher = threading.Thread(target=self.watch)
            self.watcher.start()
            end = time.monotonic() + 10
            while not Path(SOCKET).exists():
                if time.monotonic() > end:
                    raise SystemExit(f"{words[0]} does not listen: see {HERE}/server.log")
                time.sleep(0.01)
            time.sleep(0.1)

    def watch(self):
        while self.running:
            self.seen.update(family(self.process.pid))
            time.sleep(0.02)

    def cpu(self):
        return sum(self.seen.values())

    def end(self):
        if self.process:
            self.running = False
            self.watcher.join()
            self.process.terminate()
            self.process.wait(10)


def run(participant, words, **more):
    """Run a program; returns (its output, the server's CPU seconds)."""
    server = Server(SERVERS[participant])
    try:
        done = subprocess.run(pinned(PROGRAM_CPUS, words), capture_output=True, text=True, check=False,
                              timeout=120, env=client_environment(participant, **more))
    finally:
        server.end()
    if done.returncode not in (0, 124):  # timeout(1)'s own
        print(f"{participant}: {' '.join(words)[:60]}: status {done.returncode}\n"
              f"{done.stderr[-300:]}", flush=True)
    return done.stdout + done.stderr, server.cpu()


def check_renderer(participant, output):
    found = re.search(r"(?:GL_RENDERER|renderer|renderer string): *(.*)", output)
    name = found.group(1) if found else "none"
    is_virgl = "virgl" in name.lower()
    if is_virgl == (participant == "native") or "llvmpipe" in name.split("(")[0].lower():
        print(f"{participant} draws with {name}", flush=True)
        return None
    return name


def run_scene(participant, scene, seconds):
    """(frames a second, server's CPU seconds) or None."""
    output, cpu = run(participant, ["gl_program", f"--seconds={seconds}", scene],
                      GL_PROGRAM_PLATFORM="device" if participant == "native" else "surfaceless")
    found = re.search(scene + r": ([\d.]+) frames/s", output)
    return (float(found.group(1)), cpu) if found and check_renderer(participant, output) else None


def measure_program(participant, seconds, with_cpu):
    """{scene: (frames a second, CPU milliseconds of the server a frame)} of gl_program."""
    rows = {}
    for scene in SCENES:
        short = run_scene(participant, scene, seconds)
        long = run_scene(participant, scene, 4 * seconds) if short and with_cpu else None
        cpu = float("nan")
        if long:
            frames = long[0] * 4 * seconds - short[0] * seconds
            cpu = (long[1] - short[1]) * 1e3 / frames if frames > 0 else cpu
        if short:
            rows[f"program {scene}"] = short[0], cpu
    return rows


def measure_glmark2(participant, seconds, scenes):
    """All scenes in one run: starting a GL driver takes longer than a scene."""
    words = ["glmark2", "--off-screen", "--size", "800x600"]
    for scene in scenes:
        words += ["-b", f"{scene}:duration={seconds}"]
    output, _ = run(participant, words, DISPLAY=":77")
    if not check_renderer(participant, output):
        return {}
    rates = [float(rate) for rate in re.findall(r"FPS: (\d+)", output)]
    rows = {f"glmark2 {scene.split(':update-d')[0]}": (rate, float("nan"))
            for scene, rate in zip(scenes, rates)}
    if len(rates) == len(scenes) and all(rates):
        rows["glmark2, geometric mean"] = statistics.geometric_mean(rates), float("nan")
    return rows


def screen():
    return subprocess.Popen(pinned(SCREEN_CPUS, ["Xvfb", ":77", "-screen", "0", "1024x768x24",
                                                 "-nolisten", "tcp"]),
                            env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def show_programs(participants):
    """Programs that are not timed: do they draw with the right renderer?"""
    for participant in participants:
        for words in (["es2_info"], ["timeout", "7", "glxgears", "-info"]):
            if participant == "native" and words == ["es2_info"]:
                continue  # a vendor's EGL may want more of the X server than Xvfb has
            output, _ = run(participant, words, DISPLAY=":77")
            lines = [line.strip() for line in output.splitlines()
                     if re.search(r"renderer|GL_RENDERER|frames in", line)]
            print(f"{participant:7} {' '.join(words):20} {lines[:2]}", flush=True)


def interval(values):
    """Median and 95 % bootstrap interval."""
    values = [value for value in values if value == value]
    if not values:
        return (float("nan"),) * 3
    dice = random.Random(1)
    medians = sorted(statistics.median(dice.choices(values, k=len(values))) for _ in range(2000))
    return statistics.median(values), medians[50], medians[1949]


def table(samples, participants):
    """samples[participant][row] = [(rate, cpu) of each round]"""
    rows = list(dict.fromkeys(row for one in samples.values() for row in one))
    lines = [f"{'':40}" + "".join(f"{name:>12}" for name in participants) +
             f"{'run/vtest':>22}{'asleep/vtest':>22}{'again/run':>22}{'run/native':>12}"]
    for row in rows:
        def ratio(left, right, row=row):
            pairs = zip(samples.get(left, {}).get(row, ()), samples.get(right, {}).get(row, ()))
            middle, low, high = interval([a[0] / b[0] for a, b in pairs if a and b and b[0]])
            return f"{middle:.2f} [{low:.2f}, {high:.2f}]"

        rates = "".join(f"{interval([s[0] for s in samples[name].get(row, ()) if s])[0]:12.1f}"
                        for name in participants)
        lines.append(f"{row[:40]:40}{rates}{ratio('run', 'vtest'):>22}{ratio('asleep', 'vtest'):>22}"
                     f"{ratio('again', 'run'):>22}{ratio('run', 'native').split(' ')[0]:>12}")
    lines.append("")
    lines.append("CPU of the server, ms a frame")
    for row in rows:
        cpus = "".join(f"{interval([s[1] for s in samples[name].get(row, ()) if s])[0]:12.3f}"
                       for name in participants)
        if row.startswith("program"):
            lines.append(f"{row[:40]:40}{cpus}")
    return "\n".join(lines)


def main():
    given = arguments()
    given.results.mkdir(parents=True, exist_ok=True)
    for name, options in (one.split("=", 1) for one in given.server):
        SERVERS[name] = ["virtio-gpu-run", f"--listen={SOCKET}", *options.split()]
    participants = given.only.split(",") if given.only else list(SERVERS)
    scenes = given.scenes.split() if given.scenes else GLMARK2
    install()
    server = screen()
    samples = {name: {} for name in participants}
    try:
        time.sleep(1)
        show_programs([name for name in participants if name not in ("again", "asleep")])
        for round_number in range(given.rounds):
            turn = round_number % len(participants)
            for name in participants[turn:] + participants[:turn]:
                third = round_number % 3 == 0
                if name == "native" and not third:
                    continue
                rows = {**measure_program(name, given.seconds, third and name != "native" and not given.no_cpu),
                        **measure_glmark2(name, given.seconds, scenes)}
                for row, sample in rows.items():
                    samples[name].setdefault(row, [None] * given.rounds)[round_number] = sample
            text = table(samples, participants)
            (given.results / "programs.txt").write_text(
                f"{(HERE / 'versions.txt').read_text()}{os.uname()}\nround {round_number + 1} of "
                f"{given.rounds}, {given.seconds} s a scene, programs on {PROGRAM_CPUS}, servers on "
                f"{SERVER_CPUS}\n\n{text}\n")
            (given.results / "programs.json").write_text(json.dumps(samples))
        print(text)
    finally:
        server.terminate()
        server.wait(10)
        Path(SOCKET).unlink(missing_ok=True)


if __name__ == "__main__":
    if not shutil.which("taskset"):
        sys.exit("record.py: taskset is missing (package util-linux)")
    main()
