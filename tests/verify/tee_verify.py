#!/usr/bin/env python3
"""tee_verify.py PROGRAM VECTORS - runs tee-verify as a client would: exit status, first line, rule.

Each case is named for what it holds. What the checks refuse is tested in tests/unit/receipt; here
it is the program: options, files, exit status (interfaces.md V1, V2), and that nothing that is
printed contradicts the status.
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
    done = subprocess.run([PROGRAM, *map(str, args)], input=stdin, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def case(name, args, status, out="", err="", stdin=b""):
    """out: how standard output begins; err: a part of the one line on standard error."""
    global count
    count += 1
    got, stdout, stderr = run(args, stdin)
    problems = []
    if got != status:
        problems.append(f"status {got}, not {status}")
    if not stdout.startswith(out) or (out == "" and status in (2, 3) and stdout != ""):
        problems.append(f"output {stdout[:120]!r}")
    if err not in stderr or stderr.count("\n") != (0 if status == 0 else 1):
        problems.append(f"errors {stderr!r}")
    # Whatever a script looks at, it learns the same.
    if (got == 0) != (stdout.startswith(("verified: ", '{"verified":true', "usage", "tee-verify"))):
        problems.append("status and output disagree")
    if problems:
        FAILURES.append(f"{name}: {', '.join(problems)}")
    return stdout


def vector(name):
    return VECTORS / name


ALLOW = ["--allow-skip", "attestation"]
JWKS = ["--jwks", vector("jwks.json")]
BODY = ["--request", vector("nonstream.request.json"), "--response", vector("nonstream.response.json")]
GIVEN = ["--receipt", vector("nonstream.receipt.jws")]
STREAM = ["--request", vector("stream.request.json"), "--response", vector("stream.response.sse")]
FAILED = ["--request", vector("stream.request.json"), "--response", vector("failed.response.sse")]
KEY = ["--key", vector("signing-key.pem")]
ID = INDEX["tee_id"]


def index_cases():
    complete = "verified: outcome complete, receipt chatcmpl-00000000-0000-4000-8000-00000000000"
    case("index: body", ["receipt", *BODY, *GIVEN, *JWKS, *ALLOW], 0, complete + "1, signed by " + ID)
    case("index: stream", ["receipt", *STREAM, *JWKS, *ALLOW], 0, complete + "2, signed by " + ID)
    case("index: failed", ["receipt", *FAILED, *JWKS, *ALLOW], 0, "verified: outcome failed, ")
    for row in INDEX["reject"]:
        if row["file"].endswith(".jws"):
            args = [*BODY, "--receipt", vector(row["file"])]
        else:
            args = ["--request", vector(row["with"]), "--response", vector(row["file"])]
        case("index: " + row["why"], ["receipt", *args, *JWKS, *ALLOW], 1, "not verified\n",
             "not verified: ")


def policy_cases(tmp):
    case("V2: no PCR expectation, none waived", ["receipt", *STREAM, *JWKS], 2, "", "V2")
    case("V2: pcrs allowed, attestation not", ["receipt", *STREAM, *JWKS, "--allow-skip", "pcrs"], 1,
         "not verified\n", "V2: attestation")
    case("V2: request skipped, not allowed", ["receipt", *STREAM[2:], *JWKS, *ALLOW], 2, "",
         "--request is missing")
    case("V2: request skipped", ["receipt", *STREAM[2:], *JWKS, *ALLOW, "--allow-skip", "request"], 0,
         "verified: outcome complete")
    case("V2: a skip that is allowed is still made when it can be",
         ["receipt", "--request", vector("nonstream.request.json"), *STREAM[2:], *JWKS, *ALLOW,
          "--allow-skip=request"], 1, "not verified\n", "R7: req ")
    case("V1: --require-complete", ["receipt", *STREAM, *JWKS, *ALLOW, "--require-complete"], 0,
         "verified: outcome complete")
    case("V1: --require-complete, failed", ["receipt", *FAILED, *JWKS, *ALLOW, "--require-complete"],
         1, "not verified\n", "not complete")
    nonce = "bm9uY2Utbm9uY2Utbm9uY2U"
    case("R7: the nonce", ["receipt", *STREAM, *JWKS, *ALLOW, "--receipt-nonce", nonce], 0, "verified")
    case("R7: another nonce", ["receipt", *STREAM, *JWKS, *ALLOW, "--receipt-nonce", nonce + "A"], 1,
         "not verified\n", "R7: the receipt is not for this nonce")
    case("R4: a body without its receipt", ["receipt", *BODY, *JWKS, *ALLOW], 1, "not verified\n",
         "use --receipt")
    case("R5: a stream with another's receipt", ["receipt", *STREAM, *GIVEN, *JWKS, *ALLOW], 1,
         "not verified\n", "not verified: ")
    jws = vector("nonstream.receipt.jws").read_bytes()
    case("receipt from standard input", ["receipt", *BODY, "--receipt", "-", *JWKS, *ALLOW], 0,
         "verified", stdin=jws)
    case("a line feed after the receipt", ["receipt", *BODY, "--receipt=-", *JWKS, *ALLOW], 0,
         "verified", stdin=jws + b"\n")
    case("an empty receipt", ["receipt", *BODY, "--receipt", "-", *JWKS, *ALLOW], 1, "not verified\n",
         "RFC 7515")
    attested = json.loads(vector("jwks.json").read_text())
    attested["keys"][0]["attestation"] = "hEShATgi"
    (tmp / "attested.json").write_text(json.dumps(attested))
    case("R3: an attestation that is none",
         ["receipt", *STREAM, "--jwks", tmp / "attested.json", "--allow-skip", "pcrs"], 1,
         "not verified\n", "cbor-truncated: ")
    attested["keys"][0]["attestation"] = base64.b64encode(
        (VECTORS.parent / "attestation/real/opengradient-2026.cbor").read_bytes()).decode()
    (tmp / "another.json").write_text(json.dumps(attested))
    case("R3: another enclave's attestation",
         ["receipt", *STREAM, "--jwks", tmp / "another.json", "--allow-skip", "pcrs"], 1,
         "not verified\n", "signing-key-mismatch: ")
    case("V3: a time, and no gateway", ["receipt", *STREAM, *JWKS, *ALLOW, "--at", "@1"], 2, "",
         "--at goes with --url")
    case("R3: an attestation, its skip allowed",
         ["receipt", *STREAM, "--jwks", tmp / "attested.json", *ALLOW], 0, "verified")


def response_cases(tmp):
    for args in (BODY, STREAM):
        case("response", ["response", *args, *KEY], 0, "verified: outcome complete, signed by " + ID)
    case("response: failed", ["response", *FAILED, *KEY], 1, "not verified\n", "E1")
    case("4.1: stream is not committed by tee_request_hash", ["response", *BODY[:2], *STREAM[2:], *KEY], 0, "verified")
    text = vector("nonstream.request.json").read_bytes()
    (tmp / "other.json").write_bytes(text.replace(b"one", b"One"))
    case("response: another request", ["response", "--request", tmp / "other.json", *BODY[2:], *KEY],
         1, "not verified\n", "tee_request_hash")
    case("response: no key in the file", ["response", *BODY, "--key", vector("jwks.json")], 1,
         "not verified\n", "not verified: ")
    (tmp / "ec.pem").write_text(
        "-----BEGIN PUBLIC KEY-----\n"
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEdTiU5YUq73R6EB/smcKK8R/IzgFG\n"
        "IQnfAck6aysw47rWsXDJx7cg7SBgqpU25e44JeZ+GPYJbF3pY/ATVmT9sQ==\n"
        "-----END PUBLIC KEY-----\n")
    case("response: a key that is not RSA", ["response", *BODY, "--key", tmp / "ec.pem"], 1,
         "not verified\n", "not verified: ")


def changed_files(tmp):
    """A sample of single bytes through the program; every byte is done in the unit tests."""
    for args, index in ((BODY + GIVEN, 1), (BODY + GIVEN, 3), (BODY + GIVEN, 5), (STREAM, 3),
                        (FAILED, 3)):
        original = pathlib.Path(args[index]).read_bytes()
        for at in range(0, len(original), 211):
            data = bytearray(original)
            data[at] ^= 1
            (tmp / "changed").write_bytes(data)
            changed = [*args[:index], tmp / "changed", *args[index + 1:]]
            case(f"{args[index].name}: byte {at} changed", ["receipt", *changed, *JWKS, *ALLOW], 1,
                 "not verified\n", "not verified: ")
    for at in range(0, len(original), 199):
        (tmp / "changed").write_bytes(original[:at])
        case(f"cut after {at} bytes",
             ["receipt", *FAILED[:3], tmp / "changed", *JWKS, *ALLOW], 1, "not verified\n", "")


def json_cases():
    good = json.loads(case("--json", ["receipt", *STREAM, *JWKS, *ALLOW, "--json"], 0, "{"))
    bad = json.loads(case("--json, not verified",
                          ["receipt", *BODY, "--receipt", vector("neg-receipt-typ.jws"), *JWKS,
                           *ALLOW, "--json"], 1, '{"verified":false,"error":', "R8"))
    answer = json.loads(case("--json, response", ["response", *BODY, *KEY, "--json"], 0, "{"))
    verdicts = {c["name"]: c["verdict"] for c in good["checks"]}
    refused = {c["name"]: c["verdict"] for c in bad["checks"]}
    wanted = [
        ("V4: the outcome", good["verified"] is True and good["outcome"] == "complete"),
        ("V4: who signed", good["signed_by"] == ID and answer["signed_by"] == ID),
        ("V4: no hardware", good["platform"] == "local-simulation"),
        ("V4: every check has a verdict", set(verdicts.values()) == {"ok", "none", "skipped"}),
        ("V4: what is skipped", [n for n, v in verdicts.items() if v == "skipped"] ==
         ["attestation", "pcrs"]),
        ("V4: the nonce was not asked for", verdicts["nonce"] == "none"),
        ("V4: the check that failed", refused["signature"] == "failed"),
        ("V4: the checks after it", refused["response"] == "not reached"),
        ("V4: the rule", "R8" in bad["error"] and "outcome" not in bad),
        ("V4: checks of a response", [c["verdict"] for c in answer["checks"]] == ["ok"] * 5),
    ]
    global count
    for name, good in wanted:
        count += 1
        if not good:
            FAILURES.append(name)


def usage_cases():
    case("no command", [], 2, "", "a command is missing")
    case("unknown command", ["attest"], 2, "", "attest is not a command")
    case("unknown option", ["receipt", *STREAM, *JWKS, "--urls", "https://x"], 2, "", "--urls is not")
    case("a key set and a gateway", ["receipt", *STREAM, *JWKS, "--url", "https://x"], 2, "",
         "--jwks or --url is one too many")
    case("another command's option", ["response", *STREAM, *KEY, *JWKS], 2, "", "--jwks is not")
    case("a stray word", ["receipt", *STREAM, *JWKS, "extra"], 2, "", "extra is not an option")
    case("the beginning of an option", ["receipt", "--req", "x"], 2, "", "--req is not")
    case("twice", ["receipt", *STREAM, *JWKS, *JWKS], 2, "", "--jwks is given twice")
    case("twice, without value", ["receipt", *STREAM, *JWKS, "--json", "--json"], 2, "",
         "--json is given twice")
    case("no value", ["receipt", *STREAM, "--jwks"], 2, "", "--jwks needs a value")
    case("a value too many", ["receipt", *STREAM, *JWKS, "--json=yes"], 2, "", "--json takes no value")
    case("an unknown skip", ["receipt", *STREAM, *JWKS, "--allow-skip", "all"], 2, "", "--allow-skip")
    case("a nonce that cannot be", ["receipt", *STREAM, *JWKS, "--receipt-nonce", "short"], 2, "",
         "--receipt-nonce")
    for command, args, option in (("receipt", STREAM, "--jwks or --url"),
                                  ("receipt", [*STREAM[:2], *JWKS], "--response"),
                                  ("response", STREAM, "--key or --url"),
                                  ("response", [*STREAM[2:], *KEY], "--request"),
                                  ("response", [*STREAM[:2], *KEY], "--response")):
        case(f"{command} without {option}", [command, *args], 2, "", option + " is missing")
    case("--help", ["--help"], 0, "usage: tee-verify")
    case("--help of a command", ["receipt", "--help"], 0, "usage: tee-verify")
    case("--version", ["--version"], 0, "tee-verify ")


def file_cases(tmp):
    for option, args in (("request", ["--request", tmp / "none", *STREAM[2:], *JWKS]),
                         ("response", [*STREAM[:2], "--response", tmp / "none", *JWKS]),
                         ("jwks", [*STREAM, "--jwks", tmp / "none"]),
                         ("receipt", [*STREAM, "--receipt", tmp / "none", *JWKS])):
        case(f"V1: no file for --{option}", ["receipt", *args, *ALLOW], 3, "", "cannot open")
    case("V1: no key file", ["response", *STREAM, "--key", tmp / "none"], 3, "", "cannot open")
    case("V1: a directory", ["receipt", *STREAM[:2], "--response", tmp, *JWKS, *ALLOW], 3, "",
         "cannot read")
    with open(tmp / "large", "wb") as f:
        f.truncate((64 << 20) + 1)
    case("V1: above 64 MiB", ["receipt", *STREAM[:2], "--response", tmp / "large", *JWKS, *ALLOW], 3,
         "", "above 64 MiB")
    (tmp / "empty").write_bytes(b"")
    case("an empty response", ["receipt", *STREAM[:2], "--response", tmp / "empty", *JWKS, *ALLOW], 1,
         "not verified\n", "R4")
    case("an empty request", ["receipt", "--request", tmp / "empty", *STREAM[2:], *JWKS, *ALLOW], 1,
         "not verified\n", "R7: req")
    case("an empty key set", ["receipt", *STREAM, "--jwks", tmp / "empty", *ALLOW], 1,
         "not verified\n", "RFC 8259")
    full = pathlib.Path("/dev/full")
    if full.exists():
        with full.open("wb") as f:
            status = subprocess.run([PROGRAM, "receipt", *STREAM, *JWKS, *ALLOW], stdout=f,
                                    stderr=subprocess.DEVNULL, timeout=60).returncode
        if status != 3:
            FAILURES.append(f"V1: a report that could not be written: status {status}")


with tempfile.TemporaryDirectory() as directory:
    scratch = pathlib.Path(directory)
    index_cases()
    policy_cases(scratch)
    response_cases(scratch)
    changed_files(scratch)
    json_cases()
    usage_cases()
    file_cases(scratch)

for failure in FAILURES:
    print(f"[  FAILED  ] {failure}")
print(f"[  PASSED  ] {count - len(FAILURES)} test(s).")
if FAILURES:
    print(f"[  FAILED  ] {len(FAILURES)} test(s)")
if count < 100:
    print("too few cases ran")
sys.exit(1 if FAILURES or count < 100 else 0)
