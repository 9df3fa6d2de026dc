#!/usr/bin/env python3
"""check.py DIR TEE_VERIFY - what `make eif` left in DIR, and how it fails.

The image is verified against the checked-in measurements; one bit that is flipped anywhere is not; sizes; no
script and no second interpreter; what is said when a package cannot be had, or is another one. The last line says
`N passed, N failed`.
"""
import functools
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import threading

BUILT, TEE_VERIFY = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
ROOT = pathlib.Path(__file__).resolve().parents[2]
PCRS = ROOT / "measurements.json"
EIF_MAX, KERNEL_MAX = 20 << 20, 5 << 20
LOADER = b"/lib64/ld-linux-x86-64.so.2"
passed = failed = 0


def check(rule, good, said=""):
    global passed, failed
    print(f"{'ok' if good else 'not ok'}: {rule}{'' if good else ': ' + str(said)}")
    passed, failed = passed + bool(good), failed + (not good)


def verify(path):
    return subprocess.run([TEE_VERIFY, "image", "--eif", path, "--pcrs", PCRS], text=True, capture_output=True)


def sections(data):
    """(offset, size) of each section's data: eif.md 1.1."""
    n, = struct.unpack_from(">H", data, 26)
    return [(struct.unpack_from(">Q", data, 28 + 8 * i)[0] + 12, struct.unpack_from(">Q", data, 284 + 8 * i)[0])
            for i in range(n)]


def image(tmp):
    path = BUILT / "tee-gateway.eif"
    data = path.read_bytes()
    done = verify(path)
    check("tee-verify image: verified", done.returncode == 0 and done.stdout.startswith("verified"),
          done.stdout + done.stderr)
    # Kernel, command line, the two ramdisks; metadata (the second from the front or the last) is not measured.
    kinds = [struct.unpack_from(">H", data, at - 12)[0] for at, _ in sections(data)]
    for (at, size), kind in zip(sections(data), kinds):
        if kind == 5:
            continue
        for where in (at, at + size // 2, at + size - 1):
            other = bytearray(data)
            other[where] ^= 1
            (tmp / "flipped").write_bytes(other)
            done = verify(tmp / "flipped")
            check(f"one bit of section type {kind} at {where}: refused", done.returncode == 1, done.stdout)
    check("the image is at most 20 MiB", len(data) <= EIF_MAX, len(data))
    check("the kernel is at most 5 MiB", (BUILT / "bzImage").stat().st_size <= KERNEL_MAX)
    record = json.loads((BUILT / "provenance.json").read_text())
    check("provenance.json names the image", record["tee-gateway.eif"]["sha256"] == hashlib.sha256(data).hexdigest())


def programs():
    """No file of the ramdisks is a script, and the one program that starts others is the loader."""
    data = (BUILT / "init.cpio").read_bytes() + (BUILT / "image.cpio").read_bytes()
    at, seen = 0, {}
    while at < len(data):
        if data[at:at + 6] != b"070701":
            at += 4  # the zeros behind an archive
            continue
        size, name_size = int(data[at + 54:at + 62], 16), int(data[at + 94:at + 102], 16)
        name = data[at + 110:at + 110 + name_size - 1].decode()
        start = at + (110 + name_size + 3) // 4 * 4
        if int(data[at + 14:at + 22], 16) & 0o170000 == 0o100000:
            seen[name] = data[start:start + size]
        at = start + (size + 3) // 4 * 4
    check("the ramdisks are read", {"init", "usr/bin/tee-gateway"} <= set(seen), sorted(seen))
    check("no file is a script", not [n for n, d in seen.items() if d.startswith(b"#!")])
    started = {n for n, d in seen.items() if d.startswith(b"\x7fELF") and LOADER in d}
    check("what has an interpreter has the loader", {n for n in started if n.startswith("usr/bin/")} ==
          {n for n in seen if n.startswith("usr/bin/")}, started)


def page():
    """docs/image.md lists every file, with its bytes."""
    text, absent = (ROOT / "docs/image.md").read_text(), []
    for line in (ROOT / "packaging/image.contents").read_text().splitlines():
        name, *value = line.split()
        if value[:1] == ["file"]:
            row = f"| `{name.split(':')[1]}` | {int(value[-1]):,} |"
        elif value[:1] == ["link"]:
            row = f"| `{name.split(':')[1]}` | link |"
        elif name == "kernel":
            row = f"| kernel | {int(value[-1]):,} |"
        else:
            continue
        if row not in text:
            absent.append(row)
    check("docs/image.md lists every file with its bytes", not absent, absent)


def lock_entry():
    """A small package, to be missed."""
    for line in (ROOT / "packaging/enclave.lock").read_text().splitlines():
        if line.startswith("deb bc "):
            return line.split()


def fetch(cache, **env):
    environment = {k: v for k, v in os.environ.items() if k not in ("DEBS_DIR", "SNAPSHOT_URL", "KERNEL")}
    return subprocess.run([ROOT / "scripts/eif", "--fetch"], text=True, capture_output=True,
                          env={**environment, "EIF_CACHE": str(cache), **env})


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serve(directory):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def packages(tmp):
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    have = pathlib.Path(os.environ.get("EIF_CACHE") or f"{home}/tee-gateway") / "debs"
    _, name, version, architecture, archive, digest, _, path = lock_entry()
    file = pathlib.PurePosixPath(path).name
    debs = tmp / "debs"
    debs.mkdir()
    for other in have.iterdir():
        (debs / other.name).symlink_to(other)

    check("DEBS_DIR with everything is enough", (done := fetch(tmp / "c1", DEBS_DIR=str(debs))).returncode == 0,
          done.stderr)
    (debs / file).unlink()
    done = fetch(tmp / "c2", DEBS_DIR=str(debs))
    words = (name, version, digest, "DEBS_DIR", "SNAPSHOT_URL")
    check("a missing package is named with version, hash and the two variables",
          done.returncode == 1 and all(w in done.stderr for w in words), done.stderr)
    shutil.copyfile(have / file, debs / file)
    with open(debs / file, "r+b") as f:
        f.seek(1000)
        byte = f.read(1)
        f.seek(1000)
        f.write(bytes([byte[0] ^ 1]))
    done = fetch(tmp / "c2", DEBS_DIR=str(debs))
    check("a package with one bit flipped is none", done.returncode == 1 and digest in done.stderr, done.stderr)

    (debs / file).unlink()
    snapshot = [line.split()[1] for line in (ROOT / "packaging/enclave.lock").read_text().splitlines()
                if line.startswith("snapshot ")][0]
    target = tmp / "old" / archive / snapshot / path
    target.parent.mkdir(parents=True)
    shutil.copyfile(have / file, target)
    url = serve(tmp / "old")
    done = fetch(tmp / "c2", DEBS_DIR=str(debs), SNAPSHOT_URL=url, no_proxy="127.0.0.1")
    check("SNAPSHOT_URL has what is missing", done.returncode == 0, done.stderr)
    target.write_bytes(b"another")
    (tmp / "c2/debs" / file).unlink()
    done = fetch(tmp / "c2", DEBS_DIR=str(debs), SNAPSHOT_URL=url, no_proxy="127.0.0.1")
    check("SNAPSHOT_URL is believed no more than the mirror", done.returncode == 1 and digest in done.stderr, done.stderr)


with tempfile.TemporaryDirectory() as directory:
    image(pathlib.Path(directory))
    programs()
    page()
    packages(pathlib.Path(directory))
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
