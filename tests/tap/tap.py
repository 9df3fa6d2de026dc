#!/usr/bin/env python3
"""tap.py TAP_TEST HOST - enclave-tap against a host that plays gvproxy, each in a network of its own.

TAP_TEST is enclave-tap with the host on the Unix socket vsock.3.1024 (tests/host/vsock.c), HOST is
host.c beside this file. In the host's network an HTTPS server listens on 192.168.127.1; curl in the
enclave's reaches it through tap0. As root, where /dev/net/tun is.
"""
import contextlib
import http.server
import os
import pathlib
import queue
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

WAIT_S = 30
BIG_BYTES = 128 << 20


def serve(port, certificate):
    """The HTTPS server's process: /N answers with N bytes, POST with the number that came."""
    chunk = bytes(1 << 20)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, n):
            self.send_response(200)
            self.send_header("content-length", str(n))
            self.end_headers()

        def do_GET(self):
            left = int(self.path[1:])
            self.answer(left)
            while left > 0:
                left -= self.wfile.write(chunk[:left])

        def do_POST(self):
            left = int(self.headers["content-length"])
            text = str(left).encode()
            while left > 0:
                left -= len(self.rfile.read(min(left, 1 << 20)))
            self.answer(len(text))
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("192.168.127.1", port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print("server: ready", flush=True)
    server.serve_forever()


class Process:
    """A program, its lines as they come, and its end with the test's."""

    def __init__(self, argv, cwd, umask=-1):
        self.process = subprocess.Popen(
            argv, cwd=cwd, text=True, bufsize=1, umask=umask, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.lines, self.seen = queue.Queue(), []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def until(self, pattern, seconds=WAIT_S):
        """The next line that matches; those before it are remembered only."""
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line {pattern!r} after {self.seen[-10:]}") from None
            if line is None:
                raise AssertionError(f"it ended before {pattern!r}: {self.seen[-10:]}")
            self.seen.append(line)
            if re.search(pattern, line):
                return line

    def say(self, word):
        self.process.stdin.write(word + "\n")
        self.until(f"done: {word}$")

    def pid(self):
        """Of the program itself: what unshare(1) became."""
        return self.process.pid

    def end(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def link(tmp, mtu=1500, flags_of_tap=(), prepare=lambda directory: None):
    """Both ends, linked, and the HTTPS server."""
    directory = pathlib.Path(tempfile.mkdtemp(dir=tmp))
    directory.chmod(0o755)
    prepare(directory)
    ended = []
    try:
        host = Process(["unshare", "--net", HOST, str(mtu)], directory)
        ended.append(host)
        host.until("ready")
        tap = Process(["unshare", "--net", TAP, "--mtu", str(mtu), "--resolv-conf",
                       directory / "resolvconf/resolv.conf", *flags_of_tap], directory, umask=0o077)
        ended.append(tap)
        if not flags_of_tap:
            tap.until("linked to vsock:3:1024")
        assert host.until("lost: ") == "host: lost: -1", host.seen
        server = Process(["nsenter", "--net", "--target", str(host.pid()), sys.executable,
                          os.path.abspath(__file__), "--serve", "443", tmp / "server.pem"], directory)
        ended.append(server)
        server.until("ready")
        yield directory, host, tap
        assert tap.process.poll() is None, tap.seen
    finally:
        for process in ended:
            process.end()


def inside(end, *argv):
    return subprocess.run(["nsenter", "--net", "--target", str(end.pid()), *map(str, argv)],
                          capture_output=True, text=True, timeout=120, check=False)


def interface(tap):
    """Another number would be another interface."""
    return int(re.match(r"(\d+): tap0", inside(tap, "ip", "-oneline", "link", "show", "tap0").stdout)[1])


def received(tap):
    """Frames that tap0 had from the host."""
    return int(re.search(r"tap0:\s*\d+\s+(\d+)", inside(tap, "cat", "/proc/net/dev").stdout)[1])


def get(tap, tmp, path, *rest):
    """One HTTPS exchange through tap0: bytes that came, bytes a second each way."""
    done = inside(tap, "curl", "--silent", "--show-error", "--cacert", tmp / "server.pem", "--resolve",
                  "host.test:443:192.168.127.1", "--max-time", "100", "--retry", "0", "--output",
                  "/dev/null", "--write-out", "%{size_download} %{speed_download} %{speed_upload}",
                  *rest, f"https://host.test/{path}")
    assert done.returncode == 0, done.stderr
    return [float(word) for word in done.stdout.split()]


def works(tap, tmp):
    got = get(tap, tmp, 100000)[0]
    assert got == 100000, got


def the_interface(tmp):
    with link(tmp) as (directory, host, tap):
        assert "host: request: POST /connect HTTP/1.1" in host.seen, host.seen
        show = inside(tap, "ip", "address", "show", "tap0").stdout
        assert "ba:aa:ad:c0:ff:ee" in show and "192.168.127.2/24" in show, show
        assert "mtu 1500" in show and ",UP" in show, show
        route = inside(tap, "ip", "route").stdout
        assert "default via 192.168.127.1 dev tap0" in route, route
        file = directory / "resolvconf/resolv.conf"
        assert file.read_text() == "nameserver 192.168.127.1\n"
        assert file.stat().st_mode & 0o777 == 0o644, oct(file.stat().st_mode)
        assert file.parent.stat().st_mode & 0o777 == 0o755, oct(file.parent.stat().st_mode)


def nothing_before_the_handshake(tmp):
    """What gvproxy would lose: it is deaf for a moment after the request (host.c: DEAF_MS)."""
    with link(tmp) as (_, host, tap):
        host.say("close")
        pinger = subprocess.Popen(["nsenter", "--net", "--target", str(tap.pid()), sys.executable, "-c",
                                   "import socket,time\ns=socket.socket(type=socket.SOCK_DGRAM)\n"
                                   "while 1: s.sendto(b'x',('192.168.127.1',9)); time.sleep(.001)"])
        try:
            tap.until("linked")
            assert host.until("lost: ") == "host: lost: -1"
            works(tap, tmp)
        finally:
            pinger.kill()
            pinger.wait()


def https(tmp):
    with link(tmp) as (_, _, tap):
        works(tap, tmp)


def without_rights(tmp):
    with link(tmp) as (_, _, tap):
        text = pathlib.Path(f"/proc/{tap.pid()}/status").read_text()
        status = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        assert status["Uid"].split() == ["61102"] * 4, status["Uid"]
        assert status["Gid"].split() == ["61102"] * 4, status["Gid"]
        for capabilities in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            assert int(status[capabilities], 16) == 0, capabilities
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")


def log_to_the_host(tmp):
    """Its lines reach the host while there is no link, and by another way."""
    listener = socket.socket(socket.AF_UNIX)

    def listen(directory):
        listener.bind(str(directory / "vsock.3.514"))
        (directory / "vsock.3.514").chmod(0o777)
        listener.listen()
        listener.settimeout(WAIT_S)

    with link(tmp, flags_of_tap=["--log-to", "vsock:3:514"], prepare=listen) as (_, host, tap):
        peer = listener.accept()[0]
        lines = peer.makefile()
        assert "linked to vsock:3:1024" in lines.readline()
        host.say("close")
        assert "no link: the host closed" in lines.readline()
        assert "linked" in lines.readline()
        works(tap, tmp)
    peer.settimeout(WAIT_S)
    # The host went first, which may be one more line; then the carrier ends with who wrote.
    assert all("no link" in line for line in lines)


def another_peer(tmp):
    """The host's process ends, and a new one takes its place: the interface stays."""
    with link(tmp) as (directory, host, tap):
        index = interface(tap)
        host.say("close")
        tap.until("no link: the host closed; trying again")
        tap.until("linked")
        works(tap, tmp)
        host.end()
        tap.until("no link: the host closed; trying again")
        before = received(tap)
        (directory / "vsock.3.1024").unlink()
        again = Process(["unshare", "--net", HOST], directory)
        try:
            again.until("ready")
            tap.until("linked")
            # The first thing that is said is an ARP request, which the new one answers.
            end = time.monotonic() + WAIT_S
            while received(tap) == before and time.monotonic() < end:
                time.sleep(0.01)
            assert received(tap) > before
            assert interface(tap) == index
        finally:
            again.end()


def split_frames(tmp):
    with link(tmp) as (_, host, tap):
        host.say("split")
        works(tap, tmp)


def broken_frames(tmp):
    with link(tmp) as (_, host, tap):
        for word in ("empty", "oversized"):
            host.say(word)
            tap.until("no link: a frame of the host is empty, or longer than the MTU allows")
            host.until("the other side closed")
            tap.until("linked")
            works(tap, tmp)


def garbage(tmp):
    with link(tmp) as (_, host, tap):
        for word in ("short", "garbage", "burst"):
            host.say(word)
            works(tap, tmp)
        assert not any("no link" in line for line in tap.seen), tap.seen


def idle(tmp):
    """Nothing to say is not silence: the host's kernel answers the ARP request, and nobody else speaks."""
    with link(tmp) as (_, host, tap):
        for end in (host, tap):
            inside(end, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6")
        before = received(tap)
        time.sleep(18)
        assert not any("no link" in line for line in tap.seen) and tap.lines.empty(), tap.seen
        assert 1 <= received(tap) - before <= 6, (before, received(tap))
        works(tap, tmp)


def silence(tmp):
    with link(tmp) as (_, host, tap):
        host.say("silent")
        began = time.monotonic()
        tap.until("no link: the host is silent")
        assert 10 < time.monotonic() - began < 25
        host.say("plain")
        tap.until("linked")
        works(tap, tmp)


def throughput(tmp):
    for mtu in (1500, 9000, 65521):
        with link(tmp, mtu) as (_, _, tap):
            show = inside(tap, "ip", "address", "show", "tap0").stdout
            assert f"mtu {mtu}" in show, show
            down = get(tap, tmp, BIG_BYTES)[1]
            up = get(tap, tmp, "", "--data-binary", f"@{tmp}/big")[2]
            print(f"tap: MTU {mtu}: HTTPS {down * 8 / 1e9:.2f} Gbit/s to the enclave, "
                  f"{up * 8 / 1e9:.2f} Gbit/s from it")
            assert down > 1e6 and up > 1e6


def flags(tmp):
    for argv, says in ((["--mtu", "575"], "--mtu"), (["--mtu"], "--mtu: expects"),
                       (["--host", "vsock:3"], "--host"), (["--host", "vsock:0:1"], "--host"),
                       (["--log-to", "file"], "--log-to"),
                       (["--resolv-conf", "x"], "--resolv-conf"), (["--frobnicate"], "--frobnicate")):
        done = subprocess.run([TAP, *argv], capture_output=True, text=True, check=False, cwd=tmp)
        assert (done.returncode, done.stdout) == (2, "") and says in done.stderr, (argv, done)
        assert len(done.stderr.splitlines()) == 1, done.stderr
    done = subprocess.run([TAP, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--mtu" in done.stdout


ROWS = [flags, the_interface, nothing_before_the_handshake, https, without_rights, log_to_the_host,
        another_peer, split_frames, broken_frames, garbage, idle, silence, throughput]


def obstacle():
    if os.getuid() != 0:
        return "network namespaces and interfaces are made by root, who we are not"
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as e:
        return f"/dev/net/tun: {e.strerror}: this kernel has no TUN, or does not let us have it"
    return None


def main(tmp):
    why = obstacle()
    rows = ROWS if why is None else ROWS[:1]
    if why is not None:
        print(f"tap: skipped: {why}")
    else:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-subj", "/CN=host.test", "-addext", "subjectAltName=DNS:host.test",
                        "-keyout", tmp / "key", "-out", tmp / "crt"], check=True, capture_output=True)
        (tmp / "server.pem").write_text((tmp / "crt").read_text() + (tmp / "key").read_text())
        with open(tmp / "big", "wb") as f:
            f.truncate(BIG_BYTES)
    wrong = 0
    for row in rows:
        try:
            row(tmp)
            print(f"tap: {row.__name__}: ok", flush=True)
        except (AssertionError, OSError, subprocess.SubprocessError) as e:
            wrong += 1
            print(f"tap: {row.__name__}: FAILED: {e}", flush=True)
    skipped = f", {len(ROWS) - len(rows)} skipped" if why else ""
    print(f"{len(rows) - wrong} passed, {wrong} failed{skipped}")
    return 1 if wrong else 0


if sys.argv[1] == "--serve":
    serve(int(sys.argv[2]), sys.argv[3])
TAP, HOST = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
with tempfile.TemporaryDirectory() as scratch:
    os.chmod(scratch, 0o755)
    sys.exit(main(pathlib.Path(scratch)))
