#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The launcher with a fake emulator: options, module lines, consoles, exit statuses."""
import hashlib
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, f"{TOP}/tools")
from launch import bootdisk, options  # noqa: E402
from launch.options import UsageError  # noqa: E402

END = "com[2].sendall(b'\\x1eumbra: exit status %d\\n')"


class Options(unittest.TestCase):
    """The command line becomes module lines."""

    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.kernel = self.file("kernel")

    def file(self, name, data=b"x"):
        path = f"{self.dir.name}/{name}"
        with open(path, "wb") as file:
            file.write(data)
        return path

    def parse(self, *argv):
        return options.parse(["run", *argv])

    def lines(self, *argv):
        return [words for _, words in self.parse(*argv).modules]

    def assert_refused(self, text, *argv):
        with self.assertRaisesRegex(UsageError, text):
            self.parse(*argv)

    def test_plain(self):
        opts = self.parse(self.kernel)
        self.assertEqual(opts.modules, [(self.kernel, "kernel vm=guest console=com1 onreset=end")])
        self.assertEqual((opts.boot, opts.pcpus, opts.pmem), ("direct", 1, 512 << 20))

    def test_words(self):
        self.assertEqual(self.lines("--mem", "64M", "--vcpus", "2", "--mmu", "shadow", "--set", "a=b", self.kernel),
                         ["kernel vm=guest mem=67108864 vcpus=2 mmu=shadow console=com1 onreset=end a=b"])

    def test_command_line_is_kept(self):
        self.assertEqual(self.lines(self.kernel, "--", "a", "--", "--mem", "b=c,d"),
                         ["kernel vm=guest console=com1 onreset=end -- a -- --mem b=c,d"])

    def test_files(self):
        initrd, module, disk = self.file("i"), self.file("m"), self.file("d")
        self.assertEqual(self.parse("--initrd", initrd, "--module", f"{module} fwcfg=x -- y", "--disk", disk,
                                    "--module", module, self.kernel).modules[1:],
                         [(initrd, "initrd vm=guest"), (disk, "disk vm=guest"),
                          (module, "module vm=guest fwcfg=x -- y"), (module, "module vm=guest")])

    def test_bios(self):
        self.assertEqual(self.lines("--bios", self.kernel), ["bios vm=guest console=com1 onreset=end"])

    def test_what_is_no_file(self):
        os.mkfifo(f"{self.dir.name}/pipe")
        for path, words in ((self.dir.name, "a directory, not a file"), ("/dev/null", "a device, not a file"),
                            (f"{self.dir.name}/pipe", "a pipe, not a file"), (f"{self.kernel}/x", "Not a directory"),
                            ("a\0b", "embedded null byte"), ("x" * 300, "File name too long")):
            self.assert_refused(words, path)
            self.assert_refused(words, "--initrd", path, self.kernel)
            self.assert_refused(words, "--module", f"{path} fwcfg=x", self.kernel)
            self.assert_refused(words, "--image", path, self.kernel)
        secret = self.file("secret")
        os.chmod(secret, 0)
        if os.getuid():  # root may read everything
            self.assert_refused("secret: Permission denied", secret)

    def test_further_guests(self):
        opts = self.parse("--vm", f"{self.kernel} --vcpus 4 --name web -- x 'y  z'", "--vm", self.kernel, self.kernel)
        self.assertEqual([words for _, words in opts.modules],
                         ["kernel vm=guest console=com1 onreset=end", "kernel vm=web vcpus=4 console=com3 onreset=end -- x 'y  z'",
                          "kernel vm=vm3 console=com4 onreset=end"])
        self.assertEqual(opts.pcpus, 4)
        self.assertEqual(opts.pmem, 1 << 30)

    def test_shared_console(self):
        opts = self.parse("--set", "console=shared", self.kernel)
        self.assertEqual(opts.modules, [(self.kernel, "kernel vm=guest onreset=end console=shared")])
        self.assertTrue(opts.guests[0].is_shared)

    def test_reset(self):
        self.assertEqual(self.lines("--onreset", "restart", self.kernel), ["kernel vm=guest console=com1 onreset=restart"])
        self.assertEqual(self.lines("--set", "onreset=restart", self.kernel), ["kernel vm=guest console=com1 onreset=restart"])
        self.assert_refused("--onreset: invalid choice: 'never'", "--onreset", "never", self.kernel)

    def test_uefi_leaves_com1_to_the_firmware(self):
        self.assertEqual(self.lines("--boot", "uefi", self.kernel), ["kernel vm=guest console=com3 onreset=end"])

    def test_refused(self):
        self.assert_refused("nofile: no such file", f"{self.dir.name}/nofile")
        self.assert_refused("nofile: no such file", "--initrd", f"{self.dir.name}/nofile", self.kernel)
        self.assert_refused("KERNEL")
        self.assert_refused("unrecognized arguments: --bogus", "--bogus", self.kernel)
        self.assert_refused("no size such as", "--mem", "12Q", self.kernel)
        self.assert_refused("not in 1 to 64", "--vcpus", "0", self.kernel)
        self.assert_refused("not in 1 to 64", "--pcpus", "65", self.kernel)
        for value in ("0", "-1", "nan", "inf", "1e999", "x", ""):
            self.assert_refused("--timeout: '.*' is no number of seconds", f"--timeout={value}", self.kernel)
        for value in ("0", "0K", "", "-1", "x", "1.5G", "0x", "٣"):
            self.assert_refused("--mem: '.*' is no (size such as|memory at all)", f"--mem={value}", self.kernel)
        self.assert_refused("--mem: '.*' is more than an x86 CPU can address", "--mem=99999999G", self.kernel)
        self.assertIn("mem=4096", self.lines("--mem", "04K", self.kernel)[0])
        for value in ("0", "63M", "512K", "", "1000000001"):
            self.assert_refused("--pmem: '.*' is no(t a number of whole megabytes| size| memory)", f"--pmem={value}", self.kernel)
        for value in ("0", "-1", "65", "1.0", "", "²", "99999999999999999999"):
            self.assert_refused("--vcpus: '.*' is not in 1 to 64", f"--vcpus={value}", self.kernel)
        for option in ("--expect", "--initrd", "--disk", "--module", "--set", "--log", "--image", "--vm", "--emulator-option"):
            self.assert_refused(f"{option}: it is empty", f"{option}=", self.kernel)
        self.assert_refused("KERNEL: it is empty", "")
        for option in ("--name", "--model"):
            self.assert_refused(f"{option}: '' is not one word", f"{option}=", self.kernel)
            self.assert_refused(f"{option}: 'a b' is not one word", f"{option}=a b", self.kernel)
        for words in ("--mem 64M", "--mem 256M", "--vcpus 1", "--name a", "--expect a", "--timeout 1", "--cpu amd", "--boot bios"):
            option, value = words.split()
            self.assert_refused(f"{option}: given twice", option, value, option, value, self.kernel)
        self.assert_refused("--vm: argument --mem: given twice", "--vm", f"{self.kernel} --mem 64M --mem 64M", self.kernel)
        self.assert_refused("two guests are called guest", "--vm", f"{self.kernel} --name guest", self.kernel)
        self.assert_refused("consoles for 3", *["--vm", self.kernel] * 3, self.kernel)
        self.assert_refused("--vm: .*--cpu", "--vm", f"{self.kernel} --cpu amd", self.kernel)
        self.assert_refused("--vm: No closing quotation", "--vm", "'", self.kernel)
        with self.assertRaisesRegex(UsageError, "usage:"):
            options.parse(["walk"])


class Launcher(unittest.TestCase):
    """What it takes for whole runs of the launcher."""
    options = ()

    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        self.image = self.kernel = f"{self.dir.name}/kernel"
        self.work = f"{self.dir.name}/work"  # where the launcher keeps its files
        os.mkdir(self.work)
        with open(self.kernel, "wb") as file:
            file.write(b"x")

    def environment(self, script, **more):
        fake = f"{TOP}/tests/tools/fake-emulator"
        return dict(os.environ, UMBRA_QEMU=fake, UMBRA_BOCHS=fake, FAKE_EMULATOR=script, TMPDIR=self.work, **more)

    def command(self, *argv):
        return [f"{TOP}/tools/umbra", "run", "--image", self.image, *self.options, *argv]

    def run_umbra(self, script, *argv, stdin=b"", **more):
        source = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        return subprocess.run(self.command(*argv), env=self.environment(script, **more), **source,
                              capture_output=True, timeout=30, check=False)

    def assert_ends(self, status, script, *argv, stdin=b"", **more):
        done = self.run_umbra(script, *argv, self.kernel, stdin=stdin, **more)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(os.listdir(self.work), [])
        return done

    def assert_stops(self, number, script="time.sleep(60)"):
        """A signal to the launcher ends it, with the emulator, and leaves no files."""
        tell = "com[1].sendall(b'%d\\n' % os.getpid()); "
        with subprocess.Popen(self.command(self.kernel), env=self.environment(tell + script), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            emulator = int(child.stdout.readline())
            child.send_signal(number)
            child.wait(10)
        for _ in range(100):
            if not os.path.exists(f"/proc/{emulator}"):
                break
            time.sleep(0.05)
        self.assertFalse(os.path.exists(f"/proc/{emulator}"))
        return child.returncode


class Run(Launcher):
    """Runs with QEMU, and what holds for any emulator."""

    def test_status_is_the_verdict(self):
        for status in (0, 1, 37, 101, 102, 255):
            self.assert_ends(status, END % status)

    def test_a_verdict_ends_a_machine_that_goes_on(self):
        self.assert_ends(5, (END % 5) + "; time.sleep(60)")

    def test_console_is_passed_on_unchanged(self):
        done = self.assert_ends(0, "com[1].sendall(bytes(range(256)) * 999); " + END % 0)
        self.assertEqual(done.stdout, bytes(range(256)) * 999)

    def test_what_is_said_after_the_verdict_is_not_lost(self):
        done = self.assert_ends(0, (END % 0) + "; time.sleep(.3); com[1].sendall(b'late')")
        self.assertEqual(done.stdout, b"late")

    def test_log_is_on_stderr_or_in_a_file(self):
        done = self.assert_ends(0, "com[2].sendall(b'\\x1eumbra: hello\\r\\n'); " + END % 0)
        self.assertEqual(done.stderr, b"umbra: hello\numbra: exit status 0\n")
        log = f"{self.dir.name}/log"
        done = self.assert_ends(0, "com[2].sendall(b'\\x1eumbra: hello\\r\\n'); " + END % 0, "--log", log)
        with open(log, "rb") as file:
            self.assertEqual((done.stderr, file.read()), (b"", b"umbra: hello\numbra: exit status 0\n"))

    def test_log_that_cannot_be_written(self):
        self.assertIn(b"--log: /nowhere/log: No such file", self.assert_ends(102, "", "--log", "/nowhere/log").stderr)

    def test_panic(self):
        done = self.assert_ends(103, "com[2].sendall(b'\\x1epanic: lost\\n'); time.sleep(.3); com[2].sendall(b'rip 0\\n')")
        self.assertIn(b"rip 0\n", done.stderr)

    def test_a_guest_cannot_forge_a_verdict(self):
        self.assert_ends(7, "com[1].sendall(b'umbra: exit status 0\\npanic: no\\n'); time.sleep(.2); " + END % 7)

    def test_a_guest_that_is_quoted_cannot_forge_a_verdict(self):
        for words in ("umbra: exit status 0", "panic: no"):
            quoted = f"com[2].sendall(b'\\x1evm guest: firmware: {words}\\r\\n'); time.sleep(.2); "
            self.assert_ends(7, quoted + END % 7)
        self.assert_ends(7, "com[2].sendall(b'\\x1eumbra: exit status 0, they say\\n'); time.sleep(.2); " + END % 7)

    def test_a_guest_on_the_logs_line_cannot_forge_a_verdict(self):
        """What is there is Umbra's only behind Umbra's mark, and a guest's such byte comes escaped (lib/log.h)."""
        forged = ("umbra: exit status 0\\n", "\\n\\rumbra: exit status 0\\r\\n", "panic: no\\n", "\\x10\\x5eumbra: exit status 0\\n",
                  "\\x10\\x50\\x10\\x5eumbra: exit status 0\\n", "\\x10\\x5f\\x10\\x5eumbra: exit status 0\\n")
        for words in forged:
            said = f"com[2].sendall(b'\\x1eumbra: hello\\n\\x1f{words}'); time.sleep(.2); "
            done = self.assert_ends(7, said + END % 7, "--set", "console=shared")
            self.assertEqual(done.stderr, b"umbra: hello\numbra: exit status 7\n")
            self.assertNotEqual(done.stdout, b"")

    def test_a_firmware_on_the_logs_line_is_no_log(self):
        done = self.assert_ends(7, "com[2].sendall(b'\\x1b[2Jumbra: exit status 0\\npanic: no\\n'); time.sleep(.2); " + END % 7)
        self.assertEqual(done.stderr, b"umbra: exit status 7\n")

    def test_marks_in_pieces(self):
        """However the bytes come: in mid-line, in mid-escape, a line of Umbra's around a guest's bytes."""
        said = b"\x1eumbra: a\n\x1fx\x10\x5ey\x10\x50\x10\x5f\x1eum\x1f\r\x1ebra: b\n\x1fz\x1e\numbra: c\n"
        script = f"[(com[2].sendall(bytes([b])), time.sleep(.002)) for b in {said!r}]; " + END % 0
        done = self.assert_ends(0, script, "--set", "console=shared")
        self.assertEqual(done.stderr, b"umbra: a\numbra: b\numbra: c\numbra: exit status 0\n")
        self.assertEqual(done.stdout, b"x\x1ey\x10\x1f\rz")

    def test_a_further_guest_may_share_the_logs_line(self):
        done = self.assert_ends(0, "com[2].sendall(b'\\x1fhello\\n'); com[1].sendall(b'mine\\n'); " + END % 0,
                                "--vm", f"--name web --set console=shared {self.kernel}")
        self.assertEqual(sorted(done.stdout.splitlines()), [b"mine", b"web| hello"])

    def test_end_without_a_word(self):
        self.assertIn(b"without a word", self.assert_ends(103, "com[2].sendall(b'\\x1eumbra: hello')").stderr)

    def test_emulator_that_fails(self):
        self.assertIn(b"status -9", self.assert_ends(104, "com[2].sendall(b'\\x1eumbra: hello'); os.kill(os.getpid(), 9)").stderr)

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.assertEqual(self.assert_stops(number), 130)
            self.assertEqual(os.listdir(self.work), [])
        self.assertEqual(self.assert_stops(signal.SIGKILL), -signal.SIGKILL)

    def test_emulator_that_refuses(self):
        done = self.assert_ends(102, "sys.exit('no such CPU')")
        self.assertIn(b"no such CPU", done.stderr)
        self.assertIn(b"refused to start", done.stderr)

    def test_timeout(self):
        done = self.assert_ends(124, "com[1].sendall(b'so far'); time.sleep(60)", "--timeout", "0.5")
        self.assertEqual(done.stdout, b"so far")
        self.assertIn(b"no end within 0.5 s", done.stderr)

    def test_expected_text(self):
        self.assert_ends(0, "com[1].sendall(b'ab'); time.sleep(.1); com[1].sendall(b'cd'); time.sleep(60)", "--expect", "bc")
        self.assertIn(b"without the expected", self.assert_ends(1, END % 0, "--expect", "bc").stderr)
        self.assert_ends(101, END % 101, "--expect", "bc")

    def test_further_guest(self):
        script = "com[3].sendall(b'x\\r\\ny'); com[1].sendall(b'z'); " + END % 0
        done = self.assert_ends(0, script, "--vm", f"{self.kernel} --name web")
        self.assertIn(b"web| x\r\n", done.stdout)
        self.assertIn(b"web| y\n", done.stdout)

    def test_a_reader_that_is_late_loses_nothing(self):
        script = ("os.kill(os.getppid(), signal.SIGSTOP); com[1].setblocking(False); [com[1].send(b'x') for _ in range(20000)]; "
                  "os.kill(os.getppid(), signal.SIGCONT); " + END % 0)
        self.assertEqual(self.assert_ends(0, script).stdout, b"x" * 20000)

    def test_a_line_of_another_guest_does_not_cut_into_one(self):
        script = ("com[1].sendall(b'ok 1'); time.sleep(0.1); com[3].sendall(b'between\\n'); time.sleep(0.1); "
                  "com[1].sendall(b' - whole\\n/ # '); time.sleep(0.1); com[3].sendall(b'late\\n'); time.sleep(1); "
                  "com[1].sendall(b'typed\\n'); time.sleep(0.1); " + END % 0)
        done = self.assert_ends(0, script, "--vm", f"{self.kernel} --name web")
        self.assertEqual(done.stdout, b"ok 1 - whole\nweb| between\n/ # web| late\ntyped\n")

    def test_keys_reach_the_guest(self):
        done = self.run_umbra("com[1].sendall(com[1].recv(9).upper()); " + END % 0, self.kernel, stdin=b"shell")
        self.assertEqual(done.stdout, b"SHELL")

    def test_keys_from_a_file(self):
        with open(f"{self.dir.name}/keys", "wb") as file:
            file.write(b"keys")
        env = dict(os.environ, UMBRA_QEMU=f"{TOP}/tests/tools/fake-emulator",
                   FAKE_EMULATOR="com[1].sendall(com[1].recv(9).upper()); " + END % 0)
        with open(f"{self.dir.name}/keys", "rb") as file:
            done = subprocess.run([f"{TOP}/tools/umbra", "run", "--image", self.kernel, self.kernel], env=env, stdin=file,
                                  capture_output=True, timeout=30, check=False)
        self.assertEqual(done.stdout, b"KEYS")

    def test_a_long_file_of_keys_waits_for_a_guest_that_is_slow(self):
        """And what the guest says meanwhile comes through."""
        keys = bytes(range(256)) * 20000
        script = (f"com[1].sendall(b'hello'); time.sleep(.3); want = {len(keys)}; got = b''\n"
                  "while len(got) < want: got += com[1].recv(65536)\n"
                  "import hashlib; com[1].sendall(hashlib.md5(got).hexdigest().encode()); " + END % 0)
        with open(f"{self.dir.name}/keys", "wb") as file:
            file.write(keys)
        for command in ('exec "$@" <"$0"', 'cat "$0" | "$@"'):
            done = subprocess.run(["sh", "-c", command, f"{self.dir.name}/keys", *self.command(self.kernel)],
                                  env=self.environment(script), capture_output=True, timeout=30, check=False)
            self.assertEqual(done.stdout, b"hello" + hashlib.md5(keys).hexdigest().encode())
            self.assertEqual(done.returncode, 0)

    # What is written to a reader that stands still: more than a pipe and the launcher itself hold.
    FLOOD = "com[{}].sendall(b'\\x1e' + b'flood of words\\n' * 200000); time.sleep(60)"

    def assert_gives_up(self, script, words=("--timeout", "0.5"), status=124, stdin="/dev/null", signals=(), before=0.0, **streams):
        """A run whose outputs nobody reads ends by itself, or by a signal, in time."""
        begin = time.monotonic()
        with open(stdin, "rb") as keys, subprocess.Popen(self.command(*words, self.kernel), env=self.environment(script),
                                                         stdin=keys, **streams) as child:
            time.sleep(before)
            for number in signals:
                child.send_signal(number)
            child.wait(20)
            for stream in (child.stdout, child.stderr):
                if stream:
                    stream.close()
        self.assertEqual(child.returncode, status)
        self.assertLess(time.monotonic() - begin, 10)
        self.assertEqual(os.listdir(self.work), [])

    def test_time_is_over_though_nobody_reads(self):
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        self.assert_gives_up(self.FLOOD.format(1), stdout=pipe, stderr=null)
        self.assert_gives_up(self.FLOOD.format(2), stdout=null, stderr=pipe)
        self.assert_gives_up(self.FLOOD.format(2), stdout=pipe, stderr=subprocess.STDOUT)
        self.assert_gives_up(f"com[1].sendall(b'x' * 500000); {END % 0}", stdout=pipe, stderr=null)

    def test_time_is_over_though_keys_keep_coming(self):
        self.assert_gives_up("time.sleep(60)", stdin="/dev/zero", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def test_a_signal_ends_a_run_whose_outputs_nobody_reads(self):
        for com, streams in ((1, {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}),
                             (2, {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE})):
            self.assert_gives_up(self.FLOOD.format(com), (), 130, signals=[signal.SIGINT], before=1.0, **streams)

    def test_a_late_reader_gets_it_all(self):
        with subprocess.Popen(self.command(self.kernel), env=self.environment(f"com[1].sendall(b'x' * 3000000); {END % 0}"),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            time.sleep(1.0)
            self.assertEqual(child.communicate(timeout=20)[0], b"x" * 3000000)
        self.assertEqual(child.returncode, 0)

    def shell(self, text, script):
        """(what is on the shell's stderr, the status of the run) with $@ for the run in the text."""
        done = subprocess.run(["bash", "-c", f"{text}; echo status ${{PIPESTATUS[0]}} >&2", "bash", *self.command(self.kernel)],
                              env=self.environment(script), stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
        self.assertEqual(os.listdir(self.work), [])
        words, _, status = done.stderr.decode().rstrip().rpartition("status ")
        return words, int(status)

    def test_a_reader_that_is_gone_ends_the_run(self):
        flood = "[(com[1].sendall(b'line\\n' * 9000), com[2].sendall(b'\\x1e' + b'line\\n' * 9000)) for _ in range(99)]; time.sleep(60)"
        for text in ('"$@" 2>/dev/null | head -1', '"$@" 2>&1 >/dev/null | head -1', '"$@" 2>&1 | head -1'):
            self.assertEqual(self.shell(text, flood), ("", 128 + signal.SIGPIPE))

    def test_an_output_that_cannot_be_written(self):
        say = "com[1].sendall(b'hello\\n'); com[2].sendall(b'\\x1ehello\\n'); time.sleep(60)"
        self.assertEqual(self.shell('"$@" >/dev/full 2>/dev/null', say), ("", 102))
        self.assertRegex(self.shell('"$@" >/dev/full', say)[0], r"^(hello\n)?umbra: stdout: No space left on device\n$")
        self.assertEqual(self.shell('"$@" 2>/dev/full', say), ("", 102))
        self.assertEqual(self.shell('"$@" >/dev/full 2>/dev/full', say), ("", 102))
        self.assertEqual(self.shell('"$@" --log /dev/full', say), ("umbra: --log: /dev/full: No space left on device\n", 102))
        self.assertEqual(self.shell('"$@" >&-', say), ("umbra: stdout is closed\n", 102))
        self.assertEqual(self.shell('"$@" 2>&- <&-', f"com[1].sendall(b'hello\\n'); {END % 7}"), ("", 7))
        self.assertEqual(self.shell('"$@" --help >/dev/full', ""), ("umbra: stdout: No space left on device\n", 102))
        self.assertEqual(self.shell('"$@" --help | true', "")[0], "")

    def run_at_terminal(self, script, keys):
        """A run whose keys come from a terminal: (status, stdout)."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        with subprocess.Popen(["setsid", "-c", "-w", *self.command(self.kernel)], env=self.environment(script), stdin=theirs,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            os.close(theirs)
            self.assertEqual(child.stdout.readline(), b"ready\n")
            os.write(ours, keys)
            try:
                out = child.communicate(timeout=20)[0]
            finally:
                child.kill()
        return child.returncode, out

    def test_keys_of_a_terminal(self):
        """Ctrl-] m sends them to the monitor, on the log's line, and back; twice Ctrl-] is one for the guest."""
        script = ("com[1].sendall(b'ready\\n'); guest, log = [b''.join(com[i].recv(1) for _ in range(5)) for i in (1, 2)]; "
                  "com[1].sendall(guest + b'/' + log); " + END % 0)
        self.assertEqual(self.run_at_terminal(script, b"a\x1d\x1db\x1dmlist\r\x1dm\x03!"), (0, b"a\x1db\x03!/list\r"))

    def test_a_key_ends_the_run(self):
        self.assertEqual(self.run_at_terminal("com[1].sendall(b'ready\\n'); time.sleep(60)", b"\x1dq"), (130, b""))
        self.assertEqual(os.listdir(self.work), [])

    def test_what_qemu_is_asked_for(self):
        script = "import json; com[1].sendall(json.dumps(argv).encode()); " + END % 0
        done = self.assert_ends(0, script, "--set", "cpus=0,1", "--icount", "--pcpus", "3", "--model", "max", "--hv", "loglevel=debug")
        argv = json.loads(done.stdout)
        after = {word: argv[i + 1] for i, word in enumerate(argv[:-1])}
        self.assertEqual((after["-smp"], after["-cpu"], after["-icount"]), ("3", "max", "shift=0,sleep=off"))
        self.assertEqual(after["-append"], "console=com2 marks=on onexit=poweroff exitport=0xf4 loglevel=debug")
        self.assertEqual(after["-initrd"], f"{self.kernel} kernel vm=guest console=com1 onreset=end cpus=0,,1")

    def test_blanks_in_a_path(self):
        path = f"{self.dir.name}/a kernel"
        os.rename(self.kernel, path)
        script = "i = argv[argv.index('-initrd') + 1].split(' ')[0]; com[1].sendall(open(i, 'rb').read()); " + END % 0
        env = dict(os.environ, UMBRA_QEMU=f"{TOP}/tests/tools/fake-emulator", FAKE_EMULATOR=script)
        done = subprocess.run([f"{TOP}/tools/umbra", "run", "--image", path, path], env=env, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=30, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, b"x"))

    def test_usage(self):
        done = subprocess.run([f"{TOP}/tools/umbra"], capture_output=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 102)
        done = subprocess.run([f"{TOP}/tools/umbra", "run", "--help"], capture_output=True, timeout=30, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_qemu_has_no_intel(self):
        self.assertIn(b"QEMU does not emulate VMX", self.assert_ends(102, "", "--cpu", "intel", "--emulator", "qemu").stderr)


class Bochs(Launcher):
    """Runs with Bochs: its ways to start and to end."""
    options = ("--cpu", "intel")

    def setUp(self):
        super().setUp()
        self.image = f"{TOP}/build/umbra.elf"

    def test_status_is_the_verdict(self):
        for status in (0, 37, 101):
            self.assert_ends(status, (END % status) + "; end_bochs('[UNMAP ] Shutdown port: shutdown requested')")

    def test_a_verdict_ends_a_machine_that_goes_on(self):
        self.assert_ends(5, (END % 5) + "; time.sleep(60)")

    def test_panic(self):
        done = self.assert_ends(103, "com[2].sendall(b'\\x1epanic: lost\\nrip 0\\n'); end_bochs('[UNMAP ] Shutdown port')")
        self.assertIn(b"rip 0\n", done.stderr)

    def test_timeout_in_instructions(self):
        script = "com[1].sendall(commands.encode()); print('(0) Caught time breakpoint', flush=True)"
        done = self.assert_ends(124, script, "--timeout", "2.5")
        self.assertEqual(done.stdout, b"sb 62500000\nc\nq\n")
        self.assertIn(b"no end within 2.5 s, of 25,000,000 instructions each", done.stderr)

    def test_timeout_with_several_cpus(self):
        """Bochs's time breakpoints do not work there."""
        done = self.assert_ends(124, "com[1].sendall(commands.encode()); time.sleep(60)", "--timeout", "0.5", "--pcpus", "2")
        self.assertEqual(done.stdout, b"c\nq\n")
        self.assertIn(b"no end within 0.5 s", done.stderr)

    def test_timeout_tells_where_the_cpus_were(self):
        line = "(1).[76] [0x0fea6] f000:fea6 (unk. ctxt): push eax"
        script = f"signal.signal(signal.SIGINT, lambda *_: (print('{line}', flush=True), os._exit(0))); time.sleep(60)"
        done = self.assert_ends(124, script, "--timeout", "0.5", "--pcpus", "2")
        self.assertEqual(done.stderr.decode(), f"{line}\numbra: no end within 0.5 s\n")

    def test_timeout_by_the_clock(self):
        done = self.assert_ends(124, "com[1].sendall(b'so far'); time.sleep(60)", "--timeout", "0.2")
        self.assertEqual(done.stdout, b"so far")
        self.assertIn(b"no end within 0.8 s", done.stderr)

    def test_debugger_that_stops_without_reason(self):
        """Status 0 alone is neither success nor a time-out."""
        self.assert_ends(104, "com[2].sendall(b'\\x1eumbra: hello')", "--timeout", "9")

    def test_end_without_a_word(self):
        for message in ("[UNMAP ] Shutdown port: shutdown requested", "[ACPI  ] ACPI control: soft power off"):
            self.assertIn(b"without a word", self.assert_ends(103, f"end_bochs('{message}')").stderr)

    def test_triple_fault_of_the_machine(self):
        done = self.assert_ends(103, "end_bochs('[CPU0  ] exception(): 3rd (13) exception with no resolution')")
        self.assertIn(b"triple fault: [CPU0  ]", done.stderr)

    def test_emulator_that_fails(self):
        self.assertIn(b"[CPU0  ] no idea", self.assert_ends(104, "end_bochs('[CPU0  ] no idea')").stderr)
        self.assertIn(b"status -9", self.assert_ends(104, "os.kill(os.getpid(), 9)").stderr)

    def test_emulator_that_refuses(self):
        script = ("print('00000000000p[      ] >>PANIC<< /x/bochsrc:5: cpu directive malformed.'); "
                  "end_bochs('[      ] /x/bochsrc:5: cpu directive malformed.')")
        for stdin in (b"", b"keys", None):
            done = self.assert_ends(102, script, stdin=stdin, UNCONNECTED="1")
            self.assertEqual(done.stderr,
                             b"/x/bochsrc:5: cpu directive malformed.\numbra: the emulator refused to start\n")

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self.assertEqual(self.assert_stops(number), 130)
            self.assertEqual(os.listdir(self.work), [])
        self.assertEqual(self.assert_stops(signal.SIGKILL), -signal.SIGKILL)

    def test_what_bochs_is_asked_for(self):
        done = self.assert_ends(0, "com[1].sendall(config.encode()); " + END % 0, "--pcpus", "2", "--model", "corei7_haswell_4770",
                                "--pmem", "1G", "--emulator-option", "keyboard: type=mf")
        lines = done.stdout.decode().split("\n")
        self.assertIn("memory: guest=1024, host=1024", lines)
        self.assertTrue([line for line in lines if line.startswith("cpu: model=corei7_haswell_4770, count=2, ")])
        self.assertIn("keyboard: type=mf", lines)
        self.assertIn("clock: sync=none, time0=946684800", lines)

    def test_terminal(self):
        """With --interactive the machine keeps pace with real time, and only the clock ends it."""
        done = self.assert_ends(0, "com[1].sendall((config + commands).encode()); " + END % 0, "--interactive", "--timeout", "9")
        self.assertIn(b"clock: sync=slowdown", done.stdout)
        self.assertNotIn(b"sb ", done.stdout)

    def test_keys_reach_the_guest(self):
        done = self.run_umbra("com[1].sendall(com[1].recv(9).upper()); " + END % 0, self.kernel, stdin=b"shell")
        self.assertEqual(done.stdout, b"SHELL")

    def test_boot(self):
        """From a disk that the launcher lays out, or from a CD with GRUB."""
        script = "com[1].sendall(config.encode()); " + END % 0
        self.assertRegex(self.assert_ends(0, script).stdout, rb"ata0-master: type=disk, .*cylinders=[1-9]")
        self.assertIn(b"ata0-master: type=cdrom", self.assert_ends(0, script, "--boot", "bios").stdout)

    def test_what_it_lacks(self):
        for options, text in ((["--boot", "uefi"], b"--boot uefi: Bochs has"), (["--pcpus", "9"], b"at most 8 CPUs"),
                              (["--pmem", "3G"], b"at most 2048M")):
            self.assertIn(text, self.assert_ends(102, "", *options).stderr)


class BootDisk(unittest.TestCase):
    """What the loader in the first sector finds on the disk that is made for it."""

    def setUp(self):
        work = tempfile.TemporaryDirectory()
        self.addCleanup(work.cleanup)
        self.dir = work.name
        self.image = self.file("image", b"JUNK" * 3 + self.header(0x100000, 0x101000, 0x103000) + b"code" * 2000)
        self.loader = self.file("loader", b"L" * 512)

    def file(self, name, data):
        with open(f"{self.dir}/{name}", "wb") as file:
            file.write(data)
        return f"{self.dir}/{name}"

    @staticmethod
    def header(load, load_end, bss_end, flags=1 << 16):
        """At 12 bytes behind the load address, for it is the file's beginning that is loaded there."""
        return struct.pack("<8I", 0x1BADB002, flags, -(0x1BADB002 + flags) & 0xffffffff, load + 12, load, load_end, bss_end, load + 8)

    def write(self, modules, memory=512 << 20, image=None):
        bootdisk.write(f"{self.dir}/disk", self.loader, image or self.image, "words", modules, memory)
        with open(f"{self.dir}/disk", "rb") as file:
            return file.read()

    @staticmethod
    def loads(disk):
        """Address -> the bytes that are loaded there."""
        table = struct.iter_unpack("<3I", disk[512 + 16:1024 - 4])
        return {address: disk[sector * 512:(sector + count) * 512] for address, sector, count in table if count}

    def test_layout(self):
        first, second = self.file("first", b"1" * 5000), self.file("second", b"2" * 10)
        disk = self.write([(first, "kernel vm=a"), (second, "initrd vm=a")])
        self.assertEqual(disk[:512], b"L" * 512)
        self.assertEqual(struct.unpack_from("<4I", disk, 512), (0x100008, bootdisk.INFO, 0x101000, 0x2000 // 4))
        loads = self.loads(disk)
        self.assertTrue(loads[0x100000].startswith(b"JUNK"))
        self.assertEqual(len(loads[0x100000]), 0x1000)
        self.assertEqual(loads[16 << 20][:5001], b"1" * 5000 + b"\0")
        self.assertEqual(loads[(16 << 20) + 8192][:11], b"2" * 10 + b"\0")
        self.assertEqual(len(disk) % (16 * 63 * 512), 0)

    def test_information(self):
        path = self.file("first", b"1" * 5000)
        info = self.loads(self.write([(path, "kernel vm=a -- x")]))[bootdisk.INFO]

        def string(address):
            return info[address - bootdisk.INFO:].split(b"\0")[0].decode()
        flags, = struct.unpack_from("<I", info)
        line, count, table = struct.unpack_from("<3I", info, 16)
        start, end, words, _ = struct.unpack_from("<4I", info, table - bootdisk.INFO)
        self.assertEqual((flags, count, start, end), (0x24c, 1, 16 << 20, (16 << 20) + 5000))
        self.assertEqual((string(line), string(words)), ("umbra.elf words", f"{path} kernel vm=a -- x"))
        self.assertEqual(struct.unpack_from("<I", info, 48)[0], bootdisk.MAP)

    def test_refused(self):
        module = self.file("module", b"1" * (1 << 20))
        for error, arguments in (("need 18 MiB", {"modules": [(module, "kernel")] * 2, "memory": 17 << 20}),
                                 ("too many", {"modules": [(module, "kernel")] * 40}),
                                 ("no multiboot header", {"modules": [], "image": self.loader})):
            with self.assertRaisesRegex(bootdisk.BootDiskError, error):
                self.write(**arguments)


if __name__ == "__main__":
    unittest.main()
