# SPDX-License-Identifier: MIT
"""Which GPU draws: what is listed, what is refused, and whose libraries are loaded.

The machine's own driver is Mesa's, which draws in software where there is no GPU. A fake vendor
(tests/support/fake_egl.c) has GPUs that work, fail, crash, and draw in software."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import daemonlib

FAKE = (f"--egl-library={os.environ.get('FAKE_EGL')}", f"--gl-library={os.environ.get('FAKE_GL')}")
MESA = "--egl-library=libEGL_mesa.so.0"
NO_VENDOR = {"__EGL_VENDOR_LIBRARY_FILENAMES": "/nonexistent.json"}


def uuid_of(device):
    byte = f"{0xa0 + device:02x}"
    return "-".join(byte * count for count in (4, 2, 2, 2, 6))


def rows_of(table):
    """The cells of each GPU, by the table's columns."""
    head, *lines = table.splitlines()
    rows = []
    starts = [match.start() for match in re.finditer(r"\S+( \S+)*", head)]
    for line in lines:
        if not line.startswith(("*", "Vulkan")):
            cells = [line[a:b].strip() for a, b in zip(starts, starts[1:] + [None])]
            rows.append(dict(zip(re.split(r"  +", head), cells)))
    return rows


class GpuTest(daemonlib.DaemonTest):
    def list_gpus(self, *options, **environment):
        status, out, log = self.run_daemon("--list-gpus", *options,
                                           env={**os.environ, **environment})
        self.assertEqual(status, 0, log)
        self.assertEqual(log, "")
        return rows_of(out)

    def assert_no_gl(self, options, *texts, **environment):
        """There is no table then, but what Vulkan finds is listed all the same."""
        status, out, log = self.run_daemon("--list-gpus", *options,
                                           env={**os.environ, **environment})
        self.assertEqual(status, 1)
        self.assertTrue(all(line.startswith("Vulkan") for line in out.splitlines()), out)
        for text in ("GL cannot be used", *texts):
            self.assertIn(text, log)

    def assert_start_refused(self, options, *texts):
        self.assert_refused([f"--socket-path={self.socket_path}", "--virgl", *options], *texts,
                            status=1)
        self.assertFalse(Path(self.socket_path).exists())


class List(GpuTest):
    def test_this_host(self):
        rows = self.list_gpus()
        self.assertEqual([row["GPU"].rstrip(" *") for row in rows], list(map(str, range(len(rows)))))
        self.assertEqual(len([row for row in rows if "*" in row["GPU"]]), 1)
        default = next(row for row in rows if "*" in row["GPU"])
        self.assertRegex(default["RENDERER"], r"\S, OpenGL \d\.\d")
        # The daemon takes what the list says it does.
        daemon = self.start_listening("--virgl")
        self.assertIn(default["RENDERER"], daemon.log)
        self.assertIn(f"({default['ROUTE']}", daemon.log)

    def test_each_gpu_can_be_asked_for(self):
        for row in self.list_gpus():
            if row["RENDERER"].startswith("cannot be used"):
                continue
            index = row["GPU"].rstrip(" *")
            daemon = self.start_listening("--virgl", f"--gpu={index}")
            self.assertIn(f"{row['RENDERER']} ({row['ROUTE']}", daemon.log)
            self.assertEqual(daemon.stop(), 0)

    def test_devices_of_all_kinds(self):
        works, fails, crashes, software, surfaceless = self.list_gpus(*FAKE)
        self.assertEqual(works, {
            "GPU": "0 *", "KIND": "hardware", "ROUTE": "EGL device 0", "PCI ADDRESS": "unknown",
            "UUID": uuid_of(0), "RENDER NODE": "unknown", "DRIVER": "ACME",
            "RENDERER": "ACME 3000, OpenGL 4.6.0 ACME 1.2"})
        self.assertEqual(fails["RENDERER"], "cannot be used: EGL cannot open it (error 0x3001)")
        self.assertEqual(crashes["RENDERER"], "cannot be used: the driver crashed (Aborted)")
        self.assertEqual((crashes["KIND"], crashes["UUID"]), ("unknown", uuid_of(2)))
        self.assertEqual(software["KIND"], "software")
        self.assertEqual((software["UUID"], software["PCI ADDRESS"]), (uuid_of(3), "none"))
        # Who chose that GPU was the driver; it says which it is.
        self.assertEqual(surfaceless, {**works, "GPU": "4", "ROUTE": "surfaceless"})

    def test_a_driver_that_crashes_at_once(self):
        self.assert_no_gl(FAKE, "the driver crashed", FAKE_EGL_CRASH="1")

    def test_no_driver(self):
        self.assert_no_gl([], "EGL_EXT_platform_base", **NO_VENDOR)

    def test_vulkan_is_listed_too(self):
        """What Venus would need of each is said; a build without Vulkan's headers says that."""
        def lines(**environment):
            out = self.run_daemon("--list-gpus", env={**os.environ, **environment})[1]
            return [line for line in out.splitlines() if line.startswith("Vulkan")]

        found = lines(VK_DRIVER_FILES="/nonexistent.json", VK_ICD_FILENAMES="/nonexistent.json")
        self.assertEqual(len(found), 1)
        self.assertRegex(found[0], "no driver with a device|knows no Vulkan|libvulkan|no drivers")
        for number, line in enumerate(lines()):
            self.assertRegex(line, rf"^Vulkan GPU {number}: .*: Venus (works|needs|cannot)|"
                                   "^Vulkan: ")

    def test_a_list_that_cannot_be_written_fails(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([daemonlib.DAEMON, "--list-gpus"], stdout=full,
                                  timeout=daemonlib.LIMIT, check=False)
        self.assertEqual(done.returncode, 1)


class Choice(GpuTest):
    def test_one_that_is_not_there(self):
        for name in ("9", "ff:1f.7", "GPU-" + uuid_of(9)):
            self.assert_start_refused([f"--gpu={name}"], f"--gpu={name} cannot be used",
                                      "no such GPU (have: 0 = ", "--allow-software")

    def test_one_that_cannot_be_used(self):
        self.assert_start_refused([*FAKE, "--gpu=1"], "--gpu=1 cannot be used: EGL cannot open it")
        self.assert_start_refused([*FAKE, "--gpu=GPU-" + uuid_of(2).upper()],
                                  "the driver crashed (Aborted)")

    def test_hardware_that_draws_in_software(self):
        """Its UUID asks for the GPU. (Its index asks for what the list shows at it.)"""
        self.assert_start_refused([*FAKE, f"--gpu={uuid_of(3)}"], "drawn in software (llvmpipe)")

    def test_node_that_draws_in_software(self):
        """GBM takes any file, and Mesa draws in software for one without a driver."""
        self.assert_start_refused(["--render-node=/dev/null"],
                                  "--render-node=/dev/null cannot be used", "--allow-software")

    def test_software_where_it_is_allowed(self):
        for option in ("--gpu=9", "--render-node=/dev/null", "--render-node=/dev/dri/x"):
            daemon = self.start_listening("--virgl", option, "--allow-software")
            self.assertIn(f"{option} cannot be used", daemon.log)
            self.assertIn("drawing in software instead, as --allow-software says", daemon.log)
            self.assertRegex(daemon.log, r"VirGL on .* \(.*, software\)")
            self.assertEqual(daemon.stop(), 0)

    def test_what_the_library_lacks_is_said(self):
        daemon = self.start_listening("--virgl")
        self.assertRegex(daemon.log, r"libvirglrenderer\S* \(built with the headers of [\d.]+\) "
                                     r"has: .*blobs")


class Libraries(GpuTest):
    def test_driver_of_glvnd(self):
        """Though glvnd finds no description of a driver, the one that is named draws."""
        rows = self.list_gpus(MESA, **NO_VENDOR)
        self.assertTrue(any("Mesa" in row["DRIVER"] for row in rows), rows)
        self.start_listening("--virgl", MESA, environment=NO_VENDOR)

    def test_path_that_json_must_quote(self):
        path = self.folder / 'a "quoted" \\name.so'
        path.symlink_to(self.loaded("libEGL_mesa.so"))
        self.assertTrue(self.list_gpus(f"--egl-library={path}", **NO_VENDOR))

    def test_variable_of_glvnd(self):
        description = self.folder / "mesa.json"
        description.write_text('{"file_format_version": "1.0.0", '
                               '"ICD": {"library_path": "libEGL_mesa.so.0"}}')
        variable = {"__EGL_VENDOR_LIBRARY_FILENAMES": str(description)}
        self.start_listening("--virgl", environment=variable)

    def test_whole_libraries(self):
        """The daemon's and libvirglrenderer's calls both go to the libraries that were named."""
        egl, gl = self.loaded("libEGL.so.1"), self.loaded("libGL.so.1")
        for name, original in (("my-egl.so", egl), ("my-gl.so", gl)):
            shutil.copy(original, self.folder / name)
        maps = self.maps("--egl-library=./my-egl.so", "--gl-library=./my-gl.so")
        self.assertIn("/my-egl.so\n", maps)
        self.assertIn("/my-gl.so\n", maps)
        self.assertNotIn(egl, maps)
        self.assertNotIn(gl, maps)

    def test_libraries_that_do_not_belong_together(self):
        rows = self.list_gpus(FAKE[0])
        self.assertIn('do not belong together: one draws with "ACME 3000", the other with '
                      '"nothing"', rows[0]["RENDERER"])

    def test_wrong_libraries(self):
        for option, path, text in (
                ("egl", "/nonexistent.so", "cannot open shared object file"),
                ("gl", "/nonexistent.so", "cannot open shared object file"),
                ("egl", "libm.so.6", "is no library of EGL"),
                ("egl", self.renamed(FAKE[0]), "has not the soname libEGL.so.1"),
                ("gl", "libm.so.6", "has not the soname libGL.so.1"),
                ("egl", "a\nb", "control character")):
            argument = f"--{option}-library={path}"
            self.assert_no_gl([argument], f"--{option}-library", text)
            self.assert_start_refused([argument], f"--{option}-library", text)

    def renamed(self, option):
        """A copy of a library under another soname of the same length."""
        data = Path(option.split("=")[1]).read_bytes()
        self.assertIn(b"\0libEGL.so.1\0", data)
        copy = self.folder / "renamed.so"
        copy.write_bytes(data.replace(b"\0libEGL.so.1\0", b"\0libEGL.so.2\0"))
        return copy

    def maps(self, *options):
        if daemonlib.is_emulated():
            self.skipTest("under qemu-user the maps are those of qemu")
        daemon = self.start_listening("--virgl", *options)
        maps = Path(f"/proc/{daemon.process.pid}/maps").read_text()
        daemon.stop()
        return maps

    def loaded(self, name):
        """The file that a daemon without options loads."""
        paths = re.findall(rf"(/\S*/{re.escape(name)}\S*)", self.maps())
        self.assertTrue(paths, name)
        return paths[0]


if __name__ == "__main__":
    daemonlib.main()
