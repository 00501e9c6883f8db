#!/usr/bin/env python3
"""Holds verify_log.py to its word: builds small logs with its own signer, tampers with them, and expects to be told.

    verify_log_selftest.py

Trees and proofs are built here by the recursive definitions of RFC 6962, not with the code under test.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.server
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Callable

sys.dont_write_bytecode = True
import verify_log as verifier  # noqa: E402

SCRIPT = Path(verifier.__file__)
ORIGIN = "ledger.example/selftest"
EMPTY_ROOT = hashlib.sha256().digest()


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:]


class Tally:
    """Runs the verifier and counts what came out as it should."""

    passed = failed = 0

    def check(self, name: str, holds: bool, detail: Any = "") -> None:
        self.passed, self.failed = self.passed + bool(holds), self.failed + (not holds)
        if not holds:
            print(f"FAILED: {name}\n    {detail}")

    def run(self, name: str, code: int, says: str, *args: object) -> None:
        """Expects the exit status `code` and `says` somewhere in the output (on stderr for status 2)."""
        command = [sys.executable, "-B", str(SCRIPT), *map(str, args)]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        out, err = done.stdout.decode(), done.stderr.decode()
        prefix = {0: "ok: ", 1: "bad: ", 2: ""}[code]
        formed = all(line.startswith(prefix) for line in out.splitlines()[:1 if code == 0 else None])
        told = says in (err if code == 2 else out) and (out == "") == (code == 2)
        holds = done.returncode == code and formed and told and "Traceback" not in err
        self.check(name, holds, f"expected {code} {says!r}, got {done.returncode}\n{out}{err}")


# --- A signer, and logs in a directory ---

class Signer:
    """Ed25519 signatures (RFC 8032, section 5.1.6) on notes."""

    def __init__(self, seed: bytes, name: str = ORIGIN) -> None:
        digest = hashlib.sha512(seed).digest()
        self.scalar = int.from_bytes(digest[:32], "little") & (2**254 - 8) | 2**254
        self.prefix, self.name = digest[32:], name
        self.public = self.point(self.scalar)
        typed = b"\x01" + self.public
        self.key_id = hashlib.sha256(name.encode() + b"\n" + typed).digest()[:4]
        self.vkey = f"{name}+{self.key_id.hex()}+{b64(typed)}"

    @staticmethod
    def point(scalar: int) -> bytes:
        x, y, z, _ = verifier.multiply(scalar, verifier.BASE)
        inverse = pow(z, -1, verifier.P)
        x, y = x * inverse % verifier.P, y * inverse % verifier.P
        return (y | (x & 1) << 255).to_bytes(32, "little")

    def sign(self, message: bytes) -> bytes:
        nonce = int.from_bytes(hashlib.sha512(self.prefix + message).digest(), "little") % verifier.Q
        r = self.point(nonce)
        k = int.from_bytes(hashlib.sha512(r + self.public + message).digest(), "little") % verifier.Q
        return r + ((nonce + k * self.scalar) % verifier.Q).to_bytes(32, "little")

    def note(self, text: str) -> str:
        return f"{text}\n— {self.name} {b64(self.key_id + self.sign(text.encode()))}\n"

    def checkpoint(self, size: int, root: bytes) -> str:
        return self.note(f"{self.name}\n{size}\n{b64(root)}\n")


SIGNER = Signer(bytes(range(32)))


def leaf(entry: bytes) -> bytes:
    return hashlib.sha256(b"\0" + entry).digest()


def split(n: int) -> int:
    """The largest power of two smaller than `n`."""
    return 1 << (n - 1).bit_length() - 1


def root(entries: list[bytes]) -> bytes:
    if len(entries) < 2:
        return leaf(entries[0]) if entries else EMPTY_ROOT
    k = split(len(entries))
    return hashlib.sha256(b"\1" + root(entries[:k]) + root(entries[k:])).digest()


def proof(index: int, entries: list[bytes]) -> list[bytes]:
    if len(entries) < 2:
        return []
    k = split(len(entries))
    if index < k:
        return proof(index, entries[:k]) + [root(entries[k:])]
    return proof(index - k, entries[k:]) + [root(entries[:k])]


def canonical(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


Edit = Callable[[dict[str, Any]], Any]


def make_entries(size: int, edits: dict[int, Edit] | None = None, salt: str = "") -> list[bytes]:
    """Events over seven streams. An edit changes the event of an index before the chain is drawn over it."""
    entries: list[bytes] = []
    heads: dict[str, bytes] = {}
    seqs: dict[str, int] = {}
    for i in range(size):
        stream = f"service/{'é' if i % 7 == 3 else i % 7}"
        event: dict[str, Any] = {
            "data": {"big": 2**53 - 1, "list": [True, -1, "\u2028\x7f\x01\n\"\\"], "text": f"übermäßig {i}{salt}"},
            "position": str(i), "recorded_at": f"2026-11-03T10:{i // 60 % 60:02}:{i % 60:02}.000000Z",
            "seq": str(seqs.get(stream, 0)), "stream": stream, "v": 1}
        if stream in heads:
            event["prev"] = link(heads[stream])
        changed = edits[i](event) if edits and i in edits else None
        entry = changed if isinstance(changed, bytes) else canonical(event)
        heads[stream], seqs[stream] = entry, int(event["seq"]) + 1
        entries.append(entry)
    return entries


def link(entry: bytes) -> str:
    """The chain's hash; something of its form where the module is missing, and so nothing will be checked."""
    if verifier.blake3 is None:
        return hashlib.sha256(entry).hexdigest()
    return verifier.blake3(entry, derive_key_context=verifier.CHAIN_CONTEXT).hexdigest()


def write_log(path: Path, entries: list[bytes], signer: Signer = SIGNER) -> Path:
    """Writes the files of a log, partial tiles included, as of its present size."""
    put(path, "checkpoint", signer.checkpoint(len(entries), root(entries)).encode())
    for level in range(3):
        span = 256**level
        hashes = [root(entries[i:i + span]) for i in range(0, len(entries) - span + 1, span)]
        for n in range(0, len(hashes), 256):
            tile = hashes[n:n + 256]
            name = f"{n // 256:03}" + (f".p/{len(tile)}" if len(tile) < 256 else "")
            put(path, f"tile/{level}/{name}", b"".join(tile))
            if level == 0:
                bundle = [len(entry).to_bytes(2, "big") + entry for entry in entries[n:n + 256]]
                put(path, f"tile/entries/{name}", b"".join(bundle))
    return path


def put(path: Path, name: str, content: bytes) -> None:
    (path / name).parent.mkdir(parents=True, exist_ok=True)
    (path / name).write_bytes(content)


def receipt(index: int, entries: list[bytes], signer: Signer = SIGNER) -> str:
    lines = ["c2sp.org/tlog-proof@v1", f"extra {b64(entries[index])}", f"index {index}"]
    lines += [b64(digest) for digest in proof(index, entries)]
    return "\n".join(lines) + "\n\n" + signer.checkpoint(len(entries), root(entries))


# --- What is tested ---

def vectors(tally: Tally) -> None:
    """Values made by others: RFC 8032, RFC 6962 test data, and a log of 70,000 entries."""
    for seed, message, public, signature in (
        ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
         "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
        ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
         "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ):
        raw, known, signer = bytes.fromhex(message), bytes.fromhex(signature), Signer(bytes.fromhex(seed))
        tally.check("RFC 8032: key and signature", signer.public.hex() == public and signer.sign(raw) == known)
        accepts = verifier.ed25519_verifies
        tally.check("RFC 8032: accepted", accepts(signer.public, raw, known))
        beyond = (int.from_bytes(known[32:], "little") + verifier.Q).to_bytes(32, "little")
        for altered in (flipped(known, 0), flipped(known, 40), known[:32] + beyond, known[:63]):
            tally.check("RFC 8032: altered signature refused", not accepts(signer.public, raw, altered))
        tally.check("RFC 8032: other message refused", not accepts(signer.public, raw + b"x", known))

    leaves = [bytes.fromhex(x) for x in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                                         "606162636465666768696a6b6c6d6e6f")]
    ends = ["6e340b9c afa01d", "fac54203 e3c125", "aeb6bcfe 6e77", "d37ee418 14b7", "4e3bbb1f 64d4", "76e67dad 87ef",
            "ddb89be4 4c8c", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328 "]
    for n, (start, end) in enumerate((known.split(" ") for known in ends), 1):
        found = tree_of(leaves[:n]).root().hex()
        tally.check(f"RFC 6962: root of {n}", found.startswith(start) and found.endswith(end), found)
    tally.check("RFC 6962: root of none", tree_of([]).root() == EMPTY_ROOT)
    tally.check("RFC 6962: leaf", b64(verifier.leaf_hash(b"one")) == "0Nc2CrefWKseHj/mStd+LqC8B+NrX0btIiPt2SmN+ek=")
    for size in (1, 2, 3, 7, 8, 255, 256, 257, 700):
        entries = [b"%d" % i for i in range(size)]
        tally.check(f"RFC 6962: root of {size} by definition", tree_of(entries).root() == root(entries))
    for size in range(1, 18):
        entries = [b"%d" % i for i in range(size)]
        holds = all(verifier.root_of_proof(i, size, leaf(entries[i]), proof(i, entries)) == root(entries)
                    for i in range(size))
        tally.check(f"RFC 6962: inclusion proofs in {size}", holds)
    paths = {0: "tile/0/000", 999: "tile/0/999", 1000: "tile/0/x001/000", 1234067: "tile/0/x001/x234/067"}
    tally.check("tile paths", all(verifier.tile_path("0", n) == path for n, path in paths.items()))

    signer = Signer(bytes(32), "ledger.example/prod")
    vkey = "ledger.example/prod+e4b26f64+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
    tally.check("70,000 entries: key", signer.vkey == vkey, signer.vkey)
    tiles: dict[tuple, int] = {}
    tree = verifier.Tree(lambda level, n, hashes: tiles.update({(level, n): len(hashes)}))
    for i in range(70_000):
        tree.append(verifier.leaf_hash(b'{"i":%d}' % i))
    tree.hand_over_partial_tiles()
    known_root = "RM3ADqGDUEte6WCBjcKYz9F9UPdjy6RHA3G5tU4PYeE="
    tally.check("70,000 entries: root", b64(tree.root()) == known_root)
    shape = {**{(0, n): 256 for n in range(273)}, (0, 273): 112, (1, 0): 256, (1, 1): 17, (2, 0): 1}
    tally.check("70,000 entries: tiles", tiles == shape)
    text = f"ledger.example/prod\n70000\n{known_root}\n"
    signature = ("5LJvZLeOdx5TB0fTHqC3h3gPIpT5ZUNZWRz0N9RLBjKfw1LK"
                 "GtnzO74vw86DGsFTKFquWQAKdOmDWonRhMiOoM1sSQ0=")
    note = f"{text}\n— ledger.example/prod {signature}\n"
    opened = verifier.open_checkpoint(note.encode(), verifier.parse_key(vkey))
    tally.check("70,000 entries: signed checkpoint", opened == (70_000, tree.root()))
    tally.check("70,000 entries: same signature made here", signer.note(text) == note)
    witness = base64.b64decode("BP0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY")[1:]
    cosignature = base64.b64decode("JLXZ/gAAAAAAAAAB6XFdeEy3RTATXKxB+esJgtMYi88uAQRmivY/RPeUwVs5"
                                   "szdWCcCXNCWy0VTOQhQ+TUqlyaN2hrarUeAM8uqECA==")[12:]
    message = b"cosignature/v1\ntime 1\n" + text.encode()
    tally.check("70,000 entries: cosignature", verifier.ed25519_verifies(witness, message, cosignature))


def tree_of(entries: list[bytes]) -> verifier.Tree:
    tree = verifier.Tree(lambda level, n, hashes: None)
    for entry in entries:
        tree.append(verifier.leaf_hash(entry))
    return tree


def honest(tally: Tally, home: Path) -> dict[int, Path]:
    logs = {}
    for size in (0, 1, 2, 255, 256, 257, 700):
        entries = make_entries(size)
        logs[size] = write_log(home / f"log-{size}", entries)
        summary = f"ok: {size} entries, root {b64(root(entries))}, {min(size, 7)} streams, signed by {ORIGIN}\n"
        tally.run(f"log of {size}", 0, summary, "--vkey", SIGNER.vkey, logs[size])
    put(home, "vkey", f"{SIGNER.vkey}\n".encode())
    tally.run("key from a file", 0, "ok: 700", "--vkey", home / "vkey", logs[700])

    cosigned = shutil.copytree(logs[2], home / "cosigned")
    with (cosigned / "checkpoint").open("a") as file:
        file.write(f"— witness.example/w {b64(bytes(76))}\n")
    tally.run("a signature of someone else beside ours", 0, "ok: 2", "--vkey", SIGNER.vkey, cosigned)

    grown = shutil.copytree(logs[700], home / "grown")
    shutil.copy(logs[257] / "checkpoint", grown)
    shutil.copytree(logs[257] / "tile/1/000.p", grown / "tile/1/000.p", dirs_exist_ok=True)
    tally.run("full tiles where partial ones are gone", 0, "ok: 257", "--vkey", SIGNER.vkey, grown)

    done = subprocess.run([sys.executable, "-B", str(SCRIPT), "--vkey", SIGNER.vkey, str(logs[2])],
                          capture_output=True, check=True)
    said = b"stream chain not checked: no blake3 module" in done.stderr
    tally.check("says whether the chain is checked", said == (verifier.blake3 is None), done.stderr)
    return logs


Change = Callable[[bytes], Any]  # to other bytes, or to none for no file


def tampered_files(tally: Tally, home: Path, log: Path) -> None:
    """Changes to the files of a log whose checkpoint stays."""
    def case(name: str, says: str, file: str, change: Change, vkey: str = SIGNER.vkey) -> None:
        copy = shutil.copytree(log, home / "tampered")
        content = change((copy / file).read_bytes())
        (copy / file).unlink()
        if content is not None:
            put(copy, file, content)
        tally.run(name, 1, says, "--vkey", vkey, copy)
        shutil.rmtree(copy)

    entries = make_entries(700)
    at_300 = sum(2 + len(entry) for entry in entries[256:300]) + 2
    inside = at_300 + entries[300].index(b"\"text\":\"") + 10
    bundle, last = "tile/entries/001", "tile/entries/002.p/188"
    case("byte flipped in a text of an entry", "hash 44 is not that of entry 300", bundle, lambda b: flipped(b, inside))
    case("byte flipped in the syntax of an entry", "entry 300: not canonical", bundle, lambda b: flipped(b, at_300))
    case("byte flipped: the root differs too", "bad: the root over", bundle, lambda b: flipped(b, inside))
    case("length of an entry changed", "entry 25", bundle, lambda b: flipped(b, 1))
    case("entries swapped", "entry 256: position is '257'", bundle, swapped)
    case("bundle cut", "ends within entry 699", last, lambda b: b[:-1])
    case("bundle one entry short", "ends within entry 699", last, lambda b: b[:-2 - len(entries[699])])
    case("bytes after a bundle", "bytes after its 188 entries, the last being 699", last, lambda b: b + b"\0\0")
    case("bundle missing", "checked from entry 512", last, lambda b: None)
    case("full bundle missing", "tile/entries/001: missing", bundle, lambda b: None)

    case("byte flipped in a full tile", "tile/0/001: hash 5 is not that of entry 261", "tile/0/001",
         lambda b: flipped(b, 5 * 32 + 9))
    case("byte flipped in a partial tile", "hash 187 is not that of entry 699", "tile/0/002.p/188",
         lambda b: flipped(b, len(b) - 1))
    case("byte flipped in an upper tile", "tile/1/000: hash 1 is not that of entries 256 to 511", "tile/1/000.p/2",
         lambda b: flipped(b, 40))
    case("tile cut", "tile/0/000: 8191 bytes", "tile/0/000", lambda b: b[:-1])
    case("tile missing", "tile/0/000: missing", "tile/0/000", lambda b: None)
    case("upper tile missing", "tile/1/000.p/2: missing", "tile/1/000.p/2", lambda b: None)

    for name, says, change in (
        ("size", "does not verify", lambda b: b.replace(b"\n700\n", b"\n699\n")),
        ("root", "does not verify", lambda b: b.replace(b"\n700\n", b"\n700\nA", 1)),
        ("signature", "does not verify", lambda b: b[:-12] + b"AAAA" + b[-8:]),
        ("origin", "does not verify", lambda b: b"x" + b),
        ("signature removed", "bad: checkpoint", lambda b: b[:b.index("—".encode())]),
        ("hyphen for dash", "not a signature line", lambda b: b.replace("—".encode(), b"-")),
        ("no final newline", "not a signed note", lambda b: b[:-1]),
        ("carriage returns", "not a signed note", lambda b: b.replace(b"\n", b"\r\n")),
        ("not UTF-8", "not UTF-8", lambda b: b"\xff" + b),
        ("empty", "not a signed note", lambda b: b""),
        ("other origin, signed", "is not the key's name",
         lambda b: SIGNER.note(b.decode().split("\n\n")[0].replace(ORIGIN, "other.example") + "\n").encode()),
        ("leading zero, signed", "not the three lines",
         lambda b: SIGNER.note(b.decode().split("\n\n")[0].replace("700", "0700") + "\n").encode()),
        ("other root, signed", "the checkpoint has", lambda b: SIGNER.checkpoint(700, bytes(32)).encode()),
        ("larger size, signed", "missing", lambda b: SIGNER.checkpoint(701, bytes(32)).encode()),
    ):
        case(f"checkpoint: {name}", says, "checkpoint", change)
    other = Signer(bytes(32))
    case("wrong key of the same name", "not signed by", "checkpoint", lambda b: b, other.vkey)
    case("key of another log", "not signed by", "checkpoint", lambda b: b, Signer(bytes(32), "other.example").vkey)
    forged = other.note("x\n").rpartition(" ")[2]
    case("right name and id, wrong key", "does not verify", "checkpoint", lambda b: b[:b.rindex(b" ") + 1] + b64(
        SIGNER.key_id + base64.b64decode(forged)[4:]).encode() + b"\n")
    flood = [canonical({"n": i}) for i in range(30)]
    tally.run("no more than 20 problems", 1, "bad: entry 0", "--vkey", SIGNER.vkey, write_log(home / "flood", flood))


def swapped(bundle: bytes) -> bytes:
    """The bundle with its first two entries exchanged."""
    first = 2 + int.from_bytes(bundle[:2], "big")
    second = first + 2 + int.from_bytes(bundle[first:first + 2], "big")
    return bundle[first:second] + bundle[:first] + bundle[second:]


def tampered_events(tally: Tally, home: Path) -> None:
    """Logs that are properly hashed and signed over events that break the rules."""
    def replaced(old: bytes, new: bytes) -> Edit:
        return lambda event: canonical(event).replace(old, new, 1)

    def wrong_prev(event: dict[str, Any]) -> None:
        event["prev"] = "0" * 64

    chained = verifier.blake3 is not None
    for name, says, index, edit in (
        ("duplicate key", "a duplicate key", 9, replaced(b'"v":1', b'"v":1,"v":1')),
        ("duplicate key inside", "a duplicate key", 9, replaced(b'"big"', b'"big":1,"big"')),
        ("keys out of order", "ascending", 9, replaced(b'"v":1', b'"v":1,"a":1')),
        ("key not ASCII", "not plain ASCII", 9, replaced(b'"v":1', b'"v":1,"\xc3\xbc":1')),
        ("key with an escape", "not plain ASCII", 9, replaced(b'"v":1', b'"v":1,"w\\"":1')),
        ("float", "1.0, which is not an integer", 9, replaced(b'"v":1', b'"v":1.0')),
        ("exponent", "1e3, which is not an integer", 9, replaced(b'"v":1', b'"v":1e3')),
        ("not a number", "NaN", 9, replaced(b'"v":1', b'"v":NaN')),
        ("large integer", "beyond 2^53-1", 9, replaced(b"9007199254740991", b"9007199254740992")),
        ("large negative integer", "beyond 2^53-1", 9, replaced(b"9007199254740991", b"-9007199254740992")),
        ("huge integer", "beyond 2^53-1", 9, replaced(b"9007199254740991", b"9" * 9000)),
        ("negative zero", "not canonical", 9, replaced(b'"v":1', b'"v":-0')),
        ("leading zero", "not canonical", 9, replaced(b'"v":1', b'"v":01')),
        ("null", "a null", 9, replaced(b"[true", b"[null")),
        ("white space", "not canonical", 9, replaced(b'"v":1', b'"v": 1')),
        ("newline at the end", "not canonical", 9, replaced(b'"v":1}', b'"v":1}\n')),
        ("byte order mark", "not canonical", 9, replaced(b'{"data', b'\xef\xbb\xbf{"data')),
        ("needless escape", "not canonical", 9, replaced(b"big", b"\\u0062ig")),
        ("upper-case escape", "not canonical", 9, replaced(b"\\u0001", b"\\u001F")),
        ("raw control character", "not canonical", 9, replaced(b"\\u0001", b"\x01")),
        ("lone surrogate", "not canonical", 9, replaced(b"\\u0001", b"\\ud800")),
        ("invalid UTF-8", "not canonical", 9, replaced(b"\\u0001", b"\xff")),
        ("nested too deep", "not canonical", 9, replaced(b'"v":1', b'"v":' + b"[" * 30_000)),
        ("not an object", "no object", 9, lambda event: b"[]"),
        ("empty entry", "not canonical", 9, lambda event: b""),
        ("wrong position", "entry 9: position is '10'", 9, lambda event: event.update(position="10")),
        ("position an integer", "entry 9: position is 9", 9, lambda event: event.update(position=9)),
        ("no position", "entry 9: position is None", 9, lambda event: event.pop("position")),
        ("time goes back", "is before", 9, lambda event: event.update(recorded_at="2025-11-03T10:00:00.000000Z")),
        ("time in another form", "entry 9: recorded_at", 9,
         lambda event: event.update(recorded_at="2026-11-03T10:00:09Z")),
        ("seq gap", "seq is 2, expected 1", 9, lambda event: event.update(seq="2")),
        ("seq repeated", "seq is 0, expected 1", 9, lambda event: (event.update(seq="0"), event.pop("prev"))),
        ("seq an integer", "seq is 1", 9, lambda event: event.update(seq=1) or canonical(event)),
        ("seq not from 0", "seq is 1, expected 0", 2, lambda event: event.update(seq="1", prev="0" * 64)),
        ("no stream", "stream is None", 9, lambda event: event.pop("stream")),
        ("prev at seq 0", "prev at seq 0", 2, lambda event: event.update(prev="0" * 64)),
        ("no prev", "prev is None", 9, lambda event: event.pop("prev")),
        ("prev in capitals", "prev is 'A", 9, lambda event: event.update(prev="A" * 64)),
        ("wrong prev", "entry 9: stream 'service/2': prev is not" if chained else "ok: 20", 9, wrong_prev),
    ):
        log = write_log(home / "events", make_entries(20, {index: edit}))
        tally.run(f"event: {name}", 0 if says == "ok: 20" else 1, says, "--vkey", SIGNER.vkey, log)
    entries = make_entries(20)
    entries[9], entries[10] = entries[10], entries[9]
    tally.run("event: swapped and signed", 1, "entry 9: position is '10'",
              "--vkey", SIGNER.vkey, write_log(home / "events", entries))
    tally.run("event: cut out and signed", 1, "entry 9: position is '10'",
              "--vkey", SIGNER.vkey, write_log(home / "cut", make_entries(20)[:9] + make_entries(20)[10:]))


def remembered(tally: Tally, home: Path, logs: dict[int, Path]) -> None:
    for size in (0, 1, 2, 255, 256, 257, 700):
        tally.run(f"old checkpoint of {size}", 0, "ok: 700",
                  "--vkey", SIGNER.vkey, "--old", logs[size] / "checkpoint", logs[700])
    for size in (0, 257):
        tally.run(f"cut to {size} and signed again", 1, f"the log was rolled back: it has {size} entries, and had 700",
                  "--vkey", SIGNER.vkey, "--old", logs[700] / "checkpoint", logs[size])
    tally.run("such a log alone looks fine", 0, "ok: 257", "--vkey", SIGNER.vkey, logs[257])
    fork = write_log(home / "fork", make_entries(300, salt=" forked"))
    for size in (1, 256, 257):
        tally.run(f"fork over {size}", 1, f"history was rewritten: entries 0 to {size - 1}",
                  "--vkey", SIGNER.vkey, "--old", logs[size] / "checkpoint", fork)
    put(home, "old", Signer(bytes(32)).checkpoint(1, EMPTY_ROOT).encode())
    tally.run("old checkpoint of another key", 1, "bad: remembered checkpoint: not signed",
              "--vkey", SIGNER.vkey, "--old", home / "old", logs[257])
    tally.run("no old checkpoint", 2, "No such file", "--vkey", SIGNER.vkey, "--old", home / "none", logs[257])


def receipts(tally: Tally, home: Path) -> None:
    def case(name: str, code: int, says: str, text: str, vkey: str = SIGNER.vkey) -> None:
        put(home, "event.tlog-proof", text.encode())
        tally.run(f"receipt: {name}", code, says, "--vkey", vkey, "--receipt", home / "event.tlog-proof")

    for size, index in ((1, 0), (2, 1), (257, 0), (257, 256), (700, 300), (700, 699)):
        entries = make_entries(size)
        case(f"{index} of {size}", 0, f"ok: entry {index} of {size}", receipt(index, entries))
        case(f"{index} of {size} prints the event", 0, f"\n{entries[index].decode()}\n", receipt(index, entries))
    entries = make_entries(257)
    good = receipt(100, entries)
    lines = good.split("\n")
    case("event changed", 1, "not entry 100 under", good.replace(lines[1], f"extra {b64(flipped(entries[100], 40))}"))
    case("event of another index", 1, "not entry 100 under", good.replace(lines[1], f"extra {b64(entries[101])}"))
    case("index changed", 1, "not entry 101 under", good.replace("index 100", "index 101"))
    case("index beyond the tree", 1, "no proof for entry 257 of 257", good.replace("index 100", "index 257"))
    case("hash changed", 1, "not entry 100 under", good.replace(lines[5], b64(bytes(32))))
    case("hash of another length", 1, "no proof", good.replace(lines[5], b64(bytes(31))))
    case("hash removed", 1, "too short", good.replace(lines[5] + "\n", ""))
    case("hash added", 1, "too long", good.replace("\n\n", f"\n{b64(bytes(32))}\n\n", 1))
    case("no event", 1, "extra line", good.replace(lines[1] + "\n", ""))
    case("other format", 1, "not a tlog-proof", good.replace("@v1", "@v2"))
    case("no checkpoint", 1, "not a signed note", good.split("\n\n")[0] + "\n\n")
    case("signature changed", 1, "does not verify", good[:-12] + "AAAA" + good[-8:])
    case("checkpoint of another size", 1, "does not verify", good.replace("\n257\n", "\n256\n"))
    case("wrong key", 1, "not signed", good, Signer(bytes(32)).vkey)
    entries = make_entries(20, {9: lambda event: event.update(position="8")})
    case("event that claims another position", 1, "position is '8'", receipt(9, entries))
    tally.run("receipt: missing file", 2, "No such file", "--vkey", SIGNER.vkey, "--receipt", home / "none")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a directory; some paths fail in the ways in which servers fail."""

    def do_GET(self) -> None:
        place, _, rest = self.path[1:].partition("/")
        if place == "broken" and rest != "checkpoint":
            self.send_error(503)
        elif place == "gzip" and rest.startswith("tile/entries/"):
            self.answer(gzip.compress(Path(self.directory, "log-700", rest).read_bytes()), ("Content-Encoding", "gzip"))
        elif place == "cut" and rest.startswith("tile/entries/"):
            self.answer(b"\0\1", ("Content-Length", "1000"))
        else:
            for alias in ("broken", "gzip", "cut"):
                self.path = self.path.replace(f"/{alias}/", "/log-700/")
            super().do_GET()

    def answer(self, body: bytes, header: tuple) -> None:
        self.send_response(200)
        self.send_header(*header)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Keeps quiet."""


def sources(tally: Tally, home: Path) -> None:
    """A log over HTTP, and what cannot be checked at all."""
    def handler(*args: Any) -> Handler:
        return Handler(*args, directory=str(home))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        tally.run("over HTTP", 0, "ok: 700", "--vkey", SIGNER.vkey, f"{url}/log-700")
        tally.run("over HTTP, prefix with a slash", 0, "ok: 257", "--vkey", SIGNER.vkey, f"{url}/grown/")
        tally.run("over HTTP, compressed", 0, "ok: 700", "--vkey", SIGNER.vkey, f"{url}/gzip")
        tally.run("over HTTP, bundle missing", 1, "missing", "--vkey", SIGNER.vkey, f"{url}/lacking")
        tally.run("over HTTP, server error", 2, "HTTP 503", "--vkey", SIGNER.vkey, f"{url}/broken")
        tally.run("over HTTP, connection cut", 2, "cut off", "--vkey", SIGNER.vkey, f"{url}/cut")
        tally.run("over HTTP, no log", 2, "no checkpoint", "--vkey", SIGNER.vkey, f"{url}/nothing")
        server.shutdown()
    tally.run("over HTTP, nobody there", 2, "refused", "--vkey", SIGNER.vkey, url)
    tally.run("no directory", 2, "no checkpoint", "--vkey", SIGNER.vkey, home / "nothing")
    tally.run("no LOG", 2, "usage", "--vkey", SIGNER.vkey)
    tally.run("no key", 2, "usage", home)
    tally.run("LOG and receipt", 2, "usage", "--vkey", SIGNER.vkey, "--receipt", "x", home)
    for name, vkey in (("text", "nonsense"), ("id", SIGNER.vkey.replace("+", "+0", 1)), ("cut", SIGNER.vkey[:-4]),
                       ("name", "x" + SIGNER.vkey)):
        tally.run(f"malformed key: {name}", 2, "verif", "--vkey", vkey, home / "log-2")


def main() -> int:
    tally = Tally()
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        vectors(tally)
        logs = honest(tally, home)
        tampered_files(tally, home, logs[700])
        tampered_events(tally, home)
        remembered(tally, home, logs)
        receipts(tally, home)
        (shutil.copytree(logs[2], home / "lacking") / "tile/entries/000.p/2").unlink()
        sources(tally, home)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
