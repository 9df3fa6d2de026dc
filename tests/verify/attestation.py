#!/usr/bin/env python3
"""attestation.py PROGRAM VECTORS - tee-verify attestation on files: the published vectors, policies,
options, exit status (interfaces.md V1, V2, V4, V6; nitro-attestation.md 3).
"""
import base64
import json
import pathlib
import subprocess
import sys
import tempfile

PROGRAM, VECTORS = sys.argv[1], pathlib.Path(sys.argv[2])
INDEX = json.loads((VECTORS / "index.json").read_text())
FAILURES = []
count = 0


def run(args, stdin=b""):
    done = subprocess.run([PROGRAM, "attestation", *map(str, args)], input=stdin, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def case(name, args, status, err="", out="", stdin=b""):
    """err: how the one line on standard error begins, after its prefix; out: a part of the output."""
    global count
    count += 1
    got, stdout, stderr = run(args, stdin)
    problems = []
    if got != status:
        problems.append(f"status {got}, not {status}")
    if out not in stdout or (stdout == "") != (status in (2, 3)):
        problems.append(f"output {stdout[:200]!r}")
    prefix = "not verified: " if status == 1 else "tee-verify: "
    if stderr.count("\n") != (status != 0) or (status and not stderr.startswith(prefix + err)):
        problems.append(f"errors {stderr!r}")
    if (got == 0) != stdout.startswith(("verified: ", '{"verified":true')):
        problems.append("status and output disagree")
    if problems:
        FAILURES.append(f"{name}: {', '.join(problems)}")
    return stdout


def vector_args(row):
    policy = row.get("policy") or {}
    args = ["--file", VECTORS / row["file"], "--at", f"@{row['verify_at_unix']}", "--allow-skip", "pcrs"]
    if row.get("root") == "test-root.pem":
        args += ["--root", VECTORS / "test-root.pem"]
    args += ["--max-age", policy.get("max_age", 300000000)]
    for name, option in (("nonce", "--nonce"), ("user_data", "--user-data")):
        if name in policy:
            args += [option, policy[name]]
    for index, value in policy.get("pcrs", {}).items():
        args += ["--pcr", f"{index}={value}"]
    return args if policy.get("reject_debug") else args + ["--allow-debug"]


def vectors():
    assert len(INDEX["vectors"]) == 222
    for row in INDEX["vectors"]:
        if row["expect"] == "accept":
            out = "NOT HARDWARE" if row.get("root") == "test-root.pem" else "root: aws-nitro\n"
            case(row["id"], vector_args(row), 0, out=out)
        else:
            case(row["id"], vector_args(row), 1, row["reject_reason"] + ": ", "not verified\n")


OG = next(row for row in INDEX["vectors"] if row["id"] == "opengradient-2026")
DEBUG = next(row for row in INDEX["vectors"] if row["id"] == "eternis-debug-nitriding-2024")
FILE = ["--file", VECTORS / OG["file"]]
AT = ["--at", f"@{OG['verify_at_unix']}"]
PCRS = OG["pcrs"]
SKIP = ["--allow-skip", "pcrs"]


def pcr(index, value=None):
    return ["--pcr", f"{index}={value or PCRS[str(index)]}"]


def expectations(tmp):
    def measurements(name, values, wrap=True):
        values = {"HashAlgorithm": "Sha384 { ... }", **{f"PCR{i}": v for i, v in values.items()}}
        (tmp / name).write_text(json.dumps({"Measurements": values} if wrap else values))
        return ["--pcrs", tmp / name]

    good = measurements("good", {i: PCRS[str(i)] for i in range(3)})
    inner = measurements("inner", {0: PCRS["0"]}, wrap=False)
    other = measurements("other", {0: "ab" * 48})
    one = measurements("one", {1: PCRS["1"]})
    for name, args, status, err in (
            ("V6: a measurements file", good, 0, ""),
            ("V6: its inner object", inner, 0, ""),
            ("V6: upper case", pcr(0, PCRS["0"].upper()), 0, ""),
            ("V6: another image", other, 1, "pcr-mismatch: "),
            ("V6: several files, one matches", [*other, *good], 0, ""),
            ("V6: several files, none matches", [*other, *other], 1, "pcr-mismatch: "),
            ("a file, and a PCR that is another", [*good, *pcr(8, "01" * 48)], 1, "pcr-mismatch: "),
            ("a PCR that contradicts the file", [*good, *pcr(0, "01" * 48)], 2, "--pcrs"),
            ("V2: PCR0", pcr(0), 0, ""),
            ("V2: PCR1 and PCR2", [*pcr(1), *pcr(2)], 0, ""),
            ("V2: PCR1 alone", pcr(1), 2, "--pcrs or --pcr must fix PCR0"),
            ("V2: PCR1 alone, in a file", one, 2, "--pcrs or --pcr must fix PCR0"),
            ("V2: PCR2 and PCR4", [*pcr(2), *pcr(4)], 2, "--pcrs or --pcr must fix PCR0"),
            ("V2: PCR1 alone, waived", [*pcr(1), *SKIP], 0, ""),
            ("V2: PCR1 alone, waived, and wrong", [*pcr(1, "01" * 48), *SKIP], 1, "pcr-mismatch: "),
            ("V2: no expectation", [], 2, "--pcrs or --pcr is missing"),
            ("V2: one of the files is not enough", [*good, *one], 2, "--pcrs or --pcr must fix"),
            ("no such PCR", pcr(32, "00" * 48), 2, "--pcr takes"),
            ("half a PCR", pcr(0, "00" * 24), 2, "--pcr takes"),
            ("no measurements file", ["--pcrs", tmp / "none"], 3, "cannot open"),
            ("measurements that are none", ["--pcrs", VECTORS / "index.json"], 2, "--pcrs"),
    ):
        case(name, [*FILE, *AT, *args], status, err)


def times():
    for name, args, status, err in (
            ("3.7: now", [], 1, "cert-expired: "),
            ("3.7: RFC 3339", ["--at", "2026-02-12T17:56:03Z"], 0, ""),
            ("3.7: an offset", ["--at", "2026-02-12T18:56:03.25+01:00"], 0, ""),
            ("3.7: 301 s later", ["--at", f"@{OG['timestamp_ms'] // 1000 + 301}"], 1, "too-old: "),
            ("3.7: 300 s later", ["--at", f"@{OG['timestamp_ms'] // 1000 + 300}"], 0, ""),
            ("3.7: --max-age 301", ["--at", f"@{OG['timestamp_ms'] // 1000 + 301}", "--max-age", "301"],
             0, ""),
            ("3.5.3: the chain's last second", ["--at", f"@{OG['chain_valid_until_unix']}",
                                              "--max-age", "20000"], 0, ""),
            ("3.5.3: the second after it", ["--at", f"@{OG['chain_valid_until_unix'] + 1}",
                                          "--max-age", "20000"], 1, "cert-expired: "),
            ("no such day", ["--at", "2026-02-30T00:00:00Z"], 2, "--at takes"),
            ("a date alone", ["--at", "2026-02-12"], 2, "--at takes"),
            ("no age", ["--max-age", "-1"], 2, "--max-age takes"),
    ):
        case(name, [*FILE, *SKIP, *args], status, err)
    # A chain lasts longer than a document may be young: 60 s ahead are forgiven, no more.
    for ahead, status in ((60, 0), (61, 1)):
        rows = [r for r in INDEX["vectors"] if r["expect"] == "accept" and r["kind"] == "real" and
                r["timestamp_ms"] // 1000 - ahead >= r["chain_valid_from_unix"]]
        assert rows
        row = rows[0]
        case(f"3.7: {ahead} s ahead", ["--file", VECTORS / row["file"], *SKIP, "--allow-debug", "--at",
                                       f"@{row['timestamp_ms'] // 1000 - ahead}"], status, "in-future: ")


def policies(tmp):
    case("V4: debug", ["--file", VECTORS / DEBUG["file"], "--at", f"@{DEBUG['verify_at_unix']}", *SKIP], 1,
         "debug-mode: ")
    case("V4: debug, allowed", ["--file", VECTORS / DEBUG["file"], "--at", f"@{DEBUG['verify_at_unix']}",
                                *SKIP, "--allow-debug"], 0, out="DEBUG MODE")
    case("3.8: the nonce", [*FILE, *AT, *SKIP, "--nonce", OG["nonce"]], 0)
    case("3.8: upper case", [*FILE, *AT, *SKIP, "--nonce", OG["nonce"].upper()], 0)
    case("3.8: another nonce", [*FILE, *AT, *SKIP, "--nonce", "00" * 20], 1, "nonce-mismatch: ")
    case("3.8: user_data", [*FILE, *AT, *SKIP, "--user-data", OG["user_data"]], 0)
    case("V4: another root", [*FILE, *AT, *SKIP, "--root", VECTORS / "test-root.pem"], 1,
         "untrusted-root: ")
    case("V4: AWS's root from a file is AWS's", [*FILE, *AT, *SKIP, "--root",
                                                VECTORS / "aws-nitro-root-g1.pem"], 0,
         out="root: aws-nitro\n")
    case("a root that is none", [*FILE, *AT, *SKIP, "--root", VECTORS / "index.json"], 2, "--root takes")
    case("no root file", [*FILE, *AT, *SKIP, "--root", tmp / "none"], 3, "cannot open")


def forms(tmp):
    cbor = (VECTORS / OG["file"]).read_bytes()
    text = base64.b64encode(cbor)
    (tmp / "text").write_bytes(text + b"\n")
    (tmp / "spaced").write_bytes(text[:64] + b"\n" + text[64:])
    (tmp / "large").write_bytes(b"A" * 65536)
    (tmp / "empty").write_bytes(b"")
    case("Base64", ["--file", tmp / "text", *AT, *SKIP], 0)
    case("standard input", ["--file", "-", *AT, *SKIP], 0, stdin=cbor)
    case("Base64 with a line feed inside", ["--file", tmp / "spaced", *AT, *SKIP], 1, "cose-structure: ")
    case("too large, as text", ["--file", tmp / "large", *AT, *SKIP], 1, "too-large: ")
    case("empty", ["--file", tmp / "empty", *AT, *SKIP], 1, "cbor-truncated: ")
    case("nitriding's debug answer", ["--file", "-", *AT, *SKIP], 1, "cbor-truncated: ", stdin=b"e30=\n")
    case("V1: no file", ["--file", tmp / "none", *AT, *SKIP], 3, "cannot open")
    for name, args, err in (
            ("neither file nor URL", SKIP, "--url or --file is missing"),
            ("file and URL", [*FILE, *SKIP, "--url", "https://localhost"], "--url or --file is one"),
            ("V3: a URL without TLS", [*SKIP, "--url", "http://localhost"], "--url must begin"),
            ("a URL with a path", [*SKIP, "--url", "https://localhost/x"], "--url must be"),
            ("a URL with a user", [*SKIP, "--url", "https://a@localhost"], "--url must be"),
            ("a port that is none", [*SKIP, "--url", "https://localhost:0"], "--url must be"),
            ("an unknown skip", [*FILE, "--allow-skip", "all"], "--allow-skip"),
            ("a nonce that is not hex", [*FILE, *SKIP, "--nonce", "xy"], "--nonce takes"),
            ("an odd number of digits", [*FILE, *SKIP, "--nonce", "abc"], "--nonce takes"),
    ):
        case(name, args, 2, err)


def as_json():
    good = json.loads(case("--json", [*FILE, *AT, *pcr(0), "--json"], 0))
    bad = json.loads(case("--json, not verified", [*FILE, *AT, *pcr(0, "ab" * 48), "--json"], 1,
                          "pcr-mismatch: "))
    names = [c["name"] for c in good["checks"]]
    wanted = [
        ("V4: the root", good["root"] == "aws-nitro"),
        ("V4: every check", names == [c["name"] for c in bad["checks"]] and len(names) == 9),
        ("V4: verdicts", {c["verdict"] for c in good["checks"]} == {"ok", "none"}),
        ("V4: what the document says", good["document"]["pcr0"] == PCRS["0"] and
         good["document"]["nonce"] == OG["nonce"] and good["module_id"] == OG["module_id"]),
        ("V4: the reason", bad["reason"] == "pcr-mismatch" and bad["verified"] is False),
        ("V4: the check that failed", next(c["verdict"] for c in bad["checks"]
                                           if c["name"] == "pcrs") == "failed"),
        ("V4: what was found instead", bad["document"]["pcr0"] == PCRS["0"]),
    ]
    row = next(r for r in INDEX["vectors"] if r["id"] == "ok")
    custom = json.loads(case("--json, custom root", [*vector_args(row), "--json"], 0))
    wanted.append(("V4: a custom root", custom["root"] == "custom"))
    global count
    for name, right in wanted:
        count += 1
        if not right:
            FAILURES.append(name)


with tempfile.TemporaryDirectory() as directory:
    scratch = pathlib.Path(directory)
    vectors()
    expectations(scratch)
    times()
    policies(scratch)
    forms(scratch)
    as_json()

for failure in FAILURES:
    print(f"[  FAILED  ] {failure}")
print(f"[  PASSED  ] {count - len(FAILURES)} test(s).")
if FAILURES:
    print(f"[  FAILED  ] {len(FAILURES)} test(s)")
if count < 280:
    print("too few cases ran")
sys.exit(1 if FAILURES or count < 280 else 0)
