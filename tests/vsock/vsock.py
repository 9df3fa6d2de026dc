#!/usr/bin/env python3
"""vsock.py TEE_EIF TEE_GATEWAY CACHE - the gateway that ships, over the kernel's own vsock.

Boots Debian's kernel (tests/eif/boot.py keeps it in CACHE) in a QEMU microvm, where vsock has a loopback
that few machines offer: listeners, providers and log go through it, and there is no other network.
machine.c is the first process there, and says what it saw.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
EIF, GATEWAY, CACHE = (pathlib.Path(p).resolve() for p in sys.argv[1:4])
BOOT_S = 400
MODULES = ["vsock", "vmw_vsock_virtio_transport_common", "vsock_loopback"]
ROOTS = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")


def libraries(program):
    """What the loader would map, and the loader, by the names it looks for."""
    text = subprocess.run(["ldd", program], check=True, text=True, stdout=subprocess.PIPE).stdout
    return sorted({pathlib.Path(p) for p in re.findall(r"(/\S+) \(0x", text)})


def ramdisk(tmp):
    """One entry a path; every directory above it first."""
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Werror", "-static", "-pthread",
                    "-o", tmp / "init", HERE / "machine.c"], check=True)
    files = {"init": tmp / "init", "usr/bin/tee-gateway": GATEWAY, str(ROOTS)[1:]: ROOTS}
    for library in libraries(GATEWAY):
        files[str(library)[1:]] = library.resolve()
    for module in MODULES:
        files[f"modules/{module}.ko"], = CACHE.glob(f"root/lib/modules/*/kernel/net/vmw_vsock/{module}.ko")
    directories = {"dev", "proc", "tmp"}
    for path in files:
        directories |= {str(p) for p in pathlib.PurePath(path).parents} - {"."}
    lines = [f"dir {path} 755" for path in sorted(directories)]
    lines += [f"file {path} 755 {source}" for path, source in files.items()]
    lines += ["node dev/console 600 c 5 1"]
    (tmp / "manifest").write_text("\n".join(lines) + "\n")
    subprocess.run([EIF, "ramdisk", "--manifest", tmp / "manifest", "-o", tmp / "initrd"], check=True)
    return tmp / "initrd"


def boot(tmp, kernel, initrd):
    subprocess.run(
        ["qemu-system-x86_64", "-M", "microvm,acpi=off,pit=on,pic=on,rtc=on", "-cpu", "max", "-accel",
         "tcg", "-smp", "2", "-m", "768", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
         "-serial", f"file:{tmp}/console", "-kernel", kernel, "-initrd", initrd, "-append",
         "console=ttyS0 reboot=t panic=-1 quiet"],
        check=True, stdin=subprocess.DEVNULL, timeout=BOOT_S)
    console = (tmp / "console").read_text(errors="replace")
    print(console)
    return [line.strip().split("|", 1) for line in console.splitlines() if re.match(r"[a-z-]+\|", line)]


def main(tmp):
    kernels = sorted(CACHE.glob("root/boot/vmlinuz-*"))
    if not kernels:
        print("vsock: no kernel: the step `boot` fetches it")
        print("0 passed, 1 failed")
        return 1
    said = boot(tmp, kernels[-1], ramdisk(tmp))
    by = {}
    for word, text in said:
        by.setdefault(word, []).append(text)
    checks = {
        "it ran to its end": "end" in by and "failed" not in by,
        "the gateway ended with 0": by.get("exit") == ["0"],
        "the log came by vsock, its last line too": any("msg=stopped" in t for t in by.get("log", [])[-1:]),
        "the proxy was asked for the provider": by.get("connect", [""])[0].startswith(
            "CONNECT upstream.test:80 HTTP/1.1 "),
        "the provider got the request": '"content":"hello"' in by.get("upstream", [""])[0],
        "the client got the answer": by.get("answer", [""])[0].startswith("HTTP/1.1 200 ")
                                     and '"by vsock"' in by.get("answer", [""])[0],
        "with a receipt": "TEE-Receipt: " in by.get("answer", [""])[0],
        "no call was off its list": not any("not on its list" in t for t in by.get("log", [])),
    }
    config = re.search(r"\{.*\}", by.get("config", [""])[0])
    checks["the configuration says so"] = bool(config) and \
        json.loads(config[0])["config"]["egress"] == "vsock:1:1080"
    for what, good in checks.items():
        print(f"vsock: {what}: {'ok' if good else 'FAILED'}")
    wrong = sum(not good for good in checks.values())
    print(f"{len(checks) - wrong} passed, {wrong} failed")
    return 1 if wrong else 0


with tempfile.TemporaryDirectory() as directory:
    sys.exit(main(pathlib.Path(directory)))
