#!/usr/bin/env python3
"""boot.py IMAGE TEE_EIF - the image's own kernel, command line and ramdisks boot in a QEMU microvm.

First as they are: this machine has neither security module nor host behind a vsock, so enclave-init
must say that nobody answered, start nothing, and end the enclave. Then with a third ramdisk in which only
/etc/boot.plan differs: it goes on without the host, and starts the link, the gateway as an enclave's, which
must refuse to run without a security module, and the gateway in local mode, which must come to serve.
Without hardware help (TCG). The last line says `N passed, N failed`.
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import time

IMAGE, TEE_EIF = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
BOOT_S = 300
# An argument list for the plan of the second boot, in front of what the image's plan has it start.
LOCAL = """process local
arg /usr/bin/tee-gateway
arg --mode
arg local
"""
passed = failed = 0


def check(rule, good, console):
    global passed, failed
    print(f"{'ok' if good else 'not ok'}: {rule}")
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print(console[-6000:])


def boot(tmp, name, initrd, until):
    """The console, up to a line that matches or the machine's end, and the seconds that took."""
    console = tmp / f"{name}.console"
    (tmp / f"{name}.initrd").write_bytes(initrd)
    cmdline = (tmp / "image/cmdline").read_text()
    started = time.monotonic()
    # Further words, as a hypervisor appends them: how this machine resets, and that it does so at once.
    machine = subprocess.Popen(
        ["qemu-system-x86_64", "-M", "microvm,acpi=off,pit=on,pic=on,rtc=on", "-cpu", "max", "-accel", "tcg", "-m",
         "512", "-smp", "1", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial",
         f"file:{console}", "-kernel", tmp / "image/kernel", "-initrd", tmp / f"{name}.initrd", "-append",
         f"{cmdline} reboot=t panic=-1"], stdin=subprocess.DEVNULL)
    text = ""
    try:
        while time.monotonic() - started < BOOT_S:
            ended = machine.poll() is not None
            text = console.read_text(errors="replace") if console.exists() else ""
            if ended or re.search(until, text):
                break
            time.sleep(0.2)
        return text, time.monotonic() - started, machine.poll()
    finally:
        machine.kill()
        machine.wait()


def pack(tmp, plan):
    (tmp / "plan").write_text(plan)
    (tmp / "manifest").write_text(f"dir etc 0755\nfile etc/boot.plan 0644 {tmp}/plan\n")
    subprocess.run([TEE_EIF, "ramdisk", "--manifest", tmp / "manifest", "-o", tmp / "third"], check=True)
    return (tmp / "third").read_bytes()


def main(tmp):
    subprocess.run([TEE_EIF, "extract", IMAGE, "-d", tmp / "image"], check=True, stdout=subprocess.DEVNULL)
    ramdisks = b"".join((tmp / f"image/ramdisk-{n}").read_bytes() for n in (0, 1))

    console, spent, status = boot(tmp, "as-is", ramdisks, "the enclave ends")
    print(f"as it is: {spent:.1f} s")
    check("the image's kernel starts its /init", "Run /init as init process" in console, console)
    check("without a host that answers nothing is started", re.search("enclave-init: (vsock|heartbeat)", console) and
          "tee-gateway" not in console, console)
    check("the enclave ends", "enclave-init: the enclave ends" in console, console)

    plan = (pathlib.Path(__file__).resolve().parents[2] / "packaging/boot.plan").read_text()
    plan = plan.replace(" poweroff", " continue").replace("process gateway\n", LOCAL + "process gateway\nrestarts 1000\n")
    console, spent, status = boot(tmp, "third", ramdisks + pack(tmp, plan), r"(?s)(?=.*ready: http)(?=.*nsm)")
    print(f"with another plan: {spent:.1f} s")
    print("".join(f"\t{line}\n" for line in console.splitlines() if "enclave" in line or "level=" in line or "tee-" in line))
    check("the gateway runs: its libraries, users, Landlock and lists of system calls suit this kernel", "ready: http" in console,
          console)
    check("as an enclave's gateway it does not run without a security module", "/dev/nsm" in console, console)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


with tempfile.TemporaryDirectory() as directory:
    sys.exit(main(pathlib.Path(directory)))
