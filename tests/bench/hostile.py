"""Print how the time to refuse or open hostile messages grows: python -m tests.bench.hostile

Each shape is a challenge of about the given size, with a right digest and signature, so that every
check up to the certificate chain is reached. The second table has reports of metering, whose bodies
may have 8 MiB. Growth is the mean ratio of the times for twice the size: a shape that takes
quadratic time has 4. A single ratio says less, as the trees of more than about 1 MiB of markup
leave the caches: by instructions (`valgrind --tool=cachegrind`) such a doubling is 1.95 to 2.03.
"""

import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile
from statistics import geometric_mean
from typing import Final

from rightsmanager.errors import Refusal
from rightsmanager.protocol.messages.metering import metering_keys, open_metering_data
from rightsmanager.protocol.xml.fastpath import parse_fast
from tests.operations.subject import PORTABLE, Opener, opener, private_key
from tests.second import challenge as second
from tests.second import curve, world
from tests.second.metering import Report

SIZES: Final = (128 * 1024, 256 * 1024, 512 * 1024, 1024 * 1024)
METERING_SIZES: Final = tuple(size * 6 for size in SIZES)
"""Bytes of plaintext; base64 adds a third."""
ROUNDS: Final = 5
MAX_GROWTH: Final = 2.3
MAX_MS: Final = 20.0
"""For each 100 KiB."""
SMALLEST_MS: Final = 2.0
"""Shorter times are not compared: their growth is noise."""

WISH: Final = second.Wish(second.header_40(bytes(range(16))))
LA: Final = second.element(world.CLIENT, WISH)

OWN_KEY: Final = 777
OWN_KEY_PAIR: Final = private_key(OWN_KEY)
CLIENT: Final = replace(world.CLIENT, server=curve.public(OWN_KEY))
REPORT: Final = Report(bytes(16), bytes(range(16)), ())

Shape = Callable[[int], bytes]
Open = Callable[[bytes], object]
"""Opens a message, or raises a Refusal."""


def inside(xml: str, attributes: str = "") -> bytes:
    """Return a message with this XML in LA, signed as written."""
    la = LA.replace("</LA>", f"{xml}</LA>").replace("<LA ", f"<LA {attributes}", 1)
    return second.sealed(world.CLIENT, la)


def around(attributes: str, xml: str) -> bytes:
    """Return a message with attributes on the Envelope and this XML in LA."""
    return inside(xml).replace(b"<soap:Envelope ", f"<soap:Envelope {attributes} ".encode(), 1)


def repeated(piece: str, size: int) -> str:
    return piece * (size // len(piece))


def attributes(size: int, step: int = 1) -> str:
    count = size // 14
    return " ".join(f'a{number:08}=""' for number in range(count)[::step])


def declarations(size: int) -> str:
    return " ".join(f'xmlns:a{number:07}="urn:a{number}"' for number in range(size // 32))


def below_the_bounds(count: int, step: int = 1) -> str:
    return "<x {}/>".format(" ".join(f'a{number:08}=""' for number in range(count)[::step]))


def tags(size: int) -> int:
    """Return the number of empty elements that stays below the limit on tags."""
    return min(size // 8, 8_000)


def kids(size: int) -> bytes:
    entry = f'<KID ALGID="AESCTR" VALUE="{second.b64(bytes(16))}"></KID>'
    header = second.header_42(bytes(16)).replace(entry, entry * (size // len(entry)))
    return second.challenge(world.CLIENT, replace(WISH, header=header, version="4"))


def lists(size: int) -> bytes:
    entry = (
        f"<RevListInfo><ListID>{second.b64(bytes(16))}</ListID><Version>1</Version></RevListInfo>"
    )
    revocation = f"<RevocationLists>{repeated(entry, size)}</RevocationLists>"
    return second.challenge(world.CLIENT, replace(WISH, revocation=revocation))


def plaintext(xml: str) -> bytes:
    """Return a message with this XML in its plaintext."""
    data = second.data(world.DEVICE_CHAIN).replace("<Features>", f"{xml}<Features>", 1)
    return second.with_plaintext(world.CLIENT, WISH, data.encode())


def chains(size: int) -> bytes:
    count = size // len(second.b64(world.DEVICE_CHAIN))
    plaintext = second.data(*[world.DEVICE_CHAIN] * count).encode()
    return second.with_plaintext(world.CLIENT, WISH, plaintext)


SHAPES: Final[dict[str, Shape]] = {
    "attributes, ascending": lambda size: inside(f"<x {attributes(size)}/>"),
    "attributes, descending": lambda size: inside(f"<x {attributes(size, -1)}/>"),
    "attributes, many elements": lambda size: inside(repeated(below_the_bounds(60), size)),
    "namespaces on Envelope": lambda size: around(declarations(size // 2), "<x/>" * (size // 8)),
    "250 namespaces on Envelope": lambda size: around(declarations(7000), "<x/>" * tags(size)),
    "namespaces on LA": lambda size: inside("<x/>" * (size // 8), declarations(size // 2) + " "),
    "namespaces on children": lambda size: inside(repeated('<a:x xmlns:a="urn:a"/>', size)),
    "long namespaces": lambda size: inside(f'<x xmlns="urn:{"a" * (size // 2)}"/>' * 2),
    "deep": lambda size: inside("<x>" * (size // 7) + "</x>" * (size // 7)),
    "200 deep and wide": lambda size: inside("<x>" * 200 + "<x/>" * tags(size) + "</x>" * 200),
    "wide": lambda size: inside(repeated("<x/>", size)),
    "comments": lambda size: inside(repeated("<!---->", size)),
    "few long comments": lambda size: inside(repeated(f"<!--{' ' * 1000}-->", size)),
    "instructions": lambda size: inside(repeated("<?x?>", size)),
    "references in text": lambda size: inside(f"<x>{repeated('&#65;', size)}</x>"),
    "references in attributes": lambda size: inside(f'<x a="{repeated("&#65;", size)}"/>'),
    "undeclared entities": lambda size: inside(f"<x>{repeated('&a;', size)}</x>"),
    "long names": lambda size: inside(repeated(f"<{'x' * 40_000}/>", size)),
    "names that are too long": lambda size: inside(f"<{'x' * size}/>"),
    "prolog of comments": lambda size: repeated("<!---->", size).encode() + inside(""),
    "declaration in a long prolog": lambda size: b" " * size + b"<!DOCTYPE a>",
    "long custom data": lambda size: inside(f"<CustomData>{'a' * size}</CustomData>"),
    "quotes in custom data": lambda size: inside(f"<CustomData>{chr(34) * size}</CustomData>"),
    "KIDs, recognised": kids,
    "KIDs that repeat a tag": lambda size: kids(size).replace(b"</KIDS>", b"<KIDS></KIDS>"),
    "revocation lists": lists,
    "chains": chains,
    "plaintext, wide": lambda size: plaintext(repeated("<x/>", size)),
    "plaintext, deep": lambda size: plaintext("<x>" * 200 + "<x/>" * (size // 4) + "</x>" * 200),
    "plaintext, attributes": lambda size: plaintext(f"<x {attributes(size * 3 // 4)}/>"),
    "plaintext, features": lambda size: plaintext(
        f"<Features>{repeated('<Feature/>', size)}</Features>"
    ),
}


def report(records: str) -> bytes:
    """Return a report of metering with this XML in its plaintext."""
    return REPORT.body(CLIENT, lambda _: f"<MeteringRecords>{records}</MeteringRecords>")


def record(actions: str) -> str:
    return f"<Record><KID>{second.b64(bytes(16))}</KID>{actions}</Record>"


def numbered(size: int) -> str:
    action = "<Action><Name>action {:07}</Name><Value>1</Value></Action>"
    return "".join(map(action.format, range(size // len(action))))


METERING_SHAPES: Final[dict[str, Shape]] = {
    "wide": lambda size: report(repeated("<x/>", size // 4)),
    "too wide": lambda size: report("<x/>" * (2**19 + size // 8)),
    "deep": lambda size: report("<x>" * 200 + repeated("<x/>", size // 4) + "</x>" * 200),
    "attributes": lambda size: report(f"<x {attributes(size // 7)}/>"),
    "too many attributes": lambda size: report(f"<x {attributes(size)}/>"),
    "attributes, many elements": lambda size: report(repeated(below_the_bounds(60), size // 7)),
    "namespaces": lambda size: report(repeated('<a:x xmlns:a="urn:a"/>', size // 5)),
    "references in text": lambda size: report(f"<x>{repeated('&#65;', size)}</x>"),
    "comments": lambda size: report(repeated("<!-- -->", size // 2)),
    "records": lambda size: report(repeated(record(numbered(90)), size // 5)),
    "too many records": lambda size: report(repeated(record(numbered(90)), size)),
    "actions of a record": lambda size: report(record(numbered(size // 2))),
    "an action that repeats": lambda size: report(record(numbered(90) * (size // 90))),
}


def measure(open_: Open, body: bytes) -> tuple[float, str]:
    """Return the best CPU time in ms, and the refusal or what was opened."""
    best, result = float("inf"), ""
    for _ in range(ROUNDS):
        start = time.process_time()
        try:
            open_(body)
            result = "opened"
        except Refusal as refusal:
            result = re.sub(r"\s+", " ", refusal.text)[:60]
        best = min(best, time.process_time() - start)
    return best * 1000, result


def find_growth(times: list[float]) -> float:
    """Return the mean ratio of neighbours, from the first time that is not noise to a bound."""
    start = next((n for n, ms in enumerate(times) if ms >= SMALLEST_MS), len(times))
    # Where a bound refuses a message early, its time falls.
    rising = takewhile(lambda pair: pair[1] > pair[0], pairwise(times[start:]))
    ratios = [after / before for before, after in rising]
    return geometric_mean(ratios) if ratios else 0.0


def print_table(title: str, shapes: dict[str, Shape], sizes: Sequence[int], open_: Open) -> int:
    """Print a line a shape: ms by size, growth, the worst ms for 100 KiB; return the bad ones."""
    head = "".join(f"{size // 1024:>8} K" for size in sizes)
    sys.stdout.write(f"{title:30}{head}   growth  /100 K\n")
    failed = 0
    for name, shape in shapes.items():
        bodies = [shape(size) for size in sizes]
        measured = [measure(open_, body) for body in bodies]
        times = [ms for ms, _ in measured]
        growth = find_growth(times)
        worst = max(ms / (len(body) / 102_400) for ms, body in zip(times, bodies, strict=True))
        is_bad = growth > MAX_GROWTH or worst > MAX_MS
        failed += is_bad
        row = "".join(f"{ms:>10.2f}" for ms in times)
        mark = "!" if is_bad else " "
        sys.stdout.write(f"{name:30}{row}{growth:>9.2f}{worst:>8.2f} {mark} {measured[-1][1]}\n")
    return failed


def open_report(subject: Opener) -> Open:
    """Return a function that opens reports as the operation does."""
    keys = metering_keys(lambda _: (OWN_KEY_PAIR,))

    def open_(body: bytes) -> None:
        open_metering_data(parse_fast(body), keys, PORTABLE, subject.verifier.parse)

    return open_


def main() -> None:
    """Print both tables."""
    subject = opener()
    subject.open(second.challenge(world.CLIENT, WISH))
    failed = print_table("ms, AcquireLicense", SHAPES, SIZES, subject.open)
    failed += print_table(
        "ms, ProcessMeteringData", METERING_SHAPES, METERING_SIZES, open_report(subject)
    )
    count = len(SHAPES) + len(METERING_SHAPES)
    sys.stdout.write(
        f"{failed} of {count} shapes above growth {MAX_GROWTH} or {MAX_MS} ms for 100 KiB\n"
    )


if __name__ == "__main__":
    main()
