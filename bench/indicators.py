"""A million indicators of mixed kinds: load, memory, how soon one counts, events a second.

Events are made here: Sysmon's network, name, process and image events with the long tail that values
have. One in a thousand carries an indicator. Measured beside the floor, in turns in the same run: one
plain dict of all values, asked for each text field whole. The floor finds no ranges, no subdomains,
no hosts of URLs and nothing inside a command line. Ratio: the matcher's events a second against it.

Then the same with 2,000 whole patterns in force beside them: comparisons joined in one event, sequences in
time, and fifty that no value anchors (LIKE, MATCHES). Each goal is printed with what was measured.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from measure import finish, percentile

from istmo.detect.eventstore.lines import read_event
from istmo.detect.indicators import Matcher
from istmo.detect.normalise import normalise
from istmo.detect.reading import Line, open_events
from istmo.errors import IstmoError
from istmo.model.patterns import read_pattern
from istmo.settings import Limits

Event = dict[str, Any]
SUFFIXES = ("com", "net", "org", "info", "co.uk", "gob.ni", "com.sv", "top", "xyz")
KINDS = (
    ("domain", 45),
    ("ipv4", 20),
    ("range", 1),
    ("sha256", 22),
    ("url", 10),
    ("email", 1),
    ("filename", 1),
)
MIX = [kind for kind, weight in KINDS for _ in range(weight)]
ROUNDS = 4
GOALS = {"events_s": 500_000, "live_ms": 50.0, "memory_mb": 250.0}
PATTERNS, UNANCHORED = 2_000, 50


class Maker:
    """Values and events from a seed."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        letters = "abcdefghijklmnopqrstuvwxyz"
        self.words = ["".join(self.dice.choices(letters, k=self.dice.randint(4, 12))) for _ in range(20_000)]

    def word(self) -> str:
        return self.words[int(self.dice.random() * 20_000)]

    def domain(self) -> str:
        return f"{self.word()}{self.dice.randrange(1000)}.{self.dice.choice(SUFFIXES)}"

    def address(self) -> str:
        number = self.dice.getrandbits(32)
        return f"{1 + (number & 127)}.{number >> 8 & 255}.{number >> 16 & 255}.{number >> 24}"

    def digest(self) -> str:
        return f"{self.dice.getrandbits(256):064x}"

    def id(self) -> str:
        digits = f"{self.dice.getrandbits(128):032x}"
        return f"indicator--{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def term(self) -> tuple[str, str]:
        kind = MIX[int(self.dice.random() * len(MIX))]
        match kind:
            case "domain":
                return kind, self.domain()
            case "ipv4":
                return kind, self.address()
            case "range":
                return "ipv4", f"{self.address()}/{self.dice.choice((20, 22, 24, 27))}"
            case "sha256":
                return kind, self.digest()
            case "url":
                return kind, f"http://{self.domain()}/{self.word()}/{self.dice.randrange(99_999)}.php"
            case "email":
                return kind, f"{self.word()}@{self.domain()}"
            case _:
                return kind, f"{self.word()}{self.dice.randrange(99)}.exe"

    def tail(self, pool: list[str]) -> str:
        """Some values come again and again, most hardly ever."""
        place = int(self.dice.paretovariate(0.7)) - 1
        return pool[place] if place < len(pool) else self.dice.choice(pool)

    def events(self, count: int, terms: list[tuple[str, str]], *, repeats: bool) -> Iterator[Event]:
        names = [f"www.{self.domain()}" for _ in range(30_000)]
        addresses = [self.address() for _ in range(30_000)]
        images = [rf"C:\Program Files\{self.word()}\{self.word()}.exe" for _ in range(2_000)]
        for number in range(count):
            nonce = "" if repeats else f"{number}x"
            event = self.event(number, names, addresses, images, nonce)
            if self.dice.random() < 0.001:
                self.plant(event, *self.dice.choice(terms))
            yield event

    def event(
        self, number: int, names: list[str], addresses: list[str], images: list[str], nonce: str
    ) -> Event:
        image = self.tail(images).replace("\\Program", f"\\{nonce}Program") if nonce else self.tail(images)
        event: Event = {
            "EventID": 3,
            "Channel": "Microsoft-Windows-Sysmon/Operational",
            "Computer": f"PC-{number % 200}.red.example",
            "UtcTime": f"2026-03-02 09:00:00.{number % 1000:03}",
            "ProcessGuid": f"{{{number:032x}}}",
            "ProcessId": number % 9000,
            "User": r"RED\caja",
            "Image": image,
        }
        match number % 4:
            case 0:
                return event | {"SourceIp": f"10.0.0.{number % 250}", "DestinationIp": self.tail(addresses)}
            case 1:
                return event | {"EventID": 22, "QueryName": nonce + self.tail(names), "QueryResults": "-"}
            case 2:
                line = f'"{image}" /url:http://{nonce}{self.tail(names)}/{self.word()}?q={number % 50}'
                return event | {"EventID": 1, "CommandLine": line, "Hashes": f"SHA256={self.digest()}"}
            case _:
                return event | {"EventID": 7, "ImageLoaded": self.tail(images), "Signed": "true"}

    def plant(self, event: Event, kind: str, value: str) -> None:
        match kind:
            case "domain":
                event["QueryName"] = f"a.b.{value}"
            case "ipv4":
                event["DestinationIp"] = value.partition("/")[0]
            case "sha256":
                event["Hashes"] = f"MD5={'0' * 32},SHA256={value.upper()}"
            case "filename":
                event["Image"] = rf"C:\Users\Public\{value}"
            case _:
                event["CommandLine"] = f"curl -s {value}"


@dataclass
class Rate:
    """Events a second of two ways, measured in turns; the best of each counts, as noise only slows."""

    matcher: float = 0.0
    floor: float = 0.0
    hits: int = 0
    floor_hits: int = 0


def compare(matcher: Matcher, floor: dict[str, str], events: list[Event]) -> Rate:
    rate = Rate()
    for _ in range(ROUNDS):
        matcher.forget()
        began = time.process_time()
        rate.hits = sum(1 for event in events if matcher.match(event))
        rate.matcher = max(rate.matcher, len(events) / (time.process_time() - began))
        began = time.process_time()
        rate.floor_hits = sum(1 for event in events if ask_floor(floor, event))
        rate.floor = max(rate.floor, len(events) / (time.process_time() - began))
    return rate


def ask_floor(floor: dict[str, str], event: Event) -> bool:
    return any(type(value) is str and value in floor for value in event.values())


def patterns(maker: Maker, addresses: list[str]) -> Iterator[str]:
    """Whole patterns: half look at one event, half at several; a few have to be asked of many events."""
    for number in range(PATTERNS):
        if number < UNANCHORED:
            word = maker.word()
            operator, value = (
                ("LIKE", f"%/{word}_.%") if number % 2 else ("MATCHES", f"{word}[0-9]+\\\\.php$")
            )
            yield f"[process:command_line {operator} '{value}']"
            continue
        address = maker.dice.choice(addresses) if number % 10 == 0 else maker.address()
        if number % 2:
            yield f"[ipv4-addr:value = '{address}' AND process:pid > {number % 9000}]"
        else:
            yield (
                f"([network-traffic:dst_ref.value = '{address}'] FOLLOWEDBY"
                f" [domain-name:value = '{maker.domain()}']) WITHIN 600 SECONDS"
            )


def recordings(most: int) -> list[Event]:
    """Real Windows events, where they are kept beside the repository."""
    folder = Path(os.environ.get("ISTMO_SHARED_DATA", "../shared/data")) / "events-large"
    found: list[Event] = []
    for archive in sorted(folder.glob("*.zip")):
        for one in islice(open_events(archive, Limits()), most - len(found)):
            if isinstance(one, Line):
                with suppress(IstmoError):
                    found.append(dict(normalise(read_event(one.raw, Limits())[1]).fields))
        if len(found) >= most:
            break
    return found


def match_in_time(matcher: Matcher, events: list[Event]) -> tuple[float, int]:
    """Events a second where each says when it happened; how many hit. The best of several rounds."""
    best, hits = 0.0, 0
    for _ in range(ROUNDS):
        matcher.forget()
        began = time.process_time()
        hits = sum(
            1 for number, event in enumerate(events) if matcher.match(event, number * 1000, f"1-{number}")
        )
        best = max(best, len(events) / (time.process_time() - began))
    return best, hits


def live_while_matching(matcher: Matcher, maker: Maker, events: list[Event]) -> list[float]:
    """Milliseconds until a whole pattern that comes, or goes, counts for the next event of a stream."""
    took = []
    for number in range(100):
        for event in events[number * 50 : number * 50 + 50]:
            matcher.match(event)
        address, id = f"203.0.{number}.2", maker.id()
        read = read_pattern(f"[ipv4-addr:value = '{address}' AND process:pid = 7]")
        wanted = {"Channel": "x", "DestinationIp": address, "ProcessId": 7}
        for change, is_there in (
            (lambda id=id, read=read: matcher.put(id, read.terms, None, read.plan), True),
            (lambda id=id: matcher.drop(id), False),
        ):
            began = time.perf_counter()
            change()
            assert bool(matcher.match(wanted)) is is_there
            took.append((time.perf_counter() - began) * 1000)
    return took


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def live_ms(matcher: Matcher, maker: Maker) -> list[float]:
    """Milliseconds from putting one indicator in until the next event that carries it has hit it."""
    took = []
    for number in range(200):
        address = f"203.0.{number}.1"
        id = maker.id()
        began = time.perf_counter()
        matcher.put(id, [("ipv4", address)])
        found = matcher.match({"Channel": "x", "DestinationIp": address})
        took.append((time.perf_counter() - began) * 1000)
        assert [hit.id for hit in found] == [id]
        began = time.perf_counter()
        matcher.drop(id)
        assert not matcher.match({"Channel": "x", "DestinationIp": address})
        took.append((time.perf_counter() - began) * 1000)
    return took


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a million indicators still, fewer events")
    options.add_argument("--json", action="store_true")
    options.add_argument("--indicators", type=int, default=1_000_000)
    chosen = options.parse_args()
    count = 12_000 if chosen.quick else 200_000
    maker = Maker(503)
    told: dict[str, Any] = {"indicators": chosen.indicators}

    matcher = Matcher(lambda: 0)
    some: list[tuple[str, str]] = []
    gc.collect()
    gc.freeze()
    before, seconds = resident_mb(), 0.0
    for number in range(chosen.indicators):
        term, id = maker.term(), maker.id()
        began = time.perf_counter()
        matcher.put(id, [term], 1 << 60)
        seconds += time.perf_counter() - began
        if number % 100 == 0:
            some.append(term)
    told["load_us_each"] = seconds / chosen.indicators * 1e6
    told["memory_mb"] = resident_mb() - before
    took = live_ms(matcher, maker)
    told["live_p50_ms"], told["live_p99_ms"] = percentile(took, 0.5), percentile(took, 0.99)

    # The floor holds the same values as text; those it cannot serve are no use to it.
    floor = {term.value: id for id in matcher for term in matcher.terms(id)}
    gc.collect()
    gc.freeze()
    for name, repeats in (("recorded", True), ("no_value_repeats", False)):
        events = list(maker.events(count, some, repeats=repeats))
        gc.freeze()
        rate = compare(matcher, floor, events)
        told[name] = {
            "events_s": round(rate.matcher),
            "floor_events_s": round(rate.floor),
            "ratio": round(rate.matcher / rate.floor, 3),
            "hits": rate.hits,
            "floor_hits": rate.floor_hits,
        }
        assert rate.hits >= rate.floor_hits
    real = recordings(count // 2)
    if real:
        gc.freeze()
        rate = compare(matcher, floor, real)
        told["real_recordings"] = {"events_s": round(rate.matcher), "floor_events_s": round(rate.floor)}
    addresses = [value for kind, value in some if kind == "ipv4" and "/" not in value]
    before = resident_mb()
    for text in patterns(maker, addresses):
        read = read_pattern(text)
        assert read.plan is not None
        matcher.put(maker.id(), read.terms, None, read.plan)
    told["patterns"] = PATTERNS
    told["patterns_memory_mb"] = resident_mb() - before
    for name, repeats in (("recorded", True), ("no_value_repeats", False)):
        events = list(maker.events(count, some, repeats=repeats))
        gc.freeze()
        best, hits = match_in_time(matcher, events)
        told[f"{name}_with_patterns"] = {"events_s": round(best), "hits": hits}
    took = live_while_matching(matcher, maker, events)
    told["live_while_matching_p50_ms"] = percentile(took, 0.5)
    told["live_while_matching_p99_ms"] = percentile(took, 0.99)
    told["goals"] = {
        "events_s": (told["recorded"]["events_s"], ">=", GOALS["events_s"]),
        "events_s_with_patterns": (told["recorded_with_patterns"]["events_s"], ">=", GOALS["events_s"]),
        "live_ms": (round(percentile(took, 0.99), 2), "<=", GOALS["live_ms"]),
        "memory_mb": (round(told["memory_mb"]), "<=", GOALS["memory_mb"]),
    }
    ratio = told["recorded"]["ratio"]
    finish(
        told,
        chosen.json,
        f"ratio {ratio}: events a second of the matcher to those of one plain dict of whole values",
    )


if __name__ == "__main__":
    main()
