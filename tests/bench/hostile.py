"""Print how the time to refuse or open hostile messages grows: python -m tests.bench.hostile

Each shape is a challenge of about the given size, with a right digest and signature, so that every
check up to the certificate chain is reached. Growth is the ratio of the times for twice the size.
"""

import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Final

from rightsmanager.errors import Refusal
from tests.operations.subject import Opener, opener
from tests.second import challenge as second
from tests.second import world

SIZES: Final = (128 * 1024, 256 * 1024, 512 * 1024, 1024 * 1024)
ROUNDS: Final = 5
MAX_GROWTH: Final = 2.3
MAX_MS: Final = 20.0
"""For each 100 KiB."""
SMALLEST_MS: Final = 2.0
"""Shorter times are not compared: their growth is noise."""

WISH: Final = second.Wish(second.header_40(bytes(range(16))))
LA: Final = second.element(world.CLIENT, WISH)

Shape = Callable[[int], bytes]


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
    "plaintext, attributes": lambda size: plaintext(f"<x {attributes(size)}/>"),
    "plaintext, features": lambda size: plaintext(
        f"<Features>{repeated('<Feature/>', size)}</Features>"
    ),
}


def measure(subject: Opener, body: bytes) -> tuple[float, str]:
    """Return the best CPU time in ms, and the refusal or what was opened."""
    best, result = float("inf"), ""
    for _ in range(ROUNDS):
        start = time.process_time()
        try:
            subject.open(body)
            result = "opened"
        except Refusal as refusal:
            result = re.sub(r"\s+", " ", refusal.text)[:60]
        best = min(best, time.process_time() - start)
    return best * 1000, result


def find_growth(times: list[float]) -> float:
    ratios = [after / before for before, after in pairwise(times) if before >= SMALLEST_MS]
    return max(ratios, default=0.0)


def main() -> None:
    """Print a line a shape: ms by size, the worst growth, the worst ms for 100 KiB."""
    subject = opener()
    subject.open(second.challenge(world.CLIENT, WISH))
    sizes = "".join(f"{size // 1024:>8} K" for size in SIZES)
    sys.stdout.write(f"{'ms':30}{sizes}   growth  /100 K\n")
    failed = 0
    for name, shape in SHAPES.items():
        bodies = [shape(size) for size in SIZES]
        measured = [measure(subject, body) for body in bodies]
        times = [ms for ms, _ in measured]
        growth = find_growth(times)
        worst = max(ms / (len(body) / 102_400) for ms, body in zip(times, bodies, strict=True))
        is_bad = growth > MAX_GROWTH or worst > MAX_MS
        failed += is_bad
        row = "".join(f"{ms:>10.2f}" for ms in times)
        mark = "!" if is_bad else " "
        sys.stdout.write(f"{name:30}{row}{growth:>9.2f}{worst:>8.2f} {mark} {measured[-1][1]}\n")
    sys.stdout.write(
        f"{failed} of {len(SHAPES)} shapes above growth {MAX_GROWTH} or {MAX_MS} ms for 100 KiB\n"
    )


if __name__ == "__main__":
    main()
