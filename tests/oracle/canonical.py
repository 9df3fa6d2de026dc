#!/usr/bin/env python3
"""Compares the canonical request text of the C code with Python's own.

Makes random chat and completion requests, works out with json.loads, rule R2
(opengradient.md 4.1, 4.2, 5) and json.dumps what must be hashed, and asks the
program named on the command line for the same. Texts are compared, not only
hashes. Fails when fewer than WANTED requests were compared.
"""
import json
import random
import subprocess
import sys

WANTED = 1000
SEED = 20260422

# Characters whose properties no Unicode version later than 14.0 will change.
CHARACTERS = list(
    "abcXYZ019 _-~!#$%&'()*+,./:;<=>?@[]^`{|}\"\\\x7f\x80\x9f\xa0\xad\xe9\xdf\xff"
    "\u0100\u0301\u03a9\u05d0\u0627\u0900\u1e9e\u200b\u200d\u2028\u2029\u20ac\u3000\u4e16"
    "\uac00\ue000\uf8ff\ufeff\uff5e\ufffd\ufffe\uffff"
    "\U00010000\U0001d11e\U0001f600\U0001f468\U000e0001\U000e0100\U000f0000\U0010ffff"
)
CONTROLS = [chr(c) for c in range(0x20)]
SURROGATES = [chr(c) for c in (0xD800, 0xD83D, 0xDBFF, 0xDC00, 0xDE00, 0xDFFF)]
NAMES = ["a", "b", "B", "a_", "10", "9", "", "é", "~", "type", "text", "\U0001f600", "\uff5e", "\ud83d"]
NUMBERS = (
    "0 -0 1 -1 7 10 1.0 -0.0 0.1 0.7 1e2 1E+2 1e-7 1E-05 0.0001 0.00001 1e15 1e16 1e22 1e23 5e-324 "
    "2.2250738585072014e-308 1.7976931348623157e308 1e-400 12345678901234567890 123456789012345680.0 "
    "9007199254740993 9007199254740993.0 5.684341886080801486968994140625e-14 1.50 100e-2 0e0 -0e5"
).split()


class Maker:
    """Random JSON text: odd white space, needless escapes, members named twice."""

    def __init__(self, rng):
        self.rng = rng

    def space(self):
        # No line feed: the program reads one request a line.
        return "".join(self.rng.choice(" \t\r") for _ in range(self.rng.choice((0, 0, 0, 1, 1, 2))))

    def escape(self, c):
        units = c.encode("utf-16-be", "surrogatepass")
        text = ""
        for i in range(0, len(units), 2):
            digits = "%04x" % int.from_bytes(units[i : i + 2], "big")
            text += "\\u" + "".join(self.rng.choice((d, d.upper())) for d in digits)
        return text

    def string(self, s):
        out = ""
        for c in s:
            short = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r",
                     "\t": "\\t"}
            must = c in '"\\' or c < " " or "\ud800" <= c <= "\udfff"
            if c in short and (must or self.rng.random() < 0.3):
                out += short[c] if self.rng.random() < 0.7 else self.escape(c)
            elif must or self.rng.random() < 0.15:
                out += self.escape(c)
            else:
                out += c
        return '"' + out + '"'

    def characters(self, most=12):
        pool = self.rng.choice((CHARACTERS, CHARACTERS, CHARACTERS + CONTROLS, CHARACTERS + SURROGATES, list("it's")))
        return "".join(self.rng.choice(pool) for _ in range(self.rng.randrange(most)))

    def text(self):
        return self.string(self.characters())

    def number(self):
        kind = self.rng.randrange(4)
        if kind == 0:
            return self.rng.choice(NUMBERS)
        if kind == 1:
            return str(self.rng.randrange(-(10 ** self.rng.randrange(1, 40)), 10 ** self.rng.randrange(1, 40)))
        if kind == 2:
            return repr(self.rng.uniform(-2, 2) * 10.0 ** self.rng.randrange(-30, 30))
        digits = "".join(self.rng.choice("0123456789") for _ in range(self.rng.randrange(1, 50)))
        return "%d.%s%s%d" % (self.rng.randrange(100), digits, self.rng.choice("eE"), self.rng.randrange(-320, 290))

    def array(self, values):
        values = [self.space() + v + self.space() for v in values]
        return "[" + (",".join(values) if values else self.space()) + "]"

    def object(self, members):
        members = list(members)
        self.rng.shuffle(members)
        if members and self.rng.random() < 0.1:
            name, _ = self.rng.choice(members)
            members.insert(self.rng.randrange(len(members) + 1), (name, self.value(1)))
            # The last one counts, so it has to be one that the rule can read.
            members.append((name, dict(members)[name] if self.rng.random() < 0.5 else self.value(0)))
        texts = [
            self.space() + self.string(n) + self.space() + ":" + self.space() + v + self.space() for n, v in members
        ]
        return "{" + (",".join(texts) if texts else self.space()) + "}"

    def value(self, depth):
        kind = self.rng.randrange(8 if depth > 0 else 5)
        if kind < 2:
            return self.text()
        if kind < 4:
            return self.number()
        if kind == 4:
            return self.rng.choice(("true", "false", "null"))
        if kind < 6:
            return self.array(self.value(depth - 1) for _ in range(self.rng.randrange(4)))
        return self.object(
            (self.rng.choice(NAMES + [self.characters(5)]), self.value(depth - 1)) for _ in range(self.rng.randrange(6))
        )

    def maybe(self, members, name, make, odds=0.5):
        if self.rng.random() < odds:
            members.append((name, make()))

    def empty(self):
        return self.rng.choice(("null", '""', "[]", "{}", "0", "0.0", "-0.0", "false", "1e-400"))

    def part(self):
        kind = self.rng.randrange(5)
        if kind == 0:
            return self.value(3)
        members = []
        self.maybe(members, "type", lambda: '"text"' if kind < 3 else self.rng.choice(('"file"', '"image_url"', "null")),
                   0.95)
        self.maybe(members, "text", lambda: self.rng.choice((self.text(), self.text(), self.empty())), 0.8)
        self.maybe(members, "filename", lambda: self.rng.choice((self.text(), self.empty())), 0.3)
        self.maybe(members, "file", lambda: self.object([("filename", self.text()), ("file_data", self.text())]), 0.3)
        self.maybe(members, "image_url", lambda: self.value(2), 0.3)
        return self.object(members)

    def call(self):
        members, function = [], []
        self.maybe(members, "id", self.text, 0.9)
        self.maybe(members, "type", lambda: '"function"', 0.9)
        self.maybe(members, "index", self.number, 0.3)
        self.maybe(function, "name", self.text, 0.9)
        self.maybe(function, "arguments", self.text, 0.9)
        self.maybe(members, "function", lambda: self.object(function), 0.95)
        return self.object(members)

    def message(self):
        role = self.rng.choice(("system", "developer", "user", "user", "user", "assistant", "tool", "function"))
        members = [("role", self.string(role))]
        parts = lambda: self.array(self.part() for _ in range(self.rng.randrange(4)))
        content = lambda: self.rng.choice((self.text, self.text, parts, lambda: self.value(3), self.empty))()
        self.maybe(members, "content", content, 0.95)
        self.maybe(members, "name", self.text, 0.3)
        self.maybe(members, "tool_call_id", self.text, 0.5)
        calls = lambda: self.array(self.call() for _ in range(self.rng.randrange(3)))
        self.maybe(members, "tool_calls", calls, 0.4)
        return self.object(members)

    def request(self, chat):
        members = [("model", self.rng.choice(('"gpt-4.1"', self.text())))]
        if chat:
            members.append(("messages", self.array(self.message() for _ in range(self.rng.randrange(5)))))
            self.maybe(members, "tools", lambda: self.array(self.value(4) for _ in range(self.rng.randrange(4))))
            self.maybe(members, "response_format", lambda: self.rng.choice((self.value(4), self.empty())), 0.3)
            self.maybe(members, "web_search", lambda: self.rng.choice((self.value(1), self.empty())), 0.3)
        else:
            members.append(("prompt", self.rng.choice((self.text, lambda: self.array([self.text()])))()))
        self.maybe(members, "temperature", lambda: self.rng.choice((self.number(), "0.7", "1", "null")))
        self.maybe(members, "max_tokens", lambda: self.rng.choice((self.number(), "100", "0", "null")))
        self.maybe(members, "stop", lambda: self.rng.choice((self.text(), self.array([self.text()]), self.empty())))
        self.maybe(members, "top_p", self.number, 0.3)
        self.maybe(members, "metadata", lambda: self.value(3), 0.3)
        return self.space() + self.object(members) + self.space()


class Refused(Exception):
    """The request has no canonical form."""


def is_number(v):
    return isinstance(v, (int, float)) and not isinstance(v, bool)


def user_content(content):
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return str(content)
    out = []
    for part in content:
        if not isinstance(part, dict):
            out.append({"type": "text", "text": str(part)})
        elif part.get("type") == "text":
            out.append({"type": "text", "text": part.get("text") or ""})
        else:
            entry = {"type": part.get("type")}
            inner = part.get("file")
            name = (inner.get("filename") if isinstance(inner, dict) else None) or part.get("filename")
            if name:
                entry["filename"] = name
            out.append(entry)
    return out


def tool_call(call):
    if not isinstance(call, dict):
        raise Refused
    function = call.get("function")
    if function is None:
        function = {}
    if not isinstance(function, dict):
        raise Refused
    return {
        "id": call.get("id"),
        "type": call.get("type"),
        "function": {"name": function.get("name"), "arguments": function.get("arguments")},
    }


def message(m):
    if not isinstance(m, dict):
        raise Refused
    role, content = m.get("role"), m.get("content")
    if role in ("system", "developer"):
        return {"role": "system", "content": content}
    if role == "user":
        return {"role": "user", "content": user_content(content)}
    if role == "assistant":
        out = {"role": "assistant", "content": content or ""}
        calls = m.get("tool_calls")
        if calls:
            if not isinstance(calls, list):
                raise Refused
            out["tool_calls"] = [tool_call(c) for c in calls]
        return out
    if role == "tool":
        return {"role": "tool", "content": content, "tool_call_id": m.get("tool_call_id")}
    if role == "function":
        return {"role": "function", "content": content, "name": m.get("name")}
    raise Refused


def canonical(body, chat):
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise Refused
    out = {"model": body["model"]}
    temperature = body.get("temperature", 0.0 if chat else 1.0)
    if temperature is not None and not is_number(temperature):
        raise Refused
    try:
        out["temperature"] = 0.0 if temperature is None else float(temperature)
    except OverflowError as e:
        raise Refused from e
    limit = body.get("max_tokens", None if chat else 16)
    if limit is not None:
        out["max_tokens"] = limit
    if chat:
        if not isinstance(body.get("messages"), list):
            raise Refused
        out["messages"] = [message(m) for m in body["messages"]]
        if body.get("web_search"):
            out["web_search"] = True
    else:
        if body.get("prompt") is None:
            raise Refused
        out["prompt"] = body["prompt"]
    for name in ("stop", "tools", "response_format") if chat else ("stop",):
        if body.get(name):
            out[name] = body[name]
    try:
        return json.dumps(out, sort_keys=True, allow_nan=False)
    except ValueError as e:
        raise Refused from e


def main():
    maker = Maker(random.Random(SEED))
    lines, expected = [], []
    while sum(e is not None for e in expected) < WANTED:
        chat = maker.rng.random() < 0.8
        text = maker.request(chat)
        try:
            expected.append(canonical(json.loads(text), chat))
        except Refused:
            expected.append(None)
        lines.append(("chat " if chat else "text ") + text + "\n")
    got = subprocess.run(
        [sys.argv[1]], input="".join(lines).encode(), stdout=subprocess.PIPE, check=True
    ).stdout.decode("ascii").split("\n")
    compared = 0
    for line, want, have in zip(lines, expected, got):
        have = None if have == "error" else have[65:]
        if have != want:
            print("request:", line, "python: ", want, "program:", have, sep="\n", file=sys.stderr)
            return 1
        compared += want is not None
    print("%d texts compared, %d refusals agreed" % (compared, len(lines) - compared))
    return 0 if compared >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
