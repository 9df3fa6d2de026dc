#!/usr/bin/env python3
"""tee_eif.py TEE_EIF TEE_VERIFY VECTORS plain|sanitized - runs tee-eif as an operator would.

Each case is named for what it holds: the vectors' verdicts, classes and measurements; that builds
depend on nothing but their inputs; that ramdisks unpack with tools that are not ours; that
signatures hold for openssl. Source: interfaces.md section 11, eif.md.
"""
import hashlib
import json
import os
import pathlib
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

PROGRAM, VERIFY = map(os.path.abspath, sys.argv[1:3])
VECTORS, SANITIZED = pathlib.Path(sys.argv[3]).resolve(), sys.argv[4] == "sanitized"
INDEX = json.loads((VECTORS / "index.json").read_text())["vectors"]
CMDLINE = "reboot=k panic=30 pci=off console=ttyS0 random.trust_cpu=on"
FAILURES = []
count = 0


def check(name, good, detail=""):
    global count
    count += 1
    if not good:
        FAILURES.append(f"{name}{': ' if detail else ''}{detail}")


def run(*args, **how):
    return subprocess.run([PROGRAM, *map(str, args)], timeout=200, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, **how)


def case(name, args, status, err="", **how):
    """err: a part of the one line on standard error. Returns standard output."""
    done = run(*args, **how)
    stderr = done.stderr.decode(errors="replace")
    lines = 0 if status == 0 else 1
    good = done.returncode == status and err in stderr and stderr.count("\n") == lines and \
        (status == 0 or done.stdout == b"")
    check(name, good, f"status {done.returncode}, not {status}; {stderr!r}; {done.stdout[:80]!r}")
    return done.stdout.decode()


def pcr(content):
    return hashlib.sha384(bytes(48) + hashlib.sha384(content).digest()).hexdigest()


def measurements(text):
    inner = json.loads(text)["Measurements"]
    check("7.1: the odd text", inner.pop("HashAlgorithm") == "Sha384 { ... }")
    return inner


def vectors(tmp):
    for row in INDEX:
        path, name = VECTORS / row["file"], row["file"]
        if not row["valid"]:
            wanted = f"{path}: {row['error']}: offset "
            for command in (["measure", path], ["describe", path], ["describe", path, "--json"],
                            ["extract", path, "-d", tmp / "bad"]):
                case(f"{name}: {command[0]}", command, 1, wanted)
            check(f"{name}: nothing was extracted", not (tmp / "bad").exists())
            continue
        got = measurements(case(f"{name}: measure", ["measure", path], 0))
        check(f"{name}: measurements", got == row["measurements"], str(got))
        described = json.loads(case(f"{name}: describe", ["describe", path, "--json"], 0))
        check(f"{name}: described", measurements(json.dumps(described)) == row["measurements"]
              and described["IsSigned"] is row["is_signed"] and described["CheckCRC"] is True
              and described.get("SignatureCheck") == row.get("signature_check"))
        text = case(f"{name}: describe as text", ["describe", path], 0)
        check(f"{name}: crc", f"crc32: {row['crc32']}\n" in text)
        extracted(tmp / name, row)


def extracted(out, row):
    case(f"{row['file']}: extract", ["extract", VECTORS / row["file"], "-d", out], 0)
    ramdisks = 0
    for section in row["sections"]:
        name = {"metadata": "metadata.json", "signature": "signature.cbor"}.get(section["type"],
                                                                               section["type"])
        if name == "ramdisk":
            name, ramdisks = f"ramdisk-{ramdisks}", ramdisks + 1
        data = (out / name).read_bytes()
        check(f"{row['file']}: {name}", len(data) == section["size"] and
              hashlib.sha384(data).hexdigest() == section["sha384"])
    check(f"{row['file']}: nothing else", len(list(out.iterdir())) == len(row["sections"]))


def changed_vectors(tmp):
    """Every byte of a file counts: with one changed, nothing is measured as it was."""
    original = (VECTORS / "ok-signed-es384.eif").read_bytes()
    row, = (row for row in INDEX if row["file"] == "ok-signed-es384.eif")
    pcr0, at, measured = row["measurements"]["PCR0"], 548, []
    for section in row["sections"]:
        at += 12 + section["size"]
        if section["type"] in ("kernel", "cmdline", "ramdisk"):
            measured.append((at - section["size"], at))
    path = tmp / "changed.eif"
    for at in list(range(0, 900, 7)) + list(range(900, len(original), 173)):
        data = bytearray(original)
        data[at] ^= 0x10
        path.write_bytes(data)
        case(f"byte {at} changed", ["measure", path], 1, ": offset ")
        # With the CRC made right again, a byte that is measured shows in PCR0.
        if at < 544 or at > 547:
            data[544:548] = struct.pack(">I", zlib.crc32(data[:544] + data[548:]))
            path.write_bytes(data)
            done = run("measure", path)
            check(f"byte {at} changed, CRC right", done.returncode == 1 and done.stdout == b"" or
                  (pcr0.encode() not in done.stdout) == any(a <= at < b for a, b in measured))
    for at in range(0, len(original), 97):
        path.write_bytes(original[:at])
        case(f"cut after {at} bytes", ["measure", path], 1, ": truncated: offset ")


def build_args(parts, out, **other):
    names = {"kernel": "kernel", "init": "ramdisk-0", "app": "ramdisk-1"}
    args = ["build", "--kernel", parts / names["kernel"], "--cmdline", CMDLINE, "--init-ramdisk",
            parts / names["init"], "--ramdisk", parts / names["app"], "--name", "gateway",
            "--version", "1.2", "-o", out]
    for option, value in other.items():
        args[args.index("--" + option) + 1] = value
    return args


def bzimage(version):
    """As much of a bzImage as says who it is."""
    head = bytearray(0x400)
    head[0x202:0x206] = b"HdrS"
    head[0x20e:0x210] = struct.pack("<H", 0x100)
    head[0x300:] = version.encode() + b"\0"
    return bytes(head) + os.urandom(5000)


def builds(tmp):
    parts = tmp / "parts"
    parts.mkdir()
    kernel, init, app = bzimage("6.12.107 (someone@somewhere) #1 SMP"), b"init" * 300, os.urandom(300001)
    for name, data in (("kernel", kernel), ("ramdisk-0", init), ("ramdisk-1", app)):
        (parts / name).write_bytes(data)
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    out = tmp / "one.eif"
    got = measurements(case("build", build_args(parts, out), 0, env=env))
    line = CMDLINE.encode()
    check("2: PCRs of a build", got == {"PCR0": pcr(kernel + line + init + app),
                                        "PCR1": pcr(kernel + line + init), "PCR2": pcr(app)})
    data = out.read_bytes()
    metadata = (b'{"ImageName":"gateway","ImageVersion":"1.2","BuildMetadata":{"BuildTime":'
                b'"2023-11-14T22:13:20+00:00","BuildTool":"tee-eif","BuildToolVersion":"%s",'
                b'"OperatingSystem":"Linux","KernelVersion":"6.12.107"},"DockerInfo":{},'
                b'"CustomMetadata":{}}' % run("--version").stdout.split()[1])
    # The whole file, made here from eif.md 1 alone.
    sections = [(1, kernel), (2, line), (5, metadata), (3, init), (3, app)]
    offsets, body = [], b""
    for kind, content in sections:
        offsets.append(548 + len(body))
        body += struct.pack(">HHQ", kind, 0, len(content)) + content
    pad = [0] * (32 - len(sections))
    head = struct.pack(">4sHHQQHH32Q32QI", b".eif", 4, 0, 1 << 30, 2, 0, len(sections), *offsets,
                       *pad, *(len(c) for _, c in sections), *pad, 0)
    check("1: every byte of a build", data == head + struct.pack(">I", zlib.crc32(head + body)) + body)
    round_trip(tmp, out, env)
    determinism(tmp, parts, data)
    refusals(tmp, parts)
    (parts / "kernel").write_bytes(b"\0" * 0x38 + b"ARM\x64" + os.urandom(999))
    case("aarch64", build_args(parts, tmp / "arm.eif"), 0)
    arm = (tmp / "arm.eif").read_bytes()
    check("1.1: the flag of an aarch64 kernel", arm[6:8] == b"\0\1")
    check("3: no SOURCE_DATE_EPOCH is 1970", b'"BuildTime":"1970-01-01T00:00:00+00:00"' in arm)
    check("3: an unknown version", b'"KernelVersion":"unknown"' in arm)
    return out


def round_trip(tmp, first, env):
    described = json.loads(case("describe a build", ["describe", first, "--json"], 0))
    check("7.2: keys, in this order", list(described) == [
        "EifVersion", "Measurements", "IsSigned", "CheckCRC", "ImageName", "ImageVersion", "Metadata"])
    check("7.2: metadata, in this order", list(described["Metadata"]) == [
        "BuildTime", "BuildTool", "BuildToolVersion", "OperatingSystem", "KernelVersion", "DockerInfo"])
    case("extract a build", ["extract", first, "-d", tmp / "again"], 0)
    again = tmp / "again.eif"
    args = build_args(tmp / "again", again, cmdline=(tmp / "again/cmdline").read_text(),
                      name=described["ImageName"], version=described["ImageVersion"])
    case("build what was extracted", args, 0, env=env)
    check("build, describe, extract, build: the same bytes", again.read_bytes() == first.read_bytes())


def elsewhere(name, args, out, wanted, **how):
    """The same inputs from another place: the same bytes."""
    env = {"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": "1700000000", "LC_ALL": "tr_TR.UTF-8",
           "LANG": "C.UTF-8", "TZ": "Pacific/Kiritimati", "HOME": "/nonexistent", "USER": "nobody"}
    case(name, args, 0, env={**env, **{k: v for k, v in os.environ.items() if "SAN_" in k}}, **how)
    check(f"{name}: the same bytes", pathlib.Path(out).read_bytes() == wanted)


def determinism(tmp, parts, wanted):
    global PROGRAM
    other = tmp / "an other place"
    other.mkdir()
    for name, mode in (("kernel", 0o4711), ("ramdisk-1", 0o644), ("ramdisk-0", 0o444)):
        (other / name).write_bytes((parts / name).read_bytes())
        (other / name).chmod(mode)
        os.utime(other / name, (1, 4102444800))
    relative = build_args(pathlib.Path("."), "o.eif")
    elsewhere("another directory, locale, zone, umask, odd modes and times", relative, other / "o.eif",
              wanted, cwd=other, umask=0o077)
    check("the mode follows the umask", (other / "o.eif").stat().st_mode & 0o777 == 0o600)
    if os.geteuid() == 0:
        for name in ("kernel", "ramdisk-0", "ramdisk-1"):
            (other / name).chmod(0o644)
        for directory in (other, *other.parents):
            if directory != pathlib.Path("/tmp") and str(directory).startswith(str(tmp)):
                directory.chmod(0o777)
        # The tree may be where another user cannot go.
        program = PROGRAM
        PROGRAM = shutil.copy(program, other / "tee-eif")
        elsewhere("another user", build_args(other, "u.eif"), other / "u.eif", wanted, cwd=other,
                  user=65534, group=65534, extra_groups=[])
        PROGRAM = program


def refusals(tmp, parts):
    out = tmp / "refused.eif"
    out.write_bytes(b"before")
    (parts / "empty").write_bytes(b"")
    bad = [
        ("1.4: an empty kernel", 1, "empty section", {"kernel": parts / "empty"}, {}),
        ("1.4: an empty ramdisk", 1, "empty section", {"ramdisk": parts / "empty"}, {}),
        ("a ramdisk that is not there", 1, "none: cannot open: No such file", {"ramdisk": parts / "none"}, {}),
        ("a directory for a kernel", 1, "not a regular file", {"kernel": parts}, {}),
        ("a device for a kernel", 1, "not a regular file", {"kernel": "/dev/zero"}, {}),
        ("1.2: a command line of two lines", 2, "--cmdline", {"cmdline": "a\nb"}, {}),
        ("1.2: an empty command line", 2, "--cmdline", {"cmdline": "\n"}, {}),
        ("1.4: a command line too long", 2, "--cmdline", {"cmdline": "x" * 1536}, {}),
        ("3: a name that is not UTF-8", 2, "--name", {"name": b"\xff"}, {}),
        ("3: a time that is none", 2, "SOURCE_DATE_EPOCH", {}, {"SOURCE_DATE_EPOCH": "today"}),
        ("3: a time before 1970", 2, "SOURCE_DATE_EPOCH", {}, {"SOURCE_DATE_EPOCH": "-1"}),
        ("3: a time beyond year 9999", 2, "SOURCE_DATE_EPOCH", {}, {"SOURCE_DATE_EPOCH": "253402300800"}),
    ]
    for name, status, err, other, env in bad:
        args = [os.fsencode(a) if isinstance(a, (str, pathlib.Path)) else a
                for a in build_args(parts, out, **other)]
        done = subprocess.run([PROGRAM, *args], env={**os.environ, **env}, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60)
        check(name, done.returncode == status and err in done.stderr.decode() and not done.stdout
              and done.stderr.count(b"\n") == 1, repr(done))
    check("a build that fails leaves what was there", out.read_bytes() == b"before")
    check("a build that fails leaves nothing else", not list(tmp.glob("refused.eif.*")))
    case("a device is no place for an image", build_args(parts, "/dev/null"), 1, "not a regular file")
    case("no such directory", build_args(parts, tmp / "no/where"), 1, "cannot create")
    case("one line feed ends a command line", build_args(parts, out, cmdline=CMDLINE + "\n"), 0)
    args = build_args(parts, out)
    case("28 ramdisks after the first", [*args, *["--ramdisk", parts / "ramdisk-1"] * 28], 2, "too often")
    case("27 ramdisks after the first", [*args, *["--ramdisk", parts / "ramdisk-1"] * 26], 0)
    signer = identity(tmp, "full", "P-384")
    case("room for a signature is left", ["sign", out, *signer, "-o", tmp / "full.eif"], 0)


def identity(tmp, name, curve, days="30"):
    key, cert = tmp / f"{name}.key", tmp / f"{name}.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", f"ec_paramgen_curve:{curve}",
                    "-nodes", "-keyout", key, "-out", cert, "-days", days, "-subj",
                    f"/C=XX/O=tee-gateway tests/CN={name}"], check=True, capture_output=True)
    return ["--key", key, "--cert", cert]


def cbor(data, at=0):
    """What eif.md 4 uses of CBOR, for a second opinion; (value, next offset)."""
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if info >= 24:
        size = 1 << info - 24
        info, at = int.from_bytes(data[at:at + size], "big"), at + size
    if major == 0:
        return info, at
    if major in (2, 3):
        return data[at:at + info] if major == 2 else data[at:at + info].decode(), at + info
    if major == 4:
        values = []
        for _ in range(info):
            value, at = cbor(data, at)
            values.append(value)
        return values, at
    members = {}
    for _ in range(info):
        name, at = cbor(data, at)
        members[name], at = cbor(data, at)
    return members, at


def der_integer(raw):
    raw = raw.lstrip(b"\0")
    raw = b"\0" + raw if not raw or raw[0] > 127 else raw
    return b"\2" + bytes([len(raw)]) + raw


def openssl_agrees(tmp, section, wanted_pcr0, digest):
    (entry,), end = cbor(section)
    protected, unprotected, payload, signature = cbor(bytes(entry["signature"]))[0]
    body, _ = cbor(payload)
    half = len(signature) // 2
    rs = der_integer(signature[:half]) + der_integer(signature[half:])
    length = bytes([len(rs)]) if len(rs) < 128 else b"\x81" + bytes([len(rs)])
    (tmp / "sig.der").write_bytes(b"\x30" + length + rs)
    (tmp / "tbs").write_bytes(b"\x84\x6aSignature1" + bytes([0x40 + len(protected)]) + protected +
                              b"\x40\x58" + bytes([len(payload)]) + payload)
    (tmp / "cert").write_bytes(bytes(entry["signing_certificate"]))
    spki = subprocess.run(["openssl", "x509", "-in", tmp / "cert", "-pubkey", "-noout"], check=True,
                          capture_output=True).stdout
    (tmp / "spki").write_bytes(spki)
    done = subprocess.run(["openssl", "dgst", digest, "-verify", tmp / "spki", "-signature",
                           tmp / "sig.der", tmp / "tbs"], capture_output=True)
    return (end == len(section) and unprotected == {} and done.returncode == 0 and
            list(entry) == ["signing_certificate", "signature"] and
            body == {"register_index": 0, "register_value": list(bytes.fromhex(wanted_pcr0))})


def signatures(tmp, image):
    before = measurements(run("measure", image).stdout)
    for curve, digest, width, protected in (("P-384", "-sha384", 96, "a1013822"),
                                            ("P-256", "-sha256", 64, "a10126"),
                                            ("P-521", "-sha512", 132, "a1013823")):
        signer, out = identity(tmp, curve, curve), tmp / f"{curve}.eif"
        got = measurements(case(f"sign with {curve}", ["sign", image, *signer, "-o", out], 0))
        der = subprocess.run(["openssl", "x509", "-in", signer[3], "-outform", "DER"], check=True,
                             capture_output=True).stdout
        check(f"{curve}: PCR0-2 stay, PCR8 is the certificate's", got == {**before, "PCR8": pcr(der)})
        described = json.loads(case(f"{curve}: describe", ["describe", out, "--json"], 0))
        check(f"{curve}: 7.2: SignatureCheck", described["SignatureCheck"] is True)
        certificate = described["SigningCertificate"]
        check(f"{curve}: 7.2: certificate", certificate["IssuerName"] == {
            "countryName": "XX", "organizationName": "tee-gateway tests", "commonName": curve} and
            list(certificate) == ["IssuerName", "Algorithm", "NotBefore", "NotAfter", "Signature"])
        case(f"{curve}: extract", ["extract", out, "-d", tmp / curve], 0)
        section = (tmp / curve / "signature.cbor").read_bytes()
        cose = cbor(bytes(cbor(section)[0][0]["signature"]))[0]
        check(f"{curve}: 4: algorithm and width", cose[0].hex() == protected and len(cose[3]) == width)
        check(f"{curve}: openssl and a second reader agree",
              openssl_agrees(tmp, section, got["PCR0"], digest))
    # A signature is replaced, not added; the rest of the file stays as it was.
    again = tmp / "resigned.eif"
    other = identity(tmp, "other", "P-384")
    case("sign again", ["sign", tmp / "P-256.eif", *other, "-o", again], 0)
    unsigned, data = image.read_bytes(), again.read_bytes()
    check("4: one signature, the other sections untouched", data[26:28] == b"\0\6" and
          data[548:len(unsigned)] == unsigned[548:])
    case("sign in place", ["sign", again, *other, "-o", again], 0)
    signing_errors(tmp, image, other)


def signing_errors(tmp, image, other):
    out = tmp / "none.eif"
    mixed = ["--key", tmp / "P-384.key", "--cert", tmp / "other.pem"]
    case("another's certificate", ["sign", image, *mixed, "-o", out], 1, "not for this key")
    swapped = ["--key", tmp / "other.pem", "--cert", tmp / "other.key"]
    case("a certificate for a key", ["sign", image, *swapped, "-o", out], 1, "no private key")
    nocert = ["--key", tmp / "other.key", "--cert", tmp / "other.key"]
    case("a key for a certificate", ["sign", image, *nocert, "-o", out], 1, "no certificate")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp / "ed.key"], check=True)
    case("a key on another curve", ["sign", image, "--key", tmp / "ed.key", "--cert", tmp / "other.pem",
                                    "-o", out], 1, "not on P-384")
    subprocess.run(["openssl", "ec", "-in", tmp / "other.key", "-aes128", "-passout", "pass:x", "-out",
                    tmp / "locked.key"], check=True, capture_output=True)
    case("a key with a passphrase asks nobody", ["sign", image, "--key", tmp / "locked.key", "--cert",
                                                 tmp / "other.pem", "-o", out], 1, "no private key")
    case("a bad image is not signed", ["sign", VECTORS / "bad-crc-field.eif", *other, "-o", out], 1, "crc")
    check("what fails leaves nothing", not out.exists())


def verified(tmp):
    """tee-verify image (interfaces.md V1, V2, V6)."""
    good, signed = VECTORS / "ok-two-ramdisks.eif", VECTORS / "ok-signed-es384.eif"
    published = json.loads(run("measure", signed).stdout)["Measurements"]
    files = {
        "same": {"Measurements": published}, "inner": published,
        "unsigned": {k: v for k, v in published.items() if k != "PCR8"},
        "pcr0": {"PCR0": published["PCR0"].upper()},
        "pcr12": {"PCR1": published["PCR1"], "PCR2": published["PCR2"]},
        "pcr1": {"PCR1": published["PCR1"]}, "swapped": {"PCR0": published["PCR1"]},
        "half": {**published, "PCR2": published["PCR1"]}, "more": {**published, "PCR3": "00" * 48},
        "none": {"Measurements": {}}}
    for name, content in files.items():
        (tmp / f"{name}.json").write_text(json.dumps(content))
    (tmp / "broken.json").write_text("{")
    for rule, image, names, status, err in (
            ("V6: the whole file", signed, ["same"], 0, ""), ("V6: the inner object", signed, ["inner"], 0, ""),
            ("PCR8 of an image that is not signed", good, ["same"], 1, "V6"),
            ("V6: any of several", good, ["swapped", "unsigned"], 0, ""),
            ("V6: none of several", good, ["swapped", "half"], 1, "V6"),
            ("V2: PCR0 alone, upper case", good, ["pcr0"], 0, ""), ("V2: PCR1 and PCR2", good, ["pcr12"], 0, ""),
            ("V2: PCR1 alone", good, ["pcr1"], 2, "V2"), ("V2: nothing", good, ["none"], 2, ""),
            ("V2: no expectation", good, [], 2, "--pcrs is missing"), ("no JSON", good, ["broken"], 2, ""),
            ("one register differs", signed, ["half"], 1, "V6"),
            ("a register that no file fixes", signed, ["more"], 1, "V6"),
            ("4: a signature over another PCR0", VECTORS / "signed-wrong-pcr0.eif", ["same"], 1, "eif.md 4"),
            ("4: a signature by another key", VECTORS / "signed-wrong-key.eif", ["same"], 1, "RFC 9053"),
            ("1.4: a bad image", VECTORS / "bad-crc-payload.eif", ["same"], 1, "eif.md 1.4.6"),
            ("V1: no such image", tmp / "absent.eif", ["same"], 3, "cannot open"),
            ("V1: no such measurements", good, ["absent"], 3, "cannot open")):
        args = [a for name in names for a in ("--pcrs", tmp / f"{name}.json")]
        for form in ([], ["--json"]):
            done = subprocess.run([VERIFY, "image", "--eif", image, *args, *form], timeout=60,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            said = done.stdout.startswith('{"verified":true' if form else "verified: ")
            check(f"verify: {rule}", done.returncode == status and err in done.stderr and said == (status == 0)
                  and done.stderr.count("\n") == (status != 0), repr(done))
    done = subprocess.run([VERIFY, "image", "--json", "--eif", VECTORS / "bad-overlap.eif", "--pcrs",
                           tmp / "same.json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    check("verify: a bad image's class and offset, and no measurement",
          json.loads(done.stdout)["image"] == {"fault": "overlap, offset 838"})


# Path, type and mode, contents or target or device; sorted as the archive must be.
TREE = [
    ("a", "dir", 0o755, None),
    ("a b", "file", 0o644, b"x" * 4093),
    ("a-c", "file", 0o600, b""),
    ("a/deep", "dir", 0o1777, None),
    ("a/deep/er", "dir", 0o700, None),
    ("a/deep/er/file", "file", 0o4755, b"#!/bin/sh\n"),
    ("a/link", "link", 0o777, "../a b"),
    ("dev", "dir", 0o755, None),
    ("dev/console", "node", 0o600, ("c", 5, 1)),
    ("dev/sda300", "node", 0o660, ("b", 259, 300)),
    ("init", "file", 0o755, os.urandom(70001)),
    ("z\u00e9\\x", "file", 0o644, b"1"),
]


def escaped(text):
    return text.replace("\\", "\\\\").replace(" ", "\\040")


def manifest_lines(sources):
    lines = []
    for n, (path, kind, mode, what) in enumerate(TREE):
        rest = f"{mode:04o}"
        if kind == "file":
            (sources / f"source {n}").write_bytes(what)
            rest += f" source\\040{n}"
        elif kind == "link":
            rest = escaped(what)
        elif kind == "node":
            rest += " {} {} {}".format(*what)
        lines.append(f"{kind}  {escaped(path)}\t{rest} ")
    return lines


def newc(data):
    """The archive as eif.md 5.1 says it, read strictly."""
    at, entries = 0, []
    while True:
        assert data[at:at + 6] == b"070701", at
        fields = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        name_end = at + 110 + fields[11]
        name = data[at + 110:name_end]
        start = name_end + -name_end % 4
        end = start + fields[6]
        assert name.endswith(b"\0") and not any(data[name_end:start]) and not any(data[end:end + -end % 4])
        entries.append((name[:-1].decode(), fields, data[start:end]))
        at = end + -end % 4
        if name == b"TRAILER!!!\0":
            return entries, data[at:]


def ramdisks(tmp):
    sources = tmp / "sources"
    sources.mkdir()
    lines = manifest_lines(sources)
    (sources / "manifest").write_text("# a tree\n\n" + "\n".join(lines))
    out = tmp / "one.cpio"
    case("ramdisk", ["ramdisk", "--manifest", sources / "manifest", "-o", out], 0)
    data = out.read_bytes()
    entries, rest = newc(data)
    check("5.1: zeros up to a multiple of 512", len(data) % 512 == 0 and not any(rest) and len(rest) < 512)
    check("5.1: the trailer", entries.pop()[1] == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 11, 0])
    types = {"dir": 0o40000, "file": 0o100000, "link": 0o120000, "c": 0o20000, "b": 0o60000}
    for n, ((name, fields, body), (path, kind, mode, what)) in enumerate(zip(entries, TREE, strict=True)):
        device = what if kind == "node" else (kind, 0, 0)
        wanted = {"file": what, "link": str(what).encode()}.get(kind, b"")
        check(f"5.1: {path}", name == path and body == wanted and fields == [
            n + 1, types[device[0]] | mode, 0, 0, 2 if kind == "dir" else 1, 0, len(wanted), 0, 0,
            device[1], device[2], len(path.encode()) + 1, 0], f"{name} {fields}")
    unpacked(tmp, out)
    anywhere(tmp, lines, data)
    bad_manifests(tmp)


def unpacked(tmp, archive):
    """As root everything, device nodes too; else what a user may make."""
    root = os.geteuid() == 0
    for name, command in (("GNU cpio", ["cpio", "-idm", "--quiet", "-F", archive]),
                          ("bsdtar", ["bsdtar", "-xpf", archive])):
        into = tmp / f"by {name}"
        into.mkdir()
        skip = [] if root else (["-f", "dev/*"] if name == "GNU cpio" else ["--exclude", "dev/*"])
        done = subprocess.run([*command[:2], *skip, *command[2:]], cwd=into, capture_output=True,
                              timeout=60, env={**os.environ, "LC_ALL": "C.UTF-8"})
        check(f"{name} unpacks it", done.returncode == 0, done.stderr.decode())
        found = {str(p.relative_to(into)) for p in into.rglob("*")}
        wanted = [row for row in TREE if root or row[1] != "node"]
        check(f"{name}: the same names", found == {row[0] for row in wanted}, str(found))
        for path, kind, mode, what in wanted:
            p, st = into / path, os.lstat(into / path)
            check(f"{name}: {path}", {
                "dir": lambda: p.is_dir(), "file": lambda: not p.is_symlink() and p.read_bytes() == what,
                "link": lambda: os.readlink(p) == what,
                "node": lambda: (p.is_char_device() if what[0] == "c" else p.is_block_device()) and
                (os.major(st.st_rdev), os.minor(st.st_rdev)) == what[1:]}[kind]())
            check(f"{name}: {path}: mode", kind == "link" or st.st_mode & 0o7777 == mode, oct(st.st_mode))
            check(f"{name}: {path}: owner and time", not root or
                  (st.st_uid, st.st_gid) == (0, 0) and (kind in ("link", "dir") or st.st_mtime == 0))


def anywhere(tmp, lines, wanted):
    other = tmp / "other sources"
    other.mkdir()
    manifest_lines(other)
    (other / "manifest").write_text("\n".join(reversed(lines)) + "\n")
    for n, path in enumerate(sorted(other.iterdir())):
        if os.geteuid() != 0 or path.name != "manifest":
            path.chmod([0o6777, 0o444, 0o640][n % 3])
        os.utime(path, (n, 5000000000 + n))
    elsewhere("ramdisk from another directory, order of lines, umask, modes and times",
              ["ramdisk", "--manifest", "manifest", "-o", "out"], other / "out", wanted, cwd=other,
              umask=0o027)
    elsewhere("ramdisk, called from elsewhere", ["ramdisk", f"--manifest={other}/manifest", "-o",
                                                 tmp / "two.cpio"], tmp / "two.cpio", wanted, cwd="/")


def bad_manifests(tmp):
    out, path = tmp / "bad.cpio", tmp / "manifest"
    for rule, text, err in (
            ("nothing", "", "lists nothing"), ("remarks alone", "# a\n \t\n", "lists nothing"),
            ("an unknown type", "dir a 755\npipe b 644", "line 2: "),
            ("too few fields", "file a 644", "line 1: "), ("too many", "dir a 755 b", "line 1: "),
            ("far too many", "dir a 755 b c d e f g", "too many fields"),
            ("5.1: a path from the root", "dir /a 755", "5.1"), ("5.1: ./", "dir ./a 755", "5.1"),
            ("5.1: ..", "dir a 755\ndir a/../b 755", "line 2: eif.md 5.1"), ("5.1: //", "dir a//b 755", "5.1"),
            ("5.1: a slash at the end", "dir a/ 755", "5.1"), ("5.1: the trailer's name", "dir TRAILER!!! 755", "5.1"),
            ("5.1: no parent", "dir a/b 755", "not listed"),
            ("5.1: a file as parent", "file a 644 manifest\ndir a/b 755", "line 2: "),
            ("5.1: twice", "dir a 755\ndir b 755\ndir a 700", "there twice"),
            ("a mode with a type", "dir a 40755", "octal"), ("a mode of decimal digits", "dir a 798", "octal"),
            ("a mode of letters", "dir a rwxr", "octal"), ("a device that is none", "node a 600 p 1 1", "line 1: "),
            ("a major too large", "node a 600 c 4096 1", "line 1: "), ("a sign", "node a 600 c +1 1", "line 1: "),
            ("a backslash alone", "dir a\\ 755", "backslash"), ("an escape above 377", "dir a\\400 755", "backslash"),
            ("an escaped NUL", "dir a\\000 755", "NUL"), ("a NUL", "dir a\0b 755", "NUL"),
            ("a source that is not there", "file a 644 none", "none: cannot open"),
            ("a source that is a directory", "file a 644 .", "not a regular file"),
            ("a name too long", f"dir {'n' * 4096} 755", "5.1")):
        path.write_text(text)
        case(f"manifest: {rule}", ["ramdisk", "--manifest", path, "-o", out], 1, err)
    check("manifest: what fails leaves nothing", not list(tmp.glob("bad.cpio*")))


def usage():
    image = VECTORS / "ok-two-ramdisks.eif"
    for name, args, err in (
            ("no command", [], "a command is missing"),
            ("unknown command", ["unpack", image], "unpack is not a command"),
            ("no image", ["measure"], "an image is missing"),
            ("two images", ["measure", image, image], "one word too many"),
            ("another command's option", ["measure", image, "--json"], "--json is not an option"),
            ("an unknown option", ["describe", image, "--yaml"], "--yaml is not an option"),
            ("a value too many", ["describe", image, "--json=1"], "--json takes no value"),
            ("no directory", ["extract", image], "-d is missing"),
            ("no value", ["extract", image, "-d"], "-d needs a value"),
            ("no manifest", ["ramdisk", "-o", "x"], "--manifest is missing"),
            ("a stray word", ["ramdisk", image, "-o", "x"], "one word too many"),
            ("no output", ["ramdisk", "--manifest", "x"], "-o is missing"),
            ("no certificate", ["sign", image, "--key", "k", "-o", "x"], "--cert is missing"),
            ("twice", ["ramdisk", "-o", "x", "-o", "y"], "-o is given twice")):
        case(f"usage: {name}", args, 2, err)
    for option in ("--kernel", "--cmdline", "--init-ramdisk", "--ramdisk", "--name", "--version", "-o"):
        args = build_args(pathlib.Path("/nonexistent"), "x")
        at = args.index(option)
        case(f"usage: build without {option}", args[:at] + args[at + 2:], 2, f"{option} is missing")
    check("--help", case("--help", ["--help"], 0).startswith("usage: tee-eif"))
    check("--help of a command", case("build --help", ["build", "--help"], 0).startswith("usage: "))
    check("--version", case("--version", ["--version"], 0).startswith("tee-eif "))
    case("no such file", ["measure", "/nonexistent"], 1, "cannot open: No such file")
    case("a directory", ["measure", VECTORS], 1, "not a regular file")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([PROGRAM, "measure", image], stdout=full, stderr=subprocess.PIPE, timeout=60)
    check("measurements that could not be written", done.returncode == 1 and done.stderr != b"")


def sparse(tmp):
    """A 4 GiB image in 64 MiB of address space."""
    path, size = tmp / "sparse.eif", 4 << 30
    metadata = b'{"ImageName":"x"}'
    sections = [(1, b"KERNEL", 6), (2, b"console=ttyS0", 13), (5, metadata, len(metadata)), (3, b"", 0)]
    head_end = 548 + sum(12 + n for _, _, n in sections)
    sections[-1] = (3, b"", size - head_end)
    offsets, sizes, at, body = [], [], 548, b""
    for kind, content, n in sections:
        offsets.append(at)
        sizes.append(n)
        body += struct.pack(">HHQ", kind, 0, n) + content
        at += 12 + n
    pad = [0] * (32 - len(sections))
    head = struct.pack(">4sHHQQHH32Q32QI", b".eif", 4, 0, 0, 0, 0, len(sections), *offsets, *pad,
                       *sizes, *pad, 0)
    crc, zeros = zlib.crc32(head + body), bytes(1 << 20)
    measured = hashlib.sha384(b"KERNELconsole=ttyS0")
    left = sizes[-1]
    while left > 0:
        piece = zeros[:left]
        crc = zlib.crc32(piece, crc)
        measured.update(piece)
        left -= len(piece)
    with open(path, "wb") as f:
        f.write(head + struct.pack(">I", crc) + body)
        f.truncate(size)
    limit = 64 << 20
    got = measurements(case("4 GiB in 64 MiB", ["measure", path], 0,
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))))
    wanted = hashlib.sha384(bytes(48) + measured.digest()).hexdigest()
    check("4 GiB: measurements", got == {"PCR0": wanted, "PCR1": wanted, "PCR2": pcr(b"")})
    path.unlink()


with tempfile.TemporaryDirectory() as directory:
    scratch = pathlib.Path(directory)
    vectors(scratch)
    changed_vectors(scratch)
    signatures(scratch, builds(scratch))
    ramdisks(scratch)
    verified(scratch)
    usage()
    if not SANITIZED:
        sparse(scratch)

for failure in FAILURES:
    print(f"[  FAILED  ] {failure}")
print(f"[  PASSED  ] {count - len(FAILURES)} test(s).")
if FAILURES:
    print(f"[  FAILED  ] {len(FAILURES)} test(s)")
if count < 800:
    print("too few cases ran")
sys.exit(1 if FAILURES or count < 300 else 0)
