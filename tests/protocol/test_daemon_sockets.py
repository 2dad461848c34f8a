# SPDX-License-Identifier: MIT
"""How the daemon gets its sockets, who may use them, and how it ends."""

import ctypes
import errno
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

import daemonlib
from daemonlib import LIMIT, wait_for

# vhost-user: request, flags (version 1), size.
GET_FEATURES = struct.pack("=III", 1, 1, 0)

# prctl(2), capabilities(7).
PR_CAPBSET_DROP, CAP_CHOWN = 24, 0

# Runs the daemon with LISTEN_PID set to its own process, as systemd does.
EXEC_WITH_PID = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); " \
    "os.execv(sys.argv[1], sys.argv[1:])"


def ask_features(client):
    """One round trip: true when a session answers."""
    client.sendall(GET_FEATURES)
    answer = client.recv(20, socket.MSG_WAITALL)
    return len(answer) == 20 and struct.unpack("=III", answer[:12]) == (1, 5, 8)


def make_stale(path):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    listener.close()


class SocketPath(daemonlib.DaemonTest):
    def test_vm_is_served(self):
        self.start_listening()
        self.assertTrue(ask_features(self.connect()))

    def test_stale_file_is_replaced(self):
        make_stale(self.socket_path)
        daemon = self.start_listening()
        self.assertIn("replaced a stale socket file", daemon.log)
        self.assertTrue(ask_features(self.connect()))

    def test_live_socket_is_refused_and_not_disturbed(self):
        first = self.start_listening("--once")
        before = first.log
        self.assert_refused([f"--socket-path={self.socket_path}"],
                            "another process listens there", status=1)
        self.assertTrue(Path(self.socket_path).exists())
        self.assertIsNone(first.process.poll())
        self.assertEqual(first.log, before)
        self.assertTrue(ask_features(self.connect()))

    def test_other_file_is_kept(self):
        Path(self.socket_path).write_text("precious")
        self.assert_refused([f"--socket-path={self.socket_path}"], "no socket", status=1)
        self.assertEqual(Path(self.socket_path).read_text(), "precious")

    def test_missing_folder(self):
        self.assert_refused(["--socket-path=none/gpu.sock"], "none/gpu.sock",
                            "No such file or directory", status=1)

    def test_longest_path(self):
        path = str(self.folder / "")
        path += "/" + "x" * (107 - len(path) - 1)
        self.start(f"--socket-path={path}")
        self.assertTrue(ask_features(self.connect(path)))

    def test_too_long_path(self):
        path = "x" * 108
        self.assert_refused([f"--socket-path={path}"], "108 bytes", "at most 107", status=1)

    def test_mode_leaves_others_out(self):
        for mask, mode in ((0o000, 0o660), (0o022, 0o640), (0o077, 0o600)):
            with self.subTest(mask=oct(mask)):
                daemon = self.start_listening(umask=mask)
                found = stat.S_IMODE(os.stat(self.socket_path).st_mode)
                self.assertEqual(oct(found), oct(mode))
                daemon.stop()

    def test_listens_again(self):
        daemon = self.start_listening()
        for _ in range(3):
            client = self.connect()
            self.assertTrue(ask_features(client))
            client.close()
        wait_for("the last VM to go", lambda: daemon.log.count("the VM is gone") == 3)
        self.assertIsNone(daemon.process.poll())

    def test_once(self):
        daemon = self.start_listening("--once")
        client = self.connect()
        self.assertTrue(ask_features(client))
        client.close()
        self.assertEqual(daemon.wait(), 0)
        self.assertFalse(Path(self.socket_path).exists())

    def test_probe_is_no_vm(self):
        daemon = self.start_listening("--once")
        self.connect().close()
        daemon.wait_for_log("without a message")
        self.assertTrue(ask_features(self.connect()))
        self.assertIsNone(daemon.process.poll())

    def test_second_vm_is_told(self):
        daemon = self.start_listening()
        first = self.connect()
        self.assertTrue(ask_features(first))
        second = self.connect()
        second.sendall(GET_FEATURES)
        try:
            self.assertEqual(second.recv(1), b"")
        except ConnectionResetError:
            pass  # closed with its message unread
        daemon.wait_for_log("refused a second connection")
        self.assertTrue(ask_features(first))

    def test_successor_is_served(self):
        daemon = self.start_listening()
        first = self.connect()
        self.assertTrue(ask_features(first))
        second = self.connect()
        second.sendall(GET_FEATURES)
        time.sleep(0.2)
        first.close()
        self.assertEqual(len(second.recv(20, socket.MSG_WAITALL)), 20)
        self.assertNotIn("refused", daemon.log)
        time.sleep(1.2)  # the limit of holding must not touch a VM that is served
        self.assertTrue(ask_features(second))

    def test_many_connections_do_no_harm(self):
        self.start_listening()
        first = self.connect()
        self.assertTrue(ask_features(first))
        for _ in range(10):
            self.connect(limit=1)
        self.assertTrue(ask_features(first))


class SocketGroup(daemonlib.DaemonTest):
    """--socket-group. Only root can give a file to any group, and be another user."""

    GROUP, OTHER_GROUP, USER = 61234, 61235, 61236

    @staticmethod
    def give_up_chown():
        """For root's child: chown(2) then takes it for any user, who gives files to own groups only."""
        if ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, CAP_CHOWN) != 0:
            raise OSError(ctypes.get_errno(), "prctl")

    def group_of(self, path):
        status = os.stat(path)
        return status.st_gid, oct(stat.S_IMODE(status.st_mode))

    def need_root(self):
        if os.geteuid() != 0:
            self.skipTest("only root can be another user")
        os.chmod(self.folder, 0o755)

    def connect_as(self, *groups, path=None):
        """errno of a connect() by a user of these groups; 0 when it is let in."""
        code = (f"import os, socket; os.setgroups({list(groups[1:])}); os.setgid({groups[0]}); "
                f"os.setuid({self.USER}); s = socket.socket(socket.AF_UNIX); "
                f"print(s.connect_ex({path or self.socket_path!r}))")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                              timeout=LIMIT, check=True)
        return int(done.stdout)

    def test_own_group_whatever_the_umask(self):
        for mask in (0o000, 0o022, 0o077):
            with self.subTest(mask=oct(mask)):
                daemon = self.start_listening(f"--socket-group={os.getegid()}", umask=mask)
                self.assertEqual(self.group_of(self.socket_path), (os.getegid(), "0o660"))
                daemon.stop()

    def test_group_is_let_in_and_others_are_not(self):
        self.need_root()
        self.start_listening(f"--socket-group={self.GROUP}", umask=0o022)
        self.assertEqual(self.group_of(self.socket_path), (self.GROUP, "0o660"))
        self.assertEqual(self.connect_as(self.OTHER_GROUP), errno.EACCES)
        self.assertEqual(self.connect_as(self.GROUP), 0)
        self.assertEqual(self.connect_as(self.OTHER_GROUP, self.GROUP), 0)

    def test_control_socket_is_not_the_groups(self):
        self.need_root()
        self.start_listening(f"--socket-group={self.GROUP}", f"--control={self.control_path}",
                             umask=0)
        wait_for("the control socket", lambda: daemonlib.is_listening(self.control_path))
        self.assertEqual(self.group_of(self.control_path), (os.getegid(), "0o600"))
        self.assertEqual(self.connect_as(self.GROUP, path=self.control_path), errno.EACCES)

    def test_member_gives_it_and_nobody_else(self):
        self.need_root()
        arguments = [f"--socket-path={self.socket_path}", f"--socket-group={self.GROUP}"]
        self.assert_refused(arguments, self.socket_path, f"group {self.GROUP}", "as a member",
                            status=1, extra_groups=[], preexec_fn=self.give_up_chown)
        self.assertFalse(Path(self.socket_path).exists())
        self.start(*arguments, extra_groups=[self.GROUP], preexec_fn=self.give_up_chown)
        self.assertEqual(self.group_of(self.socket_path), (self.GROUP, "0o660"))

    def test_unknown_group(self):
        self.assert_refused([f"--socket-path={self.socket_path}", "--socket-group=no-such-group"],
                            "--socket-group=no-such-group", "no such group")
        self.assertFalse(Path(self.socket_path).exists())

    def test_passed_socket_is_refused(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.assert_refused([f"--fd={theirs.fileno()}", "--socket-group=0"],
                                "--socket-group has no use with --fd", pass_fds=[theirs.fileno()])


class Fd(daemonlib.DaemonTest):
    def test_connected(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        daemon = self.start(f"--fd={theirs.fileno()}", pass_fds=[theirs.fileno()],
                            ready="serves one VM")
        fd = theirs.fileno()
        theirs.close()
        self.assertTrue(ask_features(ours))
        self.assertIn(f"[fd-{fd}]", daemon.log)
        ours.close()
        self.assertEqual(daemon.wait(), 0)

    def test_blocking_socket_does_not_block(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        theirs.setblocking(True)
        daemon = self.start(f"--fd={theirs.fileno()}", pass_fds=[theirs.fileno()],
                            ready="serves one VM")
        theirs.close()
        ours.sendall(GET_FEATURES[:5])  # a part of a message: the daemon must not wait in read
        time.sleep(0.1)
        self.assertEqual(daemon.stop(), 0)

    def test_closed_before_the_start(self):
        ours, theirs = socket.socketpair()
        ours.close()
        daemon = self.start(f"--fd={theirs.fileno()}", pass_fds=[theirs.fileno()], ready=None)
        theirs.close()
        self.assertEqual(daemon.wait(), 0)

    def test_listening(self):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(self.socket_path)
        listener.listen()
        daemon = self.start(f"--fd={listener.fileno()}", pass_fds=[listener.fileno()])
        listener.close()
        for _ in range(2):
            client = self.connect()
            self.assertTrue(ask_features(client))
            client.close()
        self.assertIn("[gpu.sock]", daemon.log)
        self.assertEqual(daemon.stop(), 0)
        self.assertTrue(Path(self.socket_path).exists(), "not ours: must stay")

    def test_not_open(self):
        self.assert_refused(["--fd=99"], "--fd=99", "not open", status=1)

    def test_no_socket(self):
        self.assert_refused(["--fd=0"], "--fd=0", "not a unix stream socket", status=1)

    def test_wrong_kinds(self):
        for kind in ((socket.AF_UNIX, socket.SOCK_DGRAM), (socket.AF_INET, socket.SOCK_STREAM)):
            with socket.socket(*kind) as wrong:
                self.assert_refused([f"--fd={wrong.fileno()}"], "not a unix stream socket",
                                    status=1, pass_fds=[wrong.fileno()])

    def test_neither_connected_nor_listening(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as idle:
            self.assert_refused([f"--fd={idle.fileno()}"], "neither connected nor listening",
                                status=1, pass_fds=[idle.fileno()])

    def test_standard_descriptors_closed(self):
        # What is opened then must not become descriptor 2: the log would go into it.
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        fd = theirs.fileno()
        process = subprocess.Popen(
            ["sh", "-c", f"exec {daemonlib.DAEMON} --fd={fd} <&- >&- 2>&-"], pass_fds=[fd])
        self.addCleanup(process.kill)
        theirs.close()
        self.assertTrue(ask_features(ours))
        ours.close()
        self.assertEqual(process.wait(LIMIT), 0)


class Systemd(daemonlib.DaemonTest):
    def start_activated(self, listener, *arguments, count="1", pid=True, ready="listens"):
        """Start the daemon with the socket as descriptor 3, as a socket unit does."""
        command = [daemonlib.DAEMON, *arguments]
        if pid:
            command = [sys.executable, "-c", EXEC_WITH_PID, *command]

        def pass_socket():
            os.dup2(listener.fileno(), 3)
            os.set_inheritable(3, True)  # when it was 3 already

        log = self.folder / "activated.log"
        environment = {**os.environ, "LISTEN_FDS": count, "LISTEN_PID": "1"}
        with open(log, "wb") as stderr:
            process = subprocess.Popen(command, preexec_fn=pass_socket, close_fds=False,
                                       env=environment, stderr=stderr)
        self.addCleanup(process.kill)
        if ready:
            wait_for("the daemon to listen", lambda: ready in log.read_text())
        return process, log

    def listener(self):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(listener.close)
        listener.bind(self.socket_path)
        listener.listen()
        return listener

    def test_listening_socket(self):
        process, log = self.start_activated(self.listener())
        client = self.connect()
        self.assertTrue(ask_features(client))
        self.assertIn("[gpu.sock]", log.read_text())
        environment = Path(f"/proc/{process.pid}/fdinfo/3").read_text()
        self.assertIn("flags:\t02004002", environment)  # O_CLOEXEC among them
        process.terminate()
        self.assertEqual(process.wait(LIMIT), 0)
        self.assertTrue(Path(self.socket_path).exists())

    def test_connected_socket(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        process, _ = self.start_activated(theirs, ready="serves one VM")
        theirs.close()
        self.assertTrue(ask_features(ours))
        ours.close()
        self.assertEqual(process.wait(LIMIT), 0)

    def test_two_sockets(self):
        process, log = self.start_activated(self.listener(), count="2", ready=None)
        self.assertEqual(process.wait(LIMIT), 1)
        self.assertIn("one ListenStream=", log.read_text())

    def test_garbage(self):
        process, log = self.start_activated(self.listener(), count="-3", ready=None)
        self.assertEqual(process.wait(LIMIT), 1)
        self.assertIn("LISTEN_FDS=-3", log.read_text())

    def test_for_another_process(self):
        process, log = self.start_activated(self.listener(), pid=False, ready=None)
        self.assertEqual(process.wait(LIMIT), 1)
        self.assertIn("no socket to serve", log.read_text())

    def test_contradiction(self):
        process, log = self.start_activated(
            self.listener(), f"--socket-path={self.folder}/other", ready=None)
        self.assertEqual(process.wait(LIMIT), 1)
        self.assertIn("systemd passed a socket and --socket-path is given too", log.read_text())

    def test_group_is_the_socket_units(self):
        process, log = self.start_activated(self.listener(), "--socket-group=0", ready=None)
        self.assertEqual(process.wait(LIMIT), 1)
        self.assertIn("SocketGroup=", log.read_text())

    def check_notification(self, address):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(address.replace("@", "\0", 1))
            manager.settimeout(LIMIT)
            daemon = self.start_listening(environment={"NOTIFY_SOCKET": address})
            self.assertEqual(manager.recv(100), b"READY=1")
            self.assertTrue(ask_features(self.connect()))  # ready means that one can connect
            daemon.stop()
            self.assertEqual(manager.recv(100), b"STOPPING=1")

    def test_notification(self):
        self.check_notification(str(self.folder / "notify"))

    def test_notification_to_an_abstract_socket(self):
        self.check_notification(f"@gpud-test-{os.getpid()}-{time.monotonic_ns()}")

    def test_notification_to_nobody(self):
        for address in ("nonsense", "/nowhere/at/all", "/" + "x" * 200):
            with self.subTest(address=address):
                daemon = self.start_listening(environment={"NOTIFY_SOCKET": address})
                daemon.wait_for_log("NOTIFY_SOCKET=")
                self.assertTrue(ask_features(self.connect()))
                daemon.stop()


class End(daemonlib.DaemonTest):
    def test_signals_end_it_and_files_go(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            daemon = self.start_listening(f"--control={self.control_path}")
            wait_for("the control socket", lambda: daemonlib.is_listening(self.control_path))
            daemon.process.send_signal(number)
            self.assertEqual(daemon.wait(), 0)
            self.assertEqual([path.name for path in self.folder.iterdir()
                              if path.is_socket()], [])

    def test_signal_while_serving(self):
        daemon = self.start_listening()
        client = self.connect()
        self.assertTrue(ask_features(client))
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(client.recv(1), b"")

    def test_file_of_a_successor_stays(self):
        daemon = self.start_listening()
        os.unlink(self.socket_path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as successor:
            successor.bind(self.socket_path)
            self.assertEqual(daemon.stop(), 0)
            self.assertTrue(Path(self.socket_path).exists())

    def test_killed_daemon_is_replaced(self):
        first = self.start_listening(f"--control={self.control_path}")
        first.kill()
        second = self.start_listening(f"--control={self.control_path}")
        self.assertEqual(second.log.count("replaced a stale socket file"), 2)

    def test_failed_start_leaves_no_file(self):
        self.assert_refused([f"--socket-path={self.socket_path}", "--control=none/control"],
                            "none/control", status=1)
        self.assertFalse(Path(self.socket_path).exists())


class Log(daemonlib.DaemonTest):
    def test_name_in_every_line(self):
        daemon = self.start_listening("--name=lab 7", "--log-level=debug")
        client = self.connect()
        self.assertTrue(ask_features(client))
        client.close()
        daemon.wait_for_log("gone")
        daemon.stop()
        for line in daemon.log.splitlines():
            self.assertTrue(line.startswith("virtio-gpud[lab 7]: "), line)

    def test_default_name_is_the_file_name(self):
        daemon = self.start_listening()
        self.assertTrue(daemon.log.startswith("virtio-gpud[gpu.sock]: "))

    def test_file_name_cannot_forge_lines(self):
        path = str(self.folder / "a\nb")
        daemon = self.start(f"--socket-path={path}")
        self.assertTrue(daemon.log.startswith("virtio-gpud[a?b]: "), daemon.log)

    def test_start_says_what_is_offered(self):
        daemon = self.start_listening("--display=headless,outputs=2,mode=640x480")
        line = daemon.log.splitlines()[0]
        for text in ("2D", "2 outputs of 640x480", "not offered: OpenGL (--capset=virgl), Vulkan"):
            self.assertIn(text, line)

    def test_levels(self):
        daemon = self.start_listening("--log-level=warn", ready=None)
        wait_for("the socket", lambda: daemonlib.is_listening(self.socket_path))
        self.assertTrue(ask_features(self.connect()))
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(daemon.log, "")

    def test_journal_prefixes(self):
        path = self.folder / "journal"
        with open(path, "wb") as journal:
            status = os.fstat(journal.fileno())
            stream = f"{status.st_dev}:{status.st_ino}"
            daemon = self.start_listening(stderr=journal, ready=None,
                                          environment={"JOURNAL_STREAM": stream})
            wait_for("the log", lambda: "listens" in path.read_text())
            daemon.stop()
        for line in path.read_text().splitlines():
            self.assertRegex(line, r"^<6>virtio-gpud\[gpu.sock\]: ")

    def test_journal_of_somebody_else(self):
        daemon = self.start_listening(environment={"JOURNAL_STREAM": "1:1"})
        self.assertTrue(daemon.log.startswith("virtio-gpud"))

    def test_closed_log_does_no_harm(self):
        reader, writer = os.pipe()
        daemon = self.start_listening(stderr=writer, ready=None)
        os.close(writer)
        wait_for("the socket", lambda: daemonlib.is_listening(self.socket_path))
        os.close(reader)
        client = self.connect()  # logs a line, to nobody
        self.assertTrue(ask_features(client))
        self.assertEqual(daemon.stop(), 0)


class Cost(daemonlib.DaemonTest):
    def test_libraries(self):
        if not shutil.which("ldd"):
            self.skipTest("no ldd here")
        if daemonlib.is_sanitized() or daemonlib.is_emulated():
            self.skipTest("built with a sanitizer, or emulated")
        out = subprocess.run(["ldd", daemonlib.DAEMON], capture_output=True, text=True,
                             check=True).stdout
        names = {line.split()[0].split(".so")[0] for line in out.splitlines()
                 if not line.strip().startswith(("linux-vdso", "/"))}
        # libm, libdl, libpthread and librt are parts of libc or of what libuv needs.
        names -= {"libm", "libdl", "libpthread", "librt", "ld-linux-x86-64", "ld-linux-aarch64"}
        self.assertEqual(names, {"libuv", "libpixman-1", "libjansson", "libc"})


if __name__ == "__main__":
    daemonlib.main()
