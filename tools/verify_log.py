#!/usr/bin/env python3
"""Verify a Plimsoll ledger, or one receipt of it, trusting nothing but its public key.

    verify_log.py --vkey KEY [--old CHECKPOINT] LOG     the whole log: a directory or an http(s) prefix
    verify_log.py --vkey KEY --receipt FILE.tlog-proof  one event, offline

KEY is a note verifier key (`name+id+base64`) or a file that holds one. LOG is in C2SP tlog-tiles form: `checkpoint`,
`tile/<level>/<n>`, `tile/entries/<n>`. CHECKPOINT is one that you kept: without it, nobody can tell that a log was
cut short and signed again. Standard library only; the chain of each stream is checked too if the module `blake3` is
there. Exit status: 0 all is well, 1 something is wrong (`bad:` lines say what), 2 could not be checked.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import io
import json
import os
import re
import sys
import urllib.error
import urllib.request
import zlib
from typing import Any, Callable, Iterator, NamedTuple

try:
    from blake3 import blake3
except ImportError:
    blake3 = None

CHAIN_CONTEXT = "plimsoll 2026-11 stream chain v1"
WIDTH = 256  # entries of a bundle, hashes of a tile
RESOURCE_MAX = WIDTH * (2 + 65_535)  # bytes of the largest possible bundle
PROBLEMS_MAX = 20
TIMEOUT_S = 30
NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
KEY = re.compile(r"[ !#-\[\]-\x7f]*")  # ASCII that needs no escape: sorted alike by spelling and by meaning
TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")  # its text order is time order


class Bad(Exception):
    """What was checked is wrong."""


class Unchecked(Exception):
    """It could not be checked: wrong use, or a source that cannot be read."""


# --- Ed25519 (RFC 8032, section 5.1), points in extended coordinates ---

P, Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, ROOT_OF_MINUS_1 = -121665 * pow(121666, -1, P) % P, pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]


def add(a: Point, b: Point) -> Point:
    u, v = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    w, z = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = v - u, z - w, z + w, v + u
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Point) -> Point:
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def decode_point(raw: bytes) -> Point | None:
    y, sign = int.from_bytes(raw, "little") & (2**255 - 1), raw[31] >> 7
    x_squared = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x_squared, (P + 3) // 8, P)
    if x * x % P != x_squared:
        x = x * ROOT_OF_MINUS_1 % P
    if y >= P or x * x % P != x_squared or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = decode_point((4 * pow(5, -1, P) % P).to_bytes(32, "little")) or (0, 0, 0, 0)


def ed25519_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = decode_point(public), decode_point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= Q:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % Q
    left, right = multiply(s, BASE), add(r, multiply(k, a))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


# --- Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint) ---

class Key(NamedTuple):
    name: str
    id: bytes
    public: bytes


class Checkpoint(NamedTuple):
    size: int
    root: bytes


def unbase64(text: str, what: str) -> bytes:
    """Standard base64 with padding, in its one valid spelling."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raw = b""
    if base64.b64encode(raw).decode() != text:
        raise Bad(f"{what}: not base64")
    return raw


def parse_key(text: str) -> Key:
    name, _, rest = text.strip().partition("+")
    id_hex, _, encoded = rest.partition("+")
    try:
        typed = unbase64(encoded, "verifier key")
    except Bad as error:
        raise Unchecked(error) from None
    key_id = hashlib.sha256(name.encode(errors="replace") + b"\n" + typed).digest()[:4]
    if not re.fullmatch(r"\S+", name) or id_hex != key_id.hex() or len(typed) != 33 or typed[0] != 1:
        raise Unchecked(f"not an Ed25519 verifier key (name+id+base64), or its id is wrong: {text.strip()[:200]!a}")
    return Key(name, key_id, typed[1:])


def open_checkpoint(note: bytes, key: Key) -> Checkpoint:
    """Verifies the signature of `key` on a note, then reads its text as a checkpoint of the log that `key` names."""
    try:
        text = note.decode()
    except UnicodeDecodeError:
        raise Bad("checkpoint: not UTF-8") from None
    body, blank, signatures = text.rpartition("\n\n")
    body += "\n"
    if not blank or not signatures.endswith("\n") or re.search(r"[\x00-\x09\x0b-\x1f]", text):
        raise Bad("checkpoint: not a signed note")
    signed = False
    for line in signatures[:-1].split("\n"):
        parts = re.fullmatch(r"— ([^\s+]+) (\S+)", line)
        payload = unbase64(parts[2], "checkpoint: signature") if parts else b""
        if parts is None or len(payload) < 5:
            raise Bad(f"checkpoint: not a signature line: {line[:200]!a}")
        if (parts[1], payload[:4]) == (key.name, key.id):
            signed = ed25519_verifies(key.public, body.encode(), payload[4:])
            if not signed:
                raise Bad(f"checkpoint: the signature of {key.name} does not verify")
    if not signed:
        raise Bad(f"checkpoint: not signed by {key.name} with key {key.id.hex()}")
    lines = body[:-1].split("\n")
    if len(lines) < 3 or "" in lines or not NUMBER.fullmatch(lines[1]):
        raise Bad("checkpoint: not the three lines origin, size, root")
    if lines[0] != key.name:
        raise Bad(f"checkpoint: origin {lines[0][:200]!a} is not the key's name {key.name}")
    root = unbase64(lines[2], "checkpoint: root")
    if len(root) != 32:
        raise Bad("checkpoint: the root is not 32 bytes")
    return Checkpoint(int(lines[1]), root)


# --- The Merkle tree (RFC 6962, section 2.1) ---

def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def tree_hash(hashes: list[bytes]) -> bytes:
    """The root over equal subtrees, of which the last may be smaller: a lone right child is promoted."""
    if not hashes:
        return hashlib.sha256().digest()
    while len(hashes) > 1:
        pairs = [node_hash(*hashes[i:i + 2]) for i in range(0, len(hashes) - 1, 2)]
        hashes = pairs + hashes[len(pairs) * 2:]
    return hashes[0]


class Tree:
    """A growing tree that keeps only the last, incomplete tile of each level; complete ones go to `on_tile`."""

    def __init__(self, on_tile: Callable[[int, int, list[bytes]], None]) -> None:
        self.size, self.on_tile = 0, on_tile
        self.levels: list[list[bytes]] = []

    def append(self, digest: bytes) -> None:
        self.size += 1
        for level in range(64):
            if level == len(self.levels):
                self.levels.append([])
            tile = self.levels[level]
            tile.append(digest)
            if len(tile) < WIDTH:
                return
            self.hand_over(level)
            self.levels[level], digest = [], tree_hash(tile)

    def hand_over(self, level: int) -> None:
        self.on_tile(level, (self.size - 1) // WIDTH ** (level + 1), self.levels[level])

    def hand_over_partial_tiles(self) -> None:
        for level, tile in enumerate(self.levels):
            if tile:
                self.hand_over(level)

    def root(self) -> bytes:
        right: list[bytes] = []
        for tile in self.levels:
            right = [tree_hash(tile + right)] if tile + right else []
        return tree_hash(right)


def root_of_proof(index: int, size: int, digest: bytes, path: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to (RFC 9162, section 2.1.3.2)."""
    last = size - 1
    for sibling in path:
        if last == 0:
            raise Bad("inclusion proof: too long")
        if index & 1 or index == last:
            digest = node_hash(sibling, digest)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        index, last = index >> 1, last >> 1
    if last:
        raise Bad("inclusion proof: too short")
    return digest


# --- Events: canonical JSON, and the order of the log and of each stream ---

def checked_object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in members]
    if len(set(keys)) < len(keys):
        raise Bad("a duplicate key")
    if keys != sorted(keys) or not all(map(KEY.fullmatch, keys)):
        raise Bad("keys that are not plain ASCII in ascending order")
    return dict(members)


def checked_integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) >= 2**53:
        raise Bad("an integer beyond 2^53-1")
    return int(text)


def no_such(text: str) -> None:
    raise Bad(f"{text[:40]}, which is not an integer")


DECODER = json.JSONDecoder(
    object_pairs_hook=checked_object, parse_int=checked_integer, parse_float=no_such, parse_constant=no_such)
ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def holds_null(value: Any) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(map(holds_null, children))


def parse_event(entry: bytes) -> dict[str, Any]:
    """Reads an event, which must be RFC 8785 JSON without floats, nulls, large integers and odd keys."""
    try:
        event = DECODER.decode(entry.decode())
        if ENCODER.encode(event).encode() != entry:
            raise Bad("white space or an escape that RFC 8785 does not write")
        if not isinstance(event, dict) or holds_null(event):
            raise Bad("a null, or no object")
    except Bad as error:
        raise Bad(f"not canonical JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        raise Bad(f"not canonical JSON: {str(error)[:200]!a}") from None
    return event


class Events:
    """What must hold from one event to the next."""

    def __init__(self) -> None:
        self.recorded_at = ""
        self.streams: dict[str, tuple[int, str]] = {}  # its next `seq` and `prev`

    def problems(self, index: int, entry: bytes) -> Iterator[str]:
        try:
            event = parse_event(entry)
        except Bad as error:
            yield str(error)
            return
        position, recorded_at, stream, seq, prev = map(
            event.get, ("position", "recorded_at", "stream", "seq", "prev"))
        if position != str(index):
            yield f"position is {position!a}"
        if not isinstance(recorded_at, str) or not TIME.fullmatch(recorded_at):
            yield f"recorded_at is {recorded_at!a}"
        elif recorded_at < self.recorded_at:
            yield f"recorded_at {recorded_at} is before {self.recorded_at} of an earlier entry"
        else:
            self.recorded_at = recorded_at
        if not isinstance(stream, str) or not isinstance(seq, str) or not NUMBER.fullmatch(seq):
            yield f"stream is {stream!a}, seq is {seq!a}"
            return
        expected, link = self.streams.get(stream, (0, ""))
        if int(seq) != expected:
            yield f"stream {stream!a}: seq is {seq}, expected {expected}"
        if seq == "0":
            if "prev" in event:
                yield f"stream {stream!a}: prev at seq 0"
        elif not isinstance(prev, str) or not re.fullmatch("[0-9a-f]{64}", prev):
            yield f"stream {stream!a}: prev is {prev!a}"
        elif link and int(seq) == expected and prev != link:
            yield f"stream {stream!a}: prev is not the hash of the stream's event before it"
        link = blake3(entry, derive_key_context=CHAIN_CONTEXT).hexdigest() if blake3 else ""
        self.streams[stream] = int(seq) + 1, link


# --- Reading a log (C2SP tlog-tiles) ---

def read_file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(RESOURCE_MAX + 1)
    except OSError as error:
        raise Unchecked(f"{path}: {error.strerror}") from None


def read_url(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            body = response.read(RESOURCE_MAX + 1)
            if response.length:  # what of it is still to come
                raise Unchecked(f"{url}: cut off after {len(body)} bytes")
            if response.headers.get("Content-Encoding") == "gzip":
                body = zlib.decompressobj(31).decompress(body, RESOURCE_MAX + 1)
            return body
    except urllib.error.HTTPError as error:
        if error.code in (404, 410):
            return None
        raise Unchecked(f"{url}: HTTP {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
        raise Unchecked(f"{url}: {getattr(error, 'reason', error) or type(error).__name__}") from None


class Log:
    def __init__(self, location: str) -> None:
        self.location, self.remote = location.rstrip("/") or "/", location.startswith(("http://", "https://"))

    def read(self, path: str) -> bytes | None:
        """The bytes of a resource, none if there is no such resource."""
        where = f"{self.location}/{path}"
        if self.remote:
            return read_url(where)
        return read_file(where) if os.path.lexists(where) else None

    def read_tile(self, path: str, width: int) -> tuple[bytes, int]:
        """A tile or bundle and its width: the full one where the partial one is gone."""
        data = self.read(f"{path}.p/{width}") if width < WIDTH else None
        if data is not None:
            return data, width
        data = self.read(path)
        if data is None:
            raise Bad(f"{path}{f'.p/{width}' if width < WIDTH else ''}: missing")
        return data, WIDTH

    def hashes(self, level: int, n: int, width: int) -> list[bytes]:
        path = tile_path(str(level), n)
        data, served = self.read_tile(path, width)
        if len(data) != served * 32:
            raise Bad(f"{path}: {len(data)} bytes where {served} hashes belong")
        return [data[i:i + 32] for i in range(0, width * 32, 32)]

    def entries(self, n: int, width: int) -> list[bytes]:
        path = tile_path("entries", n)
        data, served = self.read_tile(path, width)
        entries, at = [], 0
        for i in range(served):
            end = at + 2 + int.from_bytes(data[at:at + 2], "big")
            if at + 2 > len(data) or end > len(data):
                raise Bad(f"{path}: ends within entry {n * WIDTH + i}; {served} entries belong into it")
            entries.append(data[at + 2:end])
            at = end
        if at < len(data):
            raise Bad(f"{path}: {len(data) - at} bytes after its {served} entries, the last being {n * WIDTH + i}")
        return entries[:width]


def tile_path(kind: str, n: int) -> str:
    digits = f"{n % 1000:03}"
    while n >= 1000:
        n //= 1000
        digits = f"x{n % 1000:03}/{digits}"
    return f"tile/{kind}/{digits}"


def verify_log(log: Log, key: Key, old_note: bytes | None) -> tuple[str, list[str]]:
    """Walks the log once, bundle by bundle; returns what it is and what is wrong with it."""
    note = log.read("checkpoint")
    if note is None:
        raise Unchecked(f"{log.location}: no checkpoint, so no log")
    checkpoint, old = open_checkpoint(note, key), None
    problems: list[str] = []
    if old_note is not None:
        try:
            old = open_checkpoint(old_note, key)
        except Bad as error:
            problems.append(f"remembered {error}")
    if old and old.size > checkpoint.size:
        problems.append(f"the log was rolled back: it has {checkpoint.size} entries, and had {old.size}")

    def check_tile(level: int, n: int, expected: list[bytes]) -> None:
        try:
            served = log.hashes(level, n, len(expected))
        except Bad as error:
            problems.append(str(error))
            return
        for i in range(len(expected)):
            if served[i] != expected[i]:
                span, start = WIDTH ** level, (n * WIDTH + i) * WIDTH ** level
                of = f"entry {start}" if level == 0 else f"entries {start} to {start + span - 1}"
                problems.append(f"{tile_path(str(level), n)}: hash {i} is not that of {of}")
                return

    def check_old() -> None:
        if old and old.size == tree.size and old.root != tree.root():
            problems.append(f"history was rewritten: entries 0 to {old.size - 1} are not those of the remembered root")

    tree, events = Tree(check_tile), Events()
    check_old()
    for n in range((checkpoint.size + WIDTH - 1) // WIDTH):
        try:
            entries = log.entries(n, min(WIDTH, checkpoint.size - n * WIDTH))
        except Bad as error:
            problems.append(f"{error}; nothing was checked from entry {tree.size} on")
            break
        for entry in entries:
            problems.extend(f"entry {tree.size}: {what}" for what in events.problems(tree.size, entry))
            tree.append(leaf_hash(entry))
            check_old()
        if len(problems) >= PROBLEMS_MAX:
            break
    if tree.size == checkpoint.size:
        tree.hand_over_partial_tiles()
        if tree.root() != checkpoint.root:
            problems.append(f"the root over the {tree.size} entries is {base64.b64encode(tree.root()).decode()}, "
                            f"and the checkpoint has {base64.b64encode(checkpoint.root).decode()}")
    return (f"{checkpoint.size} entries, root {base64.b64encode(checkpoint.root).decode()}, "
            f"{len(events.streams)} streams, signed by {key.name}"), problems


# --- Receipts (C2SP tlog-proof with the event itself in its `extra` line) ---

def verify_receipt(proof: bytes, key: Key) -> tuple[str, bytes]:
    """Verifies signature and inclusion; returns what the receipt is and the event's exact bytes."""
    head, _, note = proof.partition(b"\n\n")
    parts = re.fullmatch(r"c2sp\.org/tlog-proof@v1\nextra (\S+)\nindex (\S+)((?:\n\S+){0,63})", head.decode("latin-1"))
    if not parts or not NUMBER.fullmatch(parts[2]):
        raise Bad("receipt: not a tlog-proof with an event in its extra line")
    leaf, index = unbase64(parts[1], "receipt: extra"), int(parts[2])
    path = [unbase64(line, "receipt: proof") for line in parts[3].split()]
    checkpoint = open_checkpoint(note, key)
    if index >= checkpoint.size or any(len(digest) != 32 for digest in path):
        raise Bad(f"receipt: no proof for entry {index} of {checkpoint.size}")
    if root_of_proof(index, checkpoint.size, leaf_hash(leaf), path) != checkpoint.root:
        raise Bad(f"receipt: the event is not entry {index} under the signed root")
    position = parse_event(leaf).get("position")
    if position != str(index):
        raise Bad(f"receipt: entry {index} says that its position is {position!a}")
    return (f"entry {index} of {checkpoint.size}, root {base64.b64encode(checkpoint.root).decode()}, "
            f"signed by {key.name}"), leaf


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Verify a Plimsoll ledger, or one receipt of it, trusting nothing but its public key.")
    parser.add_argument("--vkey", required=True, help="verifier key (name+id+base64), or a file that holds it")
    parser.add_argument("--old", metavar="CHECKPOINT", help="a checkpoint that you kept: the log must extend it")
    parser.add_argument("--receipt", metavar="FILE", help="verify this .tlog-proof instead of a log")
    parser.add_argument("log", nargs="?", metavar="LOG", help="directory or http(s) prefix in tlog-tiles form")
    args = parser.parse_args()
    if (args.log is None) == (args.receipt is None) or (args.receipt and args.old):
        parser.error("give either LOG (and --old, if you have one) or --receipt")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    leaf = b""
    problems: list[str] = []
    try:
        is_file = os.path.isfile(args.vkey)
        key = parse_key(read_file(args.vkey).decode(errors="replace") if is_file else args.vkey)
        if args.receipt:
            summary, leaf = verify_receipt(read_file(args.receipt), key)
        else:
            if blake3 is None:
                print("stream chain not checked: no blake3 module", file=sys.stderr)
            summary, problems = verify_log(Log(args.log), key, read_file(args.old) if args.old else None)
    except Unchecked as error:
        print(f"verify_log: {error}", file=sys.stderr)
        return 2
    except Bad as error:
        problems = [str(error)]
    for problem in problems[:PROBLEMS_MAX]:
        print(f"bad: {problem}")
    if problems:
        return 1
    print(f"ok: {summary}", flush=True)
    if leaf:
        sys.stdout.buffer.write(leaf + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
