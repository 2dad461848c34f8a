# SPDX-License-Identifier: MIT
"""The control socket without a VM: the protocol, its bounds, and those who abuse it."""

import json
import os
import resource
import stat
import subprocess
import time
from pathlib import Path

import daemonlib
from daemonlib import ControlClient, wait_for

CLIENT_MAX = 8
LINE_MAX = 4096


class ControlTest(daemonlib.DaemonTest):
    def setUp(self):
        super().setUp()
        self.daemon = self.start_listening(f"--control={self.control_path}")
        wait_for("the control socket", lambda: daemonlib.is_listening(self.control_path))

    def client(self):
        return ControlClient(self.connect(self.control_path))

    def assert_alive(self):
        self.assertTrue(self.client().ask({"command": "status"})["ok"])

    def assert_little_more_than(self, before):
        if not daemonlib.is_sanitized() and not daemonlib.is_emulated():
            self.assertLess(self.memory() - before, 1 << 20)

    def memory(self):
        """Resident bytes of the daemon."""
        text = Path(f"/proc/{self.daemon.process.pid}/statm").read_text()
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Protocol(ControlTest):
    def test_mode(self):
        self.assertEqual(stat.S_IMODE(os.stat(self.control_path).st_mode), 0o600)

    def test_mode_under_an_open_umask(self):
        path = f"{self.folder}/second"
        self.start(f"--socket-path={self.folder}/gpu2.sock", f"--control={path}", umask=0)
        wait_for("the control socket", lambda: daemonlib.is_listening(path))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)

    def test_status(self):
        status = self.client().ask({"command": "status"})
        self.assertEqual(status, {
            "ok": True, "name": "gpu.sock", "version": status["version"],
            "pid": self.daemon.process.pid, "vms_served": 0, "vms_refused": 0, "vm": None})

    def test_stats(self):
        self.assertEqual(self.client().ask({"command": "stats"}), {"ok": True, "vm": None})

    def test_screenshot_and_resize_need_a_vm(self):
        client = self.client()
        for request in ({"command": "screenshot"},
                        {"command": "resize", "width": 1, "height": 1}):
            self.assertEqual(client.ask(request), {"ok": False, "error": "no VM is connected"})
        self.assertEqual(client.fds, [])

    def test_answers_come_in_order(self):
        client = self.client()
        lines = [{"command": name} for name in ("status", "nonsense", "stats") * 50]
        client.send(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
        for line in lines:
            answer = client.receive()
            self.assertEqual(answer["ok"], line["command"] != "nonsense")
            self.assertEqual("pid" in answer, line["command"] == "status")

    def test_pieces_make_a_line(self):
        client = self.client()
        for byte in b'{"command":"status"}\n':
            client.send(bytes([byte]))
            time.sleep(0.001)
        self.assertTrue(client.receive()["ok"])

    def test_half_closed_client_gets_its_answers(self):
        client = self.client()
        client.send(b'{"command":"status"}\n{"command":"stats"}\n')
        client.socket.shutdown(1)
        self.assertIn("pid", client.receive())
        self.assertIn("vm", client.receive())
        self.assertIsNone(client.receive())


class Abuse(ControlTest):
    def test_wrong_requests_are_explained(self):
        client = self.client()
        for line, text in ((b"", "not JSON"), (b"hello", "not JSON"), (b"{", "not JSON"),
                           (b'{"command":"status"} x', "not JSON"), (b"\x00", "not JSON"),
                           (b"\xff\xfe", "not JSON"), (b'{"command":"a","command":"b"}', "not JSON"),
                           (b"[]", "object"), (b"{}", "object"), (b'{"command":1}', "object"),
                           (b'{"command":"dance"}', "known are status"),
                           (b"[" * 4000, "not JSON")):
            with self.subTest(line=line[:30]):
                client.send(line + b"\n")
                answer = client.receive()
                self.assertFalse(answer["ok"])
                self.assertIn(text, answer["error"])
        self.assertTrue(client.ask({"command": "status"})["ok"])

    def test_longest_line(self):
        client = self.client()
        line = b'{"command":"status"' + b" " * (LINE_MAX - 21) + b"}\n"
        self.assertEqual(len(line), LINE_MAX)
        client.send(line)
        self.assertTrue(client.receive()["ok"])
        self.assertTrue(client.ask({"command": "status"})["ok"])

    def test_too_long_line(self):
        client = self.client()
        client.send(b"x" * LINE_MAX)
        self.assertIn("at most 4095 bytes", client.receive()["error"])
        self.assertIsNone(client.receive())
        self.assert_alive()

    def test_endless_line(self):
        client = self.client()
        before = self.memory()
        with self.assertRaises((BrokenPipeError, ConnectionResetError)):
            for _ in range(1000):
                client.socket.sendall(b"x" * 65536)
        self.assert_little_more_than(before)
        self.assert_alive()

    def test_many_clients(self):
        clients = [self.client() for _ in range(CLIENT_MAX)]
        for client in clients:
            self.assertTrue(client.ask({"command": "status"})["ok"])
        extra = self.client()
        self.assertIn("too many clients", extra.receive()["error"])
        self.assertIsNone(extra.receive())
        clients.pop().socket.close()
        wait_for("a place", lambda: (self.client().ask({"command": "status"}) or {}).get("ok"))
        for client in clients:
            self.assertTrue(client.ask({"command": "status"})["ok"])

    def test_flood_of_connections(self):
        for _ in range(200):
            self.client().socket.close()
        self.assert_alive()

    def test_client_that_does_not_read(self):
        slow = self.client()
        slow.socket.setblocking(False)
        before = self.memory()
        sent = 0
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            try:
                sent += slow.socket.send(b'{"command":"status"}\n' * 100)
            except BlockingIOError:
                time.sleep(0.01)
        # The daemon stopped reading: what was sent fits the socket buffers.
        self.assertLess(sent, 4 << 20)
        self.assert_little_more_than(before)
        self.assert_alive()
        slow.socket.close()
        self.assert_alive()

    def test_client_that_leaves_before_its_answer(self):
        for _ in range(50):
            client = self.client()
            client.send(b'{"command":"status"}\n' * 20)
            client.socket.close()
        self.assert_alive()
        self.assertIsNone(self.daemon.process.poll())

    def test_sent_descriptors_are_closed(self):
        client = self.client()
        fds = Path(f"/proc/{self.daemon.process.pid}/fd")
        self.assertTrue(client.ask({"command": "status"})["ok"])
        before = len(list(fds.iterdir()))
        with open("/dev/null", "rb") as null:
            for _ in range(20):
                daemonlib.socket.send_fds(client.socket, [b'{"command":"status"}\n'],
                                          [null.fileno()] * 10)
                self.assertTrue(client.receive()["ok"])
        self.assertEqual(len(list(fds.iterdir())), before)

    def test_idle_client_costs_no_time(self):
        client = self.client()
        client.send(b'{"command"')  # half a line
        stat_file = Path(f"/proc/{self.daemon.process.pid}/stat")

        def ticks():
            return sum(map(int, stat_file.read_text().rsplit(")", 1)[1].split()[11:13]))

        time.sleep(0.1)
        before = ticks()
        time.sleep(0.5)
        self.assertLessEqual(ticks() - before, 1)


class Descriptors(ControlTest):
    """A daemon that has hardly any descriptors left."""

    # Idle it has 13.
    limit = 17

    def start_listening(self, *arguments, **popen):
        def set_limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.limit, self.limit))
        return super().start_listening(*arguments, preexec_fn=set_limit, **popen)

    def setUp(self):
        if daemonlib.is_emulated():
            self.skipTest("qemu-user needs descriptors too")
        super().setUp()

    def test_clients_and_vms_wait(self):
        clients = []
        while "cannot accept a control client" not in self.daemon.log:
            self.assertLess(len(clients), self.limit)
            clients.append(self.client())
            time.sleep(0.05)
        vm = self.connect()
        self.daemon.wait_for_log("cannot accept a connection")
        time.sleep(1.5)
        self.assertLessEqual(self.daemon.log.count("cannot accept"), 8, "tries again too often")
        for client in clients:
            client.socket.close()
        self.daemon.wait_for_log("a VM connects")
        self.assert_alive()
        vm.close()


class Ctl(ControlTest):
    def ctl(self, *arguments):
        return subprocess.run([daemonlib.CTL, *arguments], capture_output=True, text=True,
                              timeout=daemonlib.LIMIT, check=False, cwd=self.folder)

    def assert_fails(self, arguments, status, *texts):
        done = self.ctl(*arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        for text in texts:
            self.assertIn(text, done.stderr)

    def test_status(self):
        done = self.ctl("--socket", self.control_path, "status")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rows = dict(line.split(None, 1) for line in done.stdout.splitlines())
        self.assertEqual(rows["name"], "gpu.sock")
        self.assertEqual(rows["pid"], str(self.daemon.process.pid))
        self.assertEqual(rows["VM"], "none")

    def test_json(self):
        done = self.ctl("--json", "--socket", self.control_path, "status")
        self.assertEqual(json.loads(done.stdout)["pid"], self.daemon.process.pid)

    def test_errors_of_the_daemon(self):
        self.assert_fails(["--socket", self.control_path, "screenshot", "a.png"], 1,
                          "no VM is connected")
        self.assertFalse((self.folder / "a.png").exists())

    def test_no_daemon(self):
        self.assert_fails(["--socket", "nowhere", "status"], 1, "nowhere",
                          "No such file or directory", "--control")
        self.daemon.kill()
        self.assert_fails(["--socket", self.control_path, "status"], 1, "Connection refused",
                          "--control")

    def test_wrong_arguments(self):
        self.assert_fails(["status"], 2, "--socket PATH")
        self.assert_fails([], 2, "usage")
        connection = ["--socket", self.control_path]
        self.assert_fails([*connection, "dance"], 2, "unknown command 'dance'", "screenshot")
        self.assert_fails([*connection, "screenshot"], 2, "screenshot needs FILE.png")
        self.assert_fails([*connection, "status", "x"], 2, "unexpected argument 'x'")
        self.assert_fails([*connection, "--cursor", "status"], 2, "status takes no --cursor")
        self.assert_fails([*connection, "--output", "1", "stats"], 2, "stats takes no --output")
        self.assert_fails([*connection, "--output", "x", "resize", "1x1"], 2, "--output x")
        for size in ("1", "x", "1x", "1x1x1", "99999x1", "1 x1"):
            self.assert_fails([*connection, "resize", size], 2, "WIDTHxHEIGHT")

    def test_full_disk(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([daemonlib.CTL, "--socket", self.control_path, "status"],
                                  stdout=full, stderr=subprocess.PIPE, text=True,
                                  timeout=daemonlib.LIMIT, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write", done.stderr)


if __name__ == "__main__":
    daemonlib.main()
