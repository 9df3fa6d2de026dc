#!/usr/bin/env python3
"""pid1.py INIT_TEST INIT - enclave-init as the first process of namespaces of its own.

INIT_TEST is enclave-init with the host on the Unix socket vsock.3.9000 (tests/host/vsock.c), INIT the
one that ships. Each row makes a root, plays the host, starts INIT_TEST there as PID 1 with hostile
arguments and environment, and looks at what it started, how it ended, and what the host saw. In a PID
namespace the kernel ends PID 1 with SIGHUP when it resets the machine.
"""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

INIT_TEST, INIT = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
HERE = pathlib.Path(__file__).resolve().parent
CMDLINE = pathlib.Path("/proc/cmdline").read_text().rstrip("\n")
HOSTILE_ARGS = ["init=/bin/sh", "--", "single", "/etc/other.plan"]
HOSTILE_ENV = {"TEE_GATEWAY_MODE": "local", "EMPTY": "full"}
END_S = 30

HEAD = f"cmdline {CMDLINE}\nheartbeat 5000 poweroff\nfiles 4096\n"
GATEWAY = "process gateway\narg /bin/child\n"


class Host:
    """The other end of the heartbeat; answer None: takes the connection and says nothing."""

    def __init__(self, path, answer=b"\xb7"):
        self.answer, self.heard, self.connections = answer, b"", 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            while data := peer.recv(16):
                self.heard += data
                if self.answer is not None:
                    try:
                        peer.sendall(self.answer)
                    except OSError:
                        break


class Run:
    """What became of one boot: lines, status of PID 1, seconds."""

    def __init__(self, root, plan, program=INIT_TEST, answer=b"\xb7", host=True):
        for name in ("dev", "proc", "run", "etc", "bin"):
            (root / name).mkdir()
        (root / "init").write_bytes(program.read_bytes())
        (root / "bin/child").write_bytes(CHILD.read_bytes())
        for name in ("init", "bin/child"):
            (root / name).chmod(0o755)
        if plan is not None:
            (root / "etc/boot.plan").write_text(plan)
        self.host = Host(root / "vsock.3.9000", answer) if host else None
        began = time.monotonic()
        done = subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             'mount --bind "$1" "$1" && shift && exec unshare --pid --mount --net --fork '
             '--root "$0" /init "$@"', root, root, *HOSTILE_ARGS],
            env={**os.environ, **HOSTILE_ENV},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=END_S)
        self.seconds = time.monotonic() - began
        self.status, self.lines = done.returncode, done.stdout.splitlines()
        if self.host:
            self.host.listener.close()

    def started(self):
        return any(line.startswith(("arg: ", "second", "crash", "orphans")) for line in self.lines)


def facts(run, word):
    return [line[len(word) + 1:] for line in run.lines if line.startswith(word + " ")]


def expect(what, have, want):
    if have != want:
        raise AssertionError(f"{what}: {have!r}, not {want!r}")


def exactly_the_plan(root):
    run = Run(root, HEAD + "process gateway\narg /bin/child\narg report\narg 3\narg two words\n"
              "env TEE_GATEWAY_MODE=enclave\nenv EMPTY=\n")
    expect("argv", facts(run, "arg:"), ["/bin/child", "report", "3", "two words"])
    expect("environment", facts(run, "env:"), ["TEE_GATEWAY_MODE=enclave", "EMPTY="])
    expect("open files", facts(run, "files:"), ["4096 4096"])
    expect("core files", facts(run, "core:"), ["0"])
    expect("parent", facts(run, "parent:"), ["1, session: its own"])
    expect("root", facts(run, "root:"), ["read-only"])
    expect("/run", facts(run, "run:"), ["writable"])
    expect("descriptors", facts(run, "descriptors:"), ["0 1 2"])
    expect("signals", facts(run, "blocked signals:"), ["0"])
    expect("lo", facts(run, "lo:"), ["up"])
    mounts = dict(line.split(" ", 1) for line in facts(run, "mount"))
    expect("mounts", sorted(mounts), ["/", "/dev", "/proc", "/run"])
    for at, flags in {"/": "ro nosuid nodev", "/dev": "nosuid noexec",
                      "/proc": "nosuid nodev noexec", "/run": "nosuid nodev noexec"}.items():
        expect(f"flags of {at}", set(flags.split()) - set(mounts[at].split(",")), set())
    expect("what the host heard", run.host.heard, b"\xb7")
    expect("end", run.status, -signal.SIGHUP)
    assert "enclave-init: gateway ended with status 3" in run.lines, run.lines


def reaps(root):
    run = Run(root, HEAD + GATEWAY + "arg orphans\n")
    assert "orphans: all reaped" in run.lines, run.lines
    expect("end", run.status, -signal.SIGHUP)


def ends_with_a_crash(root):
    run = Run(root, HEAD + GATEWAY + "arg crash\nprocess other\nrestarts 0\narg /bin/child\narg wait\n")
    assert "enclave-init: gateway died: signal 6" in run.lines, run.lines
    expect("end", run.status, -signal.SIGHUP)


def no_such_program(root):
    run = Run(root, HEAD + "process gateway\narg /bin/absent\n")
    assert "enclave-init: gateway ended with status 127" in run.lines, run.lines
    expect("end", run.status, -signal.SIGHUP)


def starts_again(root):
    run = Run(root, HEAD + "process tap\nrestarts 2\narg /bin/child\narg crash\n" + GATEWAY + "arg wait\n")
    expect("starts", run.lines.count("crash"), 3)
    assert "enclave-init: tap: more than 2 restarts" in run.lines, run.lines
    assert 2 <= run.seconds, run.seconds
    expect("end", run.status, -signal.SIGHUP)


def refused(run, says):
    expect("end", run.status, -signal.SIGHUP)
    assert not run.started(), run.lines
    assert any(says in line for line in run.lines), run.lines


def another_cmdline(root):
    run = Run(root, HEAD.replace("cmdline ", "cmdline reboot=k ", 1) + GATEWAY + "arg report\n")
    refused(run, "/proc/cmdline does not begin with")
    expect("connections to the host", run.host.connections, 0)


def longer_cmdline(root):
    run = Run(root, HEAD.replace(CMDLINE, CMDLINE + " quiet") + GATEWAY + "arg report\n")
    refused(run, "/proc/cmdline does not begin with")


def cut_cmdline(root):
    run = Run(root, HEAD.replace(CMDLINE, CMDLINE[:CMDLINE.rindex(" ") + 2]) + GATEWAY + "arg report\n")
    refused(run, "/proc/cmdline does not begin with")


def words_of_the_hypervisor(root):
    run = Run(root, HEAD.replace(CMDLINE, CMDLINE[:CMDLINE.rindex(" ")]) + GATEWAY + "arg report\n")
    assert run.started(), run.lines


def no_plan(root):
    refused(Run(root, None), "/etc/boot.plan: No such file")


def broken_plan(root):
    refused(Run(root, HEAD + GATEWAY + "argument report\n"), "/etc/boot.plan: line 6: not process")


def another_byte(root):
    refused(Run(root, HEAD + GATEWAY + "arg report\n", answer=b"\xb8"), "heartbeat: another byte")


def silent_host(root):
    plan = HEAD.replace("5000", "400") + GATEWAY + "arg report\n"
    run = Run(root, plan, answer=None)
    refused(run, "heartbeat: the host does not answer")
    assert 0.4 <= run.seconds < 5, run.seconds


def absent_host(root):
    refused(Run(root, HEAD + GATEWAY + "arg report\n", host=False), "vsock: the host refuses")


def absent_host_continue(root):
    run = Run(root, HEAD.replace("poweroff", "continue") + GATEWAY + "arg report\n", host=False)
    assert run.started(), run.lines


def the_one_that_ships(_):
    """It has no way to take a Unix socket for the host: neither the name nor a switch is in it."""
    expect("the name in the test's program", INIT_TEST.read_bytes().count(b"vsock.%u.%u"), 1)
    expect("the name in the program", INIT.read_bytes().count(b"vsock.%u"), 0)
    done = subprocess.run([INIT], capture_output=True, text=True, check=False)
    expect("not as PID 1", (done.returncode, done.stderr),
           (2, "enclave-init: it is the first process of an enclave\n"))


ROWS = [exactly_the_plan, reaps, ends_with_a_crash, no_such_program, starts_again, another_cmdline,
        longer_cmdline, cut_cmdline, words_of_the_hypervisor, no_plan, broken_plan, another_byte,
        silent_host, absent_host, absent_host_continue, the_one_that_ships]


def main(tmp):
    global CHILD
    if os.getuid() != 0:
        print("pid1: devtmpfs is mounted by root alone, who we are not")
        print(f"0 passed, 0 failed, {len(ROWS)} skipped")
        return 0
    CHILD = tmp / "child"
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Werror", "-static", "-o",
                    CHILD, HERE / "child.c"], check=True)
    wrong = 0
    for row in ROWS:
        root = tmp / row.__name__
        root.mkdir()
        try:
            row(root)
            print(f"pid1: {row.__name__}: ok")
        except (AssertionError, subprocess.SubprocessError) as e:
            wrong += 1
            print(f"pid1: {row.__name__}: FAILED: {e}")
    print(f"{len(ROWS) - wrong} passed, {wrong} failed")
    return 1 if wrong else 0


with tempfile.TemporaryDirectory() as directory:
    sys.exit(main(pathlib.Path(directory)))
