"""Seeds changed by chance, the same way each time: cuts, doubled pieces, odd bytes, words of the subject."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

WORDS = [
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    "İ".encode(),
    b"null",
    b"[]",
    b"{}",
    b"&a",
    b"*a",
    b"!!python/object:os.system x",
    b"|all",
    b"|re|i",
    b"|windash",
    b"|cidr",
    b"99999999999999999999999999",
    b"-1",
    b"1e400",
    b"NaN",
    b'"',
    b"'",
    b"\n",
    b"\t",
    b"  ",
    b": ",
    b"- ",
    b"%x%",
    b"\\",
    b"{1000}",
    b"(?",
    b"$",
    b"---\n",
]
LONGEST = 4000


def mutated(seeds: Sequence[bytes], seed: int = 1) -> Iterator[bytes]:
    """The seeds as they are, then without end what becomes of them."""
    yield b""
    yield from seeds
    chance = random.Random(seed)
    while True:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            at = chance.randint(0, len(data))
            end = min(len(data), at + chance.choice((0, 0, 1, 2, 5, 20, 200)))
            kind = chance.randrange(5)
            if kind == 0:
                data[at:end] = b""
            elif kind == 1:
                data[at:end] = chance.choice(WORDS)
            elif kind == 2:
                data[at:end] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 4)))
            elif kind == 3:
                data[at:at] = bytes(data[at:end]) * chance.randint(1, 9)
            else:
                other = chance.choice(seeds)
                start = chance.randint(0, len(other))
                data[at:end] = other[start : start + chance.randint(1, 60)]
        yield bytes(data[:LONGEST])
