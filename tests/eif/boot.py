#!/usr/bin/env python3
"""boot.py PROGRAM CACHE - Linux itself unpacks our ramdisks.

Packs two ramdisks with PROGRAM (tee-eif), puts them end to end as the hypervisor does, boots Debian's
own kernel on them in a QEMU microvm without hardware help, and compares the tree that its first
process (init.c) prints. CACHE keeps the kernel, which is fetched with apt-get, not installed.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

PROGRAM, CACHE = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2]).resolve()
HERE = pathlib.Path(__file__).resolve().parent
METAPACKAGE = "linux-image-cloud-amd64"
BOOT_S = 400
TYPES = {"dir": 0o40000, "file": 0o100000, "link": 0o120000, "c": 0o20000, "b": 0o60000}

FIRST = [("dir", "dev", 0o755), ("node", "dev/console", 0o600, "c", 5, 1), ("file", "init", 0o755, None),
         ("dir", "etc", 0o700), ("file", "etc/replaced", 0o600, b"first"), ("file", "etc/empty", 0o444, b"")]
SECOND = [("dir", "app", 0o1777), ("dir", "app/deep", 0o750), ("link", "app/deep/link", "../../init"),
          ("file", "app/deep/program", 0o4755, os.urandom(123457)), ("file", "app/one", 0o644, b"1"),
          ("node", "app/disk", 0o660, "b", 259, 300), ("dir", "etc", 0o700),
          ("file", "etc/replaced", 0o640, b"second")]


def kernel():
    found = sorted(CACHE.glob("root/boot/vmlinuz-*"))
    if found:
        return found[-1]
    CACHE.mkdir(parents=True, exist_ok=True)
    words = subprocess.run(["apt-cache", "depends", METAPACKAGE], check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split()
    package = words[words.index("Depends:") + 1]
    subprocess.run(["apt-get", "-q", "download", package], cwd=CACHE, check=True, stdout=subprocess.DEVNULL)
    deb, = CACHE.glob(f"{package}_*.deb")
    subprocess.run(["dpkg-deb", "-x", deb, CACHE / "root"], check=True)
    return kernel()


def fnv(data):
    h = 2166136261
    for byte in data:
        h = (h ^ byte) * 16777619 & 0xffffffff
    return h


def pack(tmp, name, entries):
    lines = []
    for n, (kind, path, *rest) in enumerate(entries):
        if kind == "link":
            lines.append(f"link {path} {rest[0]}")
        elif kind == "file":
            (tmp / f"{name}.{n}").write_bytes(rest[1])
            lines.append(f"file {path} {rest[0]:o} {name}.{n}")
        else:
            lines.append(f"{kind} {path} {rest[0]:o} {' '.join(map(str, rest[1:]))}")
    (tmp / name).write_text("\n".join(lines))
    subprocess.run([PROGRAM, "ramdisk", "--manifest", tmp / name, "-o", tmp / f"{name}.cpio"], check=True)
    return (tmp / f"{name}.cpio").read_bytes()


def wanted(entries):
    tree = {}
    for kind, path, *rest in entries:
        mode = 0o777 if kind == "link" else rest[0]
        data = rest[1] if kind == "file" else b""
        device = rest[1:] if kind == "node" else (kind, 0, 0)
        tree["/" + path] = (f"{TYPES[device[0]] | mode:o}|0:0|{len(data)}|{device[1]}:{device[2]}|"
                            f"{fnv(data) if kind == 'file' else 0:08x}|{rest[0] if kind == 'link' else ''}")
    return tree


def boot(tmp, image):
    done = subprocess.run(
        ["qemu-system-x86_64", "-M", "microvm,acpi=off,pit=on,pic=on,rtc=on", "-cpu", "max", "-accel",
         "tcg", "-m", "256", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
         "-serial", f"file:{tmp}/console", "-kernel", kernel(), "-initrd", image, "-append",
         "console=ttyS0 reboot=t panic=-1 quiet"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOOT_S)
    console = (tmp / "console").read_text(errors="replace")
    if done.returncode != 0 or "tree-end" not in console:
        print(done.stderr, console[-3000:], sep="\n")
        return None
    return dict(line.strip().split("|", 2)[1:] for line in console.splitlines() if line.startswith("tree|"))


def main(tmp):
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Werror", "-static", "-o",
                    tmp / "init", HERE / "init.c"], check=True)
    init = (tmp / "init").read_bytes()
    first = [("file", "init", 0o755, init) if e[1] == "init" else e for e in FIRST]
    (tmp / "initrd").write_bytes(pack(tmp, "first", first) + pack(tmp, "second", SECOND))
    found = boot(tmp, tmp / "initrd")
    if found is None:
        return 1
    want = wanted([*first, *SECOND])
    # The kernel's own: the root, and /root, which it makes before it looks at any ramdisk.
    for own in ("/", "/root"):
        found.pop(own, None)
    for path in sorted(want.keys() | found.keys()):
        if want.get(path) != found.get(path):
            print(f"{path}: {found.get(path)}, not {want.get(path)}")
    print(f"boot: Linux unpacked {len(found)} entries")
    return 0 if found == want else 1


with tempfile.TemporaryDirectory() as directory:
    sys.exit(main(pathlib.Path(directory)))
