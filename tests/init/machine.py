#!/usr/bin/env python3
"""machine.py TEE_EIF INIT CACHE - the enclave-init that ships, as the first process of a machine.

Debian's kernel (tests/eif/boot.py keeps it in CACHE) in a QEMU microvm: what namespaces cannot show is
how the kernel's own first root takes the mounts, which console it gives, and that the machine resets.
There is no vsock in it, so the plan goes on without the heartbeat.
"""
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
EIF, INIT, CACHE = (pathlib.Path(p).resolve() for p in sys.argv[1:4])
BOOT_S = 300
CMDLINE = "console=ttyS0 reboot=t panic=-1 quiet"
PLAN = (f"cmdline {CMDLINE}\nheartbeat 1000 continue\nfiles 4096\n"
        "process gateway\narg /bin/child\narg report\narg 7\nenv ONE=1\n")


def ramdisk(tmp, plan):
    (tmp / "plan").write_text(plan)
    (tmp / "manifest").write_text(
        "dir dev 755\ndir proc 755\ndir run 755\ndir etc 755\ndir bin 755\n"
        f"file init 755 {INIT}\nfile bin/child 755 {tmp}/child\nfile etc/boot.plan 644 {tmp}/plan\n")
    subprocess.run([EIF, "ramdisk", "--manifest", tmp / "manifest", "-o", tmp / "initrd"], check=True)
    return tmp / "initrd"


def boot(tmp, kernel, plan):
    """What the console showed, once the machine has reset; hostile words come behind the measured ones."""
    subprocess.run(
        ["qemu-system-x86_64", "-M", "microvm,acpi=off,pit=on,pic=on,rtc=on", "-cpu", "max", "-accel",
         "tcg", "-m", "256", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
         "-serial", f"file:{tmp}/console", "-kernel", kernel, "-initrd", ramdisk(tmp, plan), "-append",
         f"{CMDLINE} TEE_GATEWAY_MODE=local -- hostile"],
        check=True, stdin=subprocess.DEVNULL, timeout=BOOT_S)
    console = (tmp / "console").read_text(errors="replace")
    print(console)
    return [line.strip() for line in console.splitlines()]


def main(tmp):
    kernels = sorted(CACHE.glob("root/boot/vmlinuz-*"))
    if not kernels:
        print("machine: no kernel: the step `boot` fetches it")
        print("0 passed, 1 failed")
        return 1
    subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Werror", "-static", "-o",
                    tmp / "child", HERE / "child.c"], check=True)
    said = boot(tmp, kernels[-1], PLAN)
    refused = boot(tmp, kernels[-1], PLAN.replace("reboot=t", "reboot=k"))
    checks = {
        "argv is the plan's": [l for l in said if l.startswith("arg: ")] ==
                              ["arg: /bin/child", "arg: report", "arg: 7"],
        "so is the environment": [l for l in said if l.startswith("env: ")] == ["env: ONE=1"],
        "the root is read-only": "root: read-only" in said,
        "/run is not": "run: writable" in said,
        "what is mounted": {l.split()[1] for l in said if l.startswith("mount ")} ==
                           {"/", "/dev", "/proc", "/run"},
        "the console is where descriptors 0 to 2 lead": "descriptors: 0 1 2" in said,
        "lo is up": "lo: up" in said,
        "no heartbeat, and the plan goes on": any(l.startswith("enclave-init: vsock: ") for l in said),
        "the end is said": said.count("enclave-init: gateway ended with status 7") == 1 and
                           "enclave-init: the enclave ends" in said,
        "another command line is refused":
            any("/proc/cmdline does not begin with" in l for l in refused) and
            "enclave-init: the enclave ends" in refused and not any(l.startswith("arg: ") for l in refused),
    }
    for what, good in checks.items():
        print(f"machine: {what}: {'ok' if good else 'FAILED'}")
    wrong = sum(not good for good in checks.values())
    print(f"{len(checks) - wrong} passed, {wrong} failed")
    return 1 if wrong else 0


with tempfile.TemporaryDirectory() as directory:
    sys.exit(main(pathlib.Path(directory)))
