#!/usr/bin/env python3
"""Check an exported istmo log without istmo: only the standard library and ``cryptography``.

    python3 verify_log.py FOLDER [FINGERPRINT]

Written from docs/protocol.md. Prints each thing that is wrong; exit status 0 means that nothing is.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TYPE = b"application/vnd.istmo.header+json"


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def unb64(text: str) -> bytes:
    raw = base64.b64decode(text, validate=True)
    assert base64.b64encode(raw).decode() == text, "base64 is not canonical"
    return raw


def is_signed(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def root_of(hashes: list[bytes]) -> bytes:  # RFC 6962, 2.1, over leaf hashes
    if len(hashes) < 2:
        return hashes[0] if hashes else sha()
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return sha(b"\x01", root_of(hashes[:split]), root_of(hashes[split:]))


def path_of(kind: str, index: int, width: int = 256, end: str = "") -> str:
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03}")
    return f"{kind}/{'/'.join(groups)}{end}{'' if width == 256 else f'.p/{width}'}"


def pages(count: int) -> list[tuple[int, int, int]]:  # index, start, width of each page of 256
    return [(at, at * 256, min(256, count - at * 256)) for at in range(-(-count // 256))]


def check(folder: Path, fingerprint: str = "") -> list[str]:
    wrong: list[str] = []
    seen = {"key", "checkpoint", "chains.json"}

    def expect(name: str, good: bool, what: str) -> None:
        if not good:
            wrong.append(f"{name}: {what}")

    def read(name: str) -> bytes:
        seen.add(name)
        try:
            return (folder / name).read_bytes()
        except OSError:
            wrong.append(f"{name}: missing")
            return b""

    try:  # the key, and the checkpoint that it signs
        text = read("key").decode()
        name, given, encoded = text.removesuffix("\n").split("+", 2)
        key = unb64(encoded)[1:]
        key_hash = sha(name.encode(), b"\n\x01", key)[:4]
        assert text == f"{name}+{key_hash.hex()}+{base64.b64encode(bytes([1]) + key).decode()}\n" and given
        spoken = base64.b32encode(sha(key)[:15]).decode()
        expect("key", fingerprint.upper().replace("-", "") in ("", spoken), "another key than expected")
    except (ValueError, AssertionError) as error:
        return [*wrong, f"key: malformed ({error})"]
    try:
        body, _, signatures = read("checkpoint").decode().rpartition("\n\n")
        origin, size_text, root_text = body.split("\n")
        size, root, body = int(size_text), unb64(root_text), body + "\n"
        lines = signatures.removesuffix("\n").split("\n")
        assert origin == name and signatures.endswith("\n") and str(size) == size_text
        ours = [unb64(line.removeprefix(f"— {name} ")) for line in lines if line.startswith(f"— {name} ")]
        assert any(one[:4] == key_hash and is_signed(key, body.encode(), one[4:]) for one in ours), (
            "signature"
        )
    except (ValueError, AssertionError) as error:
        return [*wrong, f"checkpoint: wrong ({error})"]

    entries: list[bytes] = []  # the commitments, from the entry bundles
    for index, start, width in pages(size):
        bundle = read(path := path_of("tile/entries", index, width))
        part = [bundle[at * 34 : at * 34 + 34] for at in range(width)]
        for at, one in enumerate(part, start + 1):
            expect(path, len(one) == 34 and one[:2] == b"\x00\x20", f"entry {at} is malformed")
        expect(path, len(bundle) == 34 * width, "wrong length")
        entries += [one[2:] for one in part]
    level, hashes = 0, [sha(b"\x00", one) for one in entries]
    if root_of(hashes) != root:  # either an entry was changed, and the tiles show which, or more was
        tiles = b"".join(read(path_of("tile/0", index, width)) for index, _, width in pages(size))
        true = [tiles[at * 32 : at * 32 + 32] for at in range(size)]
        expect("checkpoint", root_of(true) == root, "the entries come to another root")
        for at in range(size):
            path = path_of("tile/entries", at // 256, pages(size)[at // 256][2])
            expect(path, hashes[at] == true[at], f"entry {at + 1} is not the one in the tree")
        hashes = true
    while hashes:  # each level of tiles holds the roots of the full tiles below it
        for index, start, width in pages(len(hashes)):
            tile = read(path := path_of(f"tile/{level}", index, width))
            expect(path, tile == b"".join(hashes[start : start + width]), "not the hashes of these entries")
        full = len(hashes) // 256
        level, hashes = level + 1, [root_of(hashes[at * 256 : at * 256 + 256]) for at in range(full)]

    chains: dict[str, dict[str, object]] = {}
    missing, erased = set(), set()
    for index, start, width in pages(size):
        lines = read(path := path_of("envelopes", index, end=".jsonl")).split(b"\n")
        expect(path, lines.pop() == b"" and len(lines) == width, "wrong number of lines")
        for number, line in enumerate(lines[:width], start + 1):
            try:
                header = check_envelope(line, number, name, key, entries[number - 1])
            except (ValueError, KeyError, TypeError, AssertionError) as error:
                wrong.append(f"{path}: entry {number}: {error!r}")
                continue
            if header.pop("is_erased"):
                missing.add(number)
            if header["type"] == "erasure":
                erased.add(header["erases"]["sequence"])
            for member in set(header["audience"]) - {header["origin"]}:
                old = chains.get(member, {"count": 0, "head": bytes(32).hex()})
                head = sha(bytes.fromhex(str(old["head"])), entries[number - 1]).hex()
                chains[member] = {"count": int(str(old["count"])) + 1, "head": head}
    for number in sorted(missing - erased):
        wrong.append(f"entry {number}: no body and no erasure record")
    told = json.dumps(dict(sorted(chains.items())), separators=(",", ":")).encode() + b"\n"
    expect("chains.json", read("chains.json") == told, "not the delivery chains of these entries")
    for file in folder.rglob("*"):
        expect(str(file), file.is_dir() or file.relative_to(folder).as_posix() in seen, "unexpected file")
    return wrong


def check_envelope(line: bytes, number: int, name: str, key: bytes, commitment: bytes) -> dict:
    envelope = json.loads(line)
    assert json.dumps(envelope, separators=(",", ":")).encode() == line, "not in canonical form"
    dsse = envelope["header"]
    assert list(envelope) == ["header", "body"] and dsse["payloadType"] == TYPE.decode(), "form"
    assert list(dsse) == ["payload", "payloadType", "signatures"] and len(dsse["signatures"]) == 1, "form"
    (signature,) = dsse["signatures"]
    assert list(signature) == ["keyid", "sig"] and signature["keyid"] == sha(key).hex(), "another key"
    raw = unb64(dsse["payload"])
    pae = b"DSSEv1 %d %s %d %s" % (len(TYPE), TYPE, len(raw), raw)
    assert is_signed(key, pae, unb64(signature["sig"])), "bad signature"
    header = json.loads(raw)
    assert header["v"] == 1 and header["sequence"] == number, "another version or place"
    assert header["origin"] == name.replace("istmo.", "identity--", 1), "another origin"
    if envelope["body"] is not None:
        body = unb64(envelope["body"])
        assert (len(body), sha(body).hex()) == (header["body_size"], header["body_sha256"]), "another body"
        if header["seal"] == "none":  # the salt in a sealed body is for its recipients to check
            assert len(body) >= 32 and sha(body[:32], raw) == commitment, "another commitment"
    return header | {"is_erased": envelope["body"] is None}


if __name__ == "__main__":
    problems = check(Path(sys.argv[1]), *sys.argv[2:3])
    print("\n".join(problems) or "everything agrees")
    sys.exit(bool(problems))
