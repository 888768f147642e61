"""Requests that a careless or malicious client sends, as bytes on the wire; endless,
and the same for the same seed."""

import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

ODD_NUMBERS = [
    "NaN", "Infinity", "-Infinity", "-0", "-0.0", "1e309", "-1e400", "1e-400", "01", "+1", ".5", "1.", "0x10",
    "1_000",
    "9" * 25, "9" * 400, "9" * 5000, "1" + "0" * 39, "3.4028236e38", "9007199254740993", "1e", "--1",
    "1e+99999999999",
    "0." + "1" * 3000, "18446744073709551616", "true", "null", '"1"',
]  # fmt: skip
ODD_TEXTS = [
    b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xff\xfe"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"',
    b'"\\u0000"',
    b'"\x00"', b'"\n"', b'"\\x41"', b'"\\u12"', b'"abc', b"'abc'", b'""', '"\u202e\u0000"'.encode(),
    '"\U0001f4a9"'.encode(),
    b'"' + b"A" * 50_000 + b'"', b'"' + "é".encode() * 20_000 + b'"',
]  # fmt: skip
ODD_TIMES = [
    "0000-00-00", "9999-12-31T23:59:60Z", "2024-02-30", "-0001-01-01T00:00:00", "2024-01-01T00:00:00+99:99", "1e9",
    "now",
    "2024-01-01T00:00:00.99999999999999999999Z", "99999-01-01", "2024-W01-1", "20240101",
    "\u0662\u0660\u0662\u0664-01-01", "T",
]  # fmt: skip
ODD_HEADERS = [
    b"Content-Type: text/plain", b"Content-Type: application/x-www-form-urlencoded", b"Content-Type:",
    b"Content-Type: \xff",
    b"Content-Type: multipart/form-data; boundary=x", b"Content-Type: application/octet-stream", b"Accept: image/png",
    b"Content-Type: application/json; charset=utf-16", b"Content-Type: " + b"x" * 5000,
    b"X-Request-Id: " + b"i" * 5000,
    b"X-Request-Id: a\tb", b"X-Request-Id: \xf0\x9f\x92\xa9", b"X-Request-Id:", b"Host: a\r\nHost: b", b"Host:",
    b": nothing",
    b"Bad Name: x", b"Name\x00: x", b"Name: \x00", b"Name : x", b" folded", b"A: b\r\n folded", b"A: b\nC: d",
    b"A: b\rC: d",
    b"Content-Length: 1", b"Content-Length: -1", b"Content-Length: 1e3", b"Content-Length: 0x10",
    b"Content-Length: +5",
    b"Content-Length: 99999999999999999999", b"Content-Length: 18446744073709551617", b"Content-Length: 1000000000",
    b"Content-Length:", b"Content-Length: 5\r\nContent-Length: 6", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding:\x0bchunked", b"Expect: 100-continue", b"Expect: nothing", b"Connection: close",
    b"Connection: \xff",
    b"Connection: upgrade\r\nUpgrade: h2c", b"Connection: Upgrade\r\nUpgrade: websocket", b"Upgrade: x",
    b"Cookie: " + b"c" * 9000,
    b"Connection: keep-alive, close", b"Range: bytes=0-1", b"If-Match: *", b"Inference-Header-Content-Length: 5",
    b"\r\n".join(b"H%d: x" % number for number in range(300)), b"Long: " + b"l" * 70_000, b"n" * 40_000 + b": x",
    b"Inference-Header-Content-Length: -1", b"Inference-Header-Content-Length: 99999999", b"Content-Encoding: br",
    b"Content-Encoding: gzip", b"Content-Encoding: \xff", b"Content-Encoding: gzip, gzip",
]  # fmt: skip
METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"PROPFIND",
b"get", b"X" * 300,
           b"", b"P\xc3\x96ST", b"SUBSCRIBE", b"M-SEARCH", b"PRI", b"SOURCE"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """What is attacked.

    Attributes:
        name: Of the model.
        row: A row it answers.
        kinds: The kind of each column, in the order of the metadata.
        datatypes: The V2 datatype of each column.
    """

    name: str
    row: dict[str, Any]
    kinds: dict[str, str]
    datatypes: dict[str, str]

    @property
    def v1(self) -> bytes:
        return f"/v1/models/{self.name}:predict".encode()

    @property
    def v2(self) -> bytes:
        return f"/v2/models/{self.name}/infer".encode()

    def golden(self) -> bytes:
        """A request that has to be answered, whatever came before it."""
        return post(self.v1, json.dumps({"instances": [self.row]}).encode())


@dataclass(frozen=True, slots=True)
class Attack:
    """What is sent on a connection.

    Attributes:
        family: What kind of attack it is.
        parts: Bytes, sent one after another.
        answers: How many answers are waited for; fewer may come.
        pause: Seconds between two parts.
        end: What the client does after the last part: it waits, stops sending (`half`), or leaves (`reset`).
        hang: Whether the client cannot be told from one that is still sending, so that an answer may take long.
    """

    family: str
    parts: tuple[bytes, ...]
    answers: int = 1
    pause: float = 0.0
    end: str = "wait"
    hang: bool = False


Random = random.Random
Family = Callable[[Random, Target], Attack | tuple[bytes, ...] | bytes]


def post(path: bytes, body: bytes, *headers: bytes, length: int | None = None) -> bytes:
    """A well-formed request, but for its headers."""
    size = len(body) if length is None else length
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: test", *headers, b"Content-Length: %d" % size]
    return b"\r\n".join([*lines, b"", body])


def corpus(target: Target, count: int, *, seed: int, without: tuple[str, ...] = ()) -> Iterator[Attack]:
    """Attacks of all families, the dear ones seldom.

    Args:
        target: What is attacked.
        count: How many.
        seed: The same seed gives the same attacks.
        without: Families to leave out.
    """
    chance = Random(seed)
    families = {name: weight for name, weight in WEIGHTS.items() if name not in without}
    for name in chance.choices(list(families), list(families.values()), k=count):
        yield _made(name, chance, target)


def each(target: Target, count: int, *, seed: int) -> Iterator[Attack]:
    """So many attacks of each family, after which a server has shown all it keeps in memory."""
    chance = Random(seed)
    for name in FAMILIES:
        for _ in range(count):
            yield _made(name, chance, target)


def _made(name: str, chance: Random, target: Target) -> Attack:
    made = FAMILIES[name](chance, target)
    if isinstance(made, Attack):
        return made
    return Attack(name, (made,) if isinstance(made, bytes) else made)


# JSON of the V1 protocol


def _spliced(target: Target, column: str, value: bytes) -> bytes:
    """The good body with one value replaced by bytes."""
    text = json.dumps({"instances": [{**target.row, column: "%"}]}).encode()
    return text.replace(b'"%"', value)


def _column(chance: Random, target: Target, *kinds: str) -> str:
    names = [name for name, kind in target.kinds.items() if not kinds or kind in kinds]
    return chance.choice(names or list(target.kinds))


def nesting(chance: Random, target: Target) -> bytes:
    depth = chance.choice([3, 100, 500, 1000, 5000, 100_000])
    opening, closing = chance.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'{"instances":', b"}"), (b'[{"a":', b"}]")])
    deep = opening * depth + chance.choice([b"1", b""]) + closing * chance.choice([depth, depth - 1, 0])
    place = chance.randrange(4)
    if place == 0:
        return post(target.v1, deep)
    if place == 1:
        return post(target.v1, b'{"instances": [' + deep + b"]}")
    if place == 2:
        return post(target.v1, _spliced(target, _column(chance, target), deep))
    return post(target.v1, _spliced(target, _column(chance, target), b'1, "unknown": ' + deep))


def numbers(chance: Random, target: Target) -> bytes:
    return post(target.v1, _spliced(target, _column(chance, target), chance.choice(ODD_NUMBERS).encode()))


def texts(chance: Random, target: Target) -> bytes:
    return post(target.v1, _spliced(target, _column(chance, target), chance.choice(ODD_TEXTS)))


def times(chance: Random, target: Target) -> bytes:
    value = json.dumps(chance.choice(ODD_TIMES)).encode()
    return post(target.v1, _spliced(target, _column(chance, target, "timestamp"), value))


def random_json(chance: Random, depth: int = 3) -> Any:
    """Some JSON."""
    kind = chance.randrange(9 if depth else 7)
    if kind < 7:
        return [None, True, False, chance.randint(-(10**20), 10**20), chance.uniform(-1e9, 1e9),
        "x" * chance.randrange(9),
                chr(chance.randrange(1, 0xD000))][kind]  # fmt: skip
    if kind == 7:
        return [random_json(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {str(random_json(chance, 0)): random_json(chance, depth - 1) for _ in range(chance.randrange(4))}


def types(chance: Random, target: Target) -> bytes:
    rows = [dict(target.row) for _ in range(chance.randrange(1, 4))]
    for _ in range(chance.randrange(1, 3)):
        chance.choice(rows)[_column(chance, target)] = random_json(chance)
    content: Any = {"instances": rows}
    place = chance.randrange(6)
    if place == 0:
        content["instances"] = random_json(chance)
    elif place == 1:
        content["parameters"] = random_json(chance)
    elif place == 2:
        content = random_json(chance)
    elif place == 3:
        content["instances"] = [*rows, random_json(chance)]
    return post(target.v1, json.dumps(content).encode())


def duplicates(chance: Random, target: Target) -> bytes:
    column = _column(chance, target)
    twice = json.dumps(column).encode() + b": " + chance.choice([b"null", b"1", b'"a"', b"[]"])
    many = b", ".join([twice] * chance.choice([1, 2, 1000]))
    text = json.dumps({"instances": [target.row]}).encode()
    if chance.random() < 0.3:
        return post(target.v1, text[:-1] + b', "instances": ' + chance.choice([b"[]", b"1", text]) + b"}")
    return post(target.v1, text.replace(b"[{", b"[{" + many + b", ") if chance.random() < 0.5 else
                text.replace(b"}]", b", " + many + b"}]"))  # fmt: skip


def encodings(chance: Random, target: Target) -> bytes:
    text = json.dumps({"instances": [target.row]}, ensure_ascii=False)
    name = chance.choice(["utf-16", "utf-32", "utf-8-sig", "utf-7", "latin-1", "cp037", "utf-16-le"])
    return post(target.v1, text.encode(name, errors="replace"))


def mutations(chance: Random, target: Target) -> bytes:
    text = bytearray(json.dumps({"instances": [target.row] * chance.randrange(1, 3)}).encode())
    for _ in range(chance.choice([1, 1, 2, 5, 50])):
        place = chance.randrange(len(text))
        action = chance.randrange(4)
        if action == 0:
            text[place] = chance.randrange(256)
        elif action == 1:
            del text[place : place + chance.randrange(1, 9)]
        elif action == 2:
            text[place:place] = chance.randbytes(chance.randrange(1, 9))
        else:
            text[place:place] = text[: chance.randrange(30)]
        text = text or bytearray(b"{")
    return post(target.v1, bytes(text))


def columns(chance: Random, target: Target) -> bytes:
    row: dict[str, Any] = dict(target.row)
    action = chance.randrange(5)
    if action == 0:
        row |= {f"column {number}": number for number in range(10_000)}
    elif action == 1:
        for name in chance.sample(list(row), chance.randrange(1, len(row) + 1)):
            del row[name]
    elif action == 2:
        row[chance.choice(["", "\u0000", "__class__", "instances", "n" * 100_000])] = 1
    elif action == 3:
        row = {name.upper(): value for name, value in row.items()}
    else:
        return post(target.v1, json.dumps({"instances": [list(range(10_000))]}).encode())
    return post(target.v1, json.dumps({"instances": [row]}).encode())


def rows(chance: Random, target: Target) -> bytes:
    values = list(target.row.values())
    instances = chance.choice([
        [], [[]], [values[:-1]], [[*values, 1]], [values, target.row], [target.row, values], [None], [target.row,
        None],
        [values] * 3, {"0": target.row}, target.row, [[values]], "rows",
    ])  # fmt: skip
    return post(target.v1, json.dumps({"instances": instances}).encode())


@cache
def _many_rows(target_row: str, count: int) -> bytes:
    return b'{"instances": [' + b",".join([target_row.encode()] * count) + b"]}"


def many_rows(chance: Random, target: Target) -> bytes:
    count = chance.choice([500, 10_001, 20_000])
    body = _many_rows(json.dumps(target.row), count)
    return post(target.v1, body if chance.random() < 0.7 else body[: len(body) // 2])


def explanations(chance: Random, target: Target) -> bytes:
    count = chance.choice([0, 1, 2, 101])
    body = json.dumps({"instances": [target.row] * count, "parameters": {"explain": True}}).encode()
    return post(chance.choice([target.v1, target.v1.replace(b":predict", b":explain")]), body)


# The V2 protocol


def _tensors(target: Target) -> list[dict[str, Any]]:
    return [
        {"name": name, "shape": [1], "datatype": target.datatypes[name], "data": [value]}
        for name, value in target.row.items()
    ]


def tensors(chance: Random, target: Target) -> bytes:
    inputs = _tensors(target)
    one = chance.choice(inputs)
    change: dict[str, list[Any]] = {
        "shape": [[0], [-1], [2], [1, 1], [1, 1, 1], [1.5], [10**12], [10**30], [1] * 10_000, "1", None, [None], []],
        "datatype": ["FP64", "BYTES", "BOOL", "INT8", "UINT64", "FP16", "BF16", "", "x" * 10_000, None, 1],
        "data": [[], None, [[1]], [[[1]]], [1] * 1000, {}, "a", [{}], [None], [10**40], [True], [[1, 2]], ["\ud800"]],
        "name": ["", "other", inputs[0]["name"], "x" * 100_000, None, 1, "\u0000"],
        "parameters": [None, {}, [], {"binary_data_size": 8}, {"binary_data_size": -1}, {"binary_data_size": 10**50},
                       {"binary_data_size": "8"}, {"content_type": "str"}],
    }  # fmt: skip
    key = chance.choice(list(change))
    one[key] = chance.choice(change[key])
    if chance.random() < 0.2:
        del one[chance.choice(list(one))]
    return post(target.v2, json.dumps({"inputs": inputs}).encode())


def binary(chance: Random, target: Target) -> bytes:
    inputs, parts = _tensors(target), []
    for one in inputs:
        if chance.random() < 0.7:
            size = (
                8
                if one["datatype"] in ("FP64", "INT64")
                else 1
                if one["datatype"] == "BOOL"
                else 4 + chance.randrange(9)
            )
            part = chance.randbytes(size) if chance.random() < 0.7 else bytes(size)
            if one["datatype"] == "BYTES" and chance.random() < 0.6:
                part = (size - 4).to_bytes(4, "little") + b"a" * (size - 4)
            del one["data"]
            lie = chance.choice([0, 0, 0, 1, -1, 7, 2**31, 2**63, -100])
            one["parameters"] = {"binary_data_size": size + lie}
            parts.append(part)
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": chance.random() < 0.5}}).encode()
    length = chance.choice([len(head)] * 5 + [0, len(head) - 1, len(head) + 1, 10**9, -5])
    return post(target.v2, head + b"".join(parts), b"Inference-Header-Content-Length: %d" % length)


def options(chance: Random, target: Target) -> bytes:
    content: dict[str, Any] = {"inputs": _tensors(target)}
    key = chance.choice(["id", "outputs", "parameters", "inputs", "unknown"])
    content[key] = chance.choice(
        [None, 1, "x" * 200_000, [], {}, [{}], [{"name": "label"}] * 500, [{"name": "x" * 9999}], [{"name": None}],
        "\ud800",
         {"binary_data_output": True}, {"binary_data_output": "yes"}, {"explain": True}, {"explain": "yes"},
         [{"name": "label", "parameters": {"binary_data": True}}], random_json(chance)]
    )  # fmt: skip
    return post(target.v2, json.dumps(content).encode())


# HTTP


def chunks(chance: Random, target: Target) -> bytes:
    body = json.dumps({"instances": [target.row]}).encode()
    head = b"POST " + target.v1 + b" HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n"
    head += chance.choice(
        [b"", b"", b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Trailer: x\r\n"]
    )
    step = chance.choice([1, 7, len(body)])
    parts = [b"%x\r\n%s\r\n" % (len(part), part) for part in (body[i : i + step] for i in range(0, len(body), step))]
    odd = [b"zz\r\n", b"-1\r\n", b"ffffffffffffffff\r\n", b"ffffffffffffffffff\r\n", b"5\nhello\n",
    b"2\r\nhello\r\n", b"\r\n", b"5",
           b"5;" + b"e" * 40_000 + b"\r\nhello\r\n", b"0x5\r\nhello\r\n", b"5 \r\nhello\r\n",
           b"00000000000005\r\nhello\r\n",
           b"0\r\n\r\n", b"3b9aca00\r\nhello", b"5;a=\"b\r\nhello\r\n"]  # fmt: skip
    if chance.random() < 0.7:
        parts[chance.randrange(len(parts))] = chance.choice(odd)
    last = chance.choice(
        [b"0\r\n\r\n"] * 3 + [b"0\r\nTrailer: x\r\n\r\n", b"0\r\n" + b"t" * 40_000 + b": x\r\n\r\n", b"0\r\n", b""]
    )
    return head + b"\r\n" + b"".join(parts) + last


def pipelines(chance: Random, target: Target) -> Attack:
    made = []
    for _ in range(chance.randrange(2, 40)):
        good = chance.random() < 0.7
        made.append(
            target.golden() if good else FAMILIES[chance.choice(["types", "paths", "headers", "rows"])](chance, target)
        )
    return Attack("pipelines", (b"".join(part for part in made if isinstance(part, bytes)),), answers=len(made))


def headers(chance: Random, target: Target) -> bytes:
    body = json.dumps({"instances": [target.row]}).encode()
    chosen = [chance.choice(ODD_HEADERS) for _ in range(chance.choice([1, 1, 2, 4]))]
    if any(name in header for header in chosen for name in (b"Content-Length", b"Transfer-Encoding")):
        return b"\r\n".join([b"POST " + target.v1 + b" HTTP/1.1", b"Host: test", *chosen, b"", body])
    return post(target.v1, body, *chosen)


def paths(chance: Random, target: Target) -> bytes:
    path = chance.choice([
        b"/", b"//", b"*", b"", b"/..", b"/../../etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd", b"/%", b"/%zz", b"/%00",
        b"/\xff",
        b"/v1/models", b"/v1/models/", b"/v1/models/x:predict", b"/v2/models//infer", b"/v2/models/x/infer",
        target.v1 + b"?" + b"q" * 5000,
        target.v1 + b"/", target.v1 + b"#f", target.v1.replace(b":", b"%3a"), target.v2.replace(b"/infer",
        b"/versions/9/infer"),
        target.v1.upper(), b"/" + b"p" * 9000, b"/" + b"p" * 70_000, b"http://test" + target.v1,
        b"http://" + b"x" * 900, b"HTTP:",
        b"/docs", b"/openapi.json", b"/metrics", b"/docs/../../x", b"/" + b"a/" * 3000, b"/v1/models/%F0%9F%92%A9",
        b"/ HTTP/1.1 /",
    ])  # fmt: skip
    version = chance.choice(
        [b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.10", b"http/1.1", b"", b"ICE/1.0"]
    )
    return chance.choice(METHODS) + b" " + path + b" " + version + b"\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}"


@cache
def _bombs(row: str) -> dict[str, bytes]:
    body = f'{{"instances": [{row}]}}'.encode()
    zeros = bytes(50_000_000)
    return {
        "gzip": gzip.compress(zeros), "deflate": zlib.compress(zeros), "cut": gzip.compress(body)[:-4], "not": body,
        "twice": gzip.compress(gzip.compress(zeros)), "raw": zlib.compress(body)[2:-4], "good": gzip.compress(body),
        "named": b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 50_000,
        "spaces": gzip.compress(body[:-1] + b" " * 10_000_000 + b"}"),
        "members": gzip.compress(body) * 3, "empty": b"", "magic": b"\x1f\x8b",
    }  # fmt: skip


def compressed(chance: Random, target: Target) -> bytes:
    body = chance.choice(list(_bombs(json.dumps(target.row)).values()))
    encoding = chance.choice([b"gzip", b"gzip", b"deflate", b"br", b"gzip, gzip", b"compress"])
    return post(target.v1, body, b"Content-Encoding: " + encoding)


def garbage(chance: Random, target: Target) -> Attack:
    del target
    made = chance.choice([
        chance.randbytes(chance.randrange(1, 2000)),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(100),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"EHLO test\r\n", b"\r\n" * 1000, b"\0" * 1000, b"*1\r\n$4\r\nPING\r\n",
        b"GET /\r\n\r\n",
    ])  # fmt: skip
    return Attack("garbage", (made,), end="half")


def broken_off(chance: Random, target: Target) -> Attack:
    request = target.golden()
    return Attack(
        "broken_off", (request[: chance.randrange(1, len(request))],), answers=0, end=chance.choice(["half", "reset"])
    )


def too_large(chance: Random, target: Target) -> bytes:
    return post(target.v1, b"[" * chance.choice([1000, 100_000]), length=17_000_000)


def slow(chance: Random, target: Target) -> Attack:
    request = target.golden()
    parts = tuple(request[i : i + 9] for i in range(0, chance.randrange(9, len(request)), 9))
    return Attack("slow", parts, pause=chance.choice([0.01, 0.05, 0.2]), hang=True)


FAMILIES: dict[str, Family] = {
    family.__name__: family
    for family in (
        nesting, numbers, texts, times, types, duplicates, encodings, mutations, columns, rows, many_rows,
        explanations,
        tensors, binary, options, chunks, pipelines, headers, paths, compressed, garbage, broken_off, too_large, slow,
    )
}  # fmt: skip
V2_FAMILIES = ("tensors", "binary", "options")
WEIGHTS = dict.fromkeys(FAMILIES, 10.0) | {
    "many_rows": 0.05, "explanations": 0.2, "compressed": 0.6, "columns": 3.0, "pipelines": 2.0, "slow": 0.2,
    "nesting": 5.0,
    "too_large": 1.0,
}  # fmt: skip
