"""A journal with a million entries: the time of the first page of each filter, and of statistics.

Each filter is measured for a value that many entries have, and for one that only the oldest ones
have.
"""

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from rightsmanager.errors import InvalidMessage, ServiceSpecific
from rightsmanager.hooks.exchange import Exchange
from rightsmanager.hooks.facts import Progress
from rightsmanager.journal.building import EntryBuilder
from rightsmanager.journal.journal import Journal
from rightsmanager.protocol.wire import AccountId, Kid, encode_base64
from rightsmanager.store.journal.database import JournalDatabase
from rightsmanager.store.journal.entries import Filter, PendingEntry, WorkerCounts

ENTRIES: Final = 1_000_000
MAX_SECONDS: Final = 0.3
BATCH: Final = 256
RARE: Final = 100
"""The oldest entries, which have values of their own."""
BEGIN_MS: Final = 1_700_000_000_000
STEP_MS: Final = 100
REPEATS: Final = 7
_RARE_KID: Final = Kid(b"rare" * 4)
_RARE_ACCOUNT: Final = AccountId(b"rare" * 4)
_RARE_DEVICE: Final = encode_base64(b"rare" * 8)
_AGENTS: Final = tuple(f"player/{number}.0 (model {number})" for number in range(20))


def measure(database: JournalDatabase, folder: Path) -> dict[str, float]:
    """Fill a journal; return the seconds of each first page and of statistics."""
    fill(database)
    journal = Journal(database, folder)
    pages = {name: _time(partial(journal.find, wanted)) for name, wanted in FILTERS.items()}
    counts = {
        f"statistics, {name}": _time(partial(journal.statistics, END_MS - length, END_MS))
        for name, length in RANGES.items()
    }
    return pages | counts


def fill(database: JournalDatabase) -> None:
    """Write the entries."""
    writer = database.open_writer()
    entries, batch = _entries(), []
    for number, entry in enumerate(entries, 1):
        batch.append(entry)
        if len(batch) == BATCH or number == ENTRIES:
            writer.write(batch, WorkerCounts("1-a", number, number, 0))
            batch = []
    writer.close()


def _entries() -> Iterator[PendingEntry]:
    random = Random(12)
    builder = EntryBuilder("1-a")
    for number in range(ENTRIES):
        is_rare = number < RARE
        yield builder.build(_exchange(number, random, is_rare=is_rare), BEGIN_MS + number * STEP_MS)


def _exchange(number: int, random: Random, *, is_rare: bool) -> Exchange:
    device = random.randrange(100_000)
    refusal = ServiceSpecific(f"the user {device} is unknown") if not random.randrange(20) else None
    progress = Progress(
        device=_RARE_DEVICE if is_rare else encode_base64(device.to_bytes(32, "little")),
        kids=(_RARE_KID if is_rare else Kid(random.randrange(1000).to_bytes(16, "little")),),
        account_id=_RARE_ACCOUNT
        if is_rare
        else (None if number % 10 else AccountId(random.randrange(5000).to_bytes(16, "little"))),
        verified=1.001,
        decided=1.0012,
    )
    return Exchange(
        request_id=f"{number:016x}",
        operation="LeaveDomain" if is_rare else "AcquireLicense",
        environ={
            "QUERY_STRING": f"cfg=(persist:true,sl:2000)&user={'zebra' if is_rare else device}",
            "REMOTE_ADDR": f"10.0.{device % 250}.{number % 250}",
            "HTTP_USER_AGENT": random.choice(_AGENTS),
            "CONTENT_TYPE": "text/xml; charset=utf-8",
        },
        url="https://licences.example/rightsmanager.asmx",
        progress=progress,
        refusal=InvalidMessage("the digest is wrong") if is_rare else refusal,
        http_status="500 Internal Server Error" if is_rare or refusal else "200 OK",
        content_type="text/xml",
        request=b"<request/>",
        reply=b"<reply/>",
        begun=1.0,
        read=1.00005,
        # Most take some milliseconds, each another time.
        ended=1.0012 + random.lognormvariate(-5, 0.7),
    )


FILTERS: Final = {
    "no filter": Filter(),
    "operation, frequent": Filter(operation="AcquireLicense"),
    "operation, rare": Filter(operation="LeaveDomain"),
    "operation, none": Filter(operation="JoinDomain"),
    "outcome ok": Filter(outcome="ok"),
    "outcome fault": Filter(outcome="fault"),
    "outcome, frequent": Filter(outcome="0x8004c604"),
    "outcome, rare": Filter(outcome="0x8004c601"),
    "device": Filter(device=encode_base64((4711).to_bytes(32, "little"))),
    "device, rare": Filter(device=_RARE_DEVICE),
    "KID": Filter(kid=Kid((471).to_bytes(16, "little"))),
    "KID, rare": Filter(kid=_RARE_KID),
    "account": Filter(account=AccountId((471).to_bytes(16, "little"))),
    "account, rare": Filter(account=_RARE_ACCOUNT),
    "text, frequent": Filter(text="persist"),
    "text, rare": Filter(text="zebra"),
    "text, request id": Filter(text=f"{17:016x}"),
    "text, none": Filter(text="no such text"),
    "time, newest": Filter(since_ms=BEGIN_MS + (ENTRIES - 500) * STEP_MS),
    "time, oldest": Filter(until_ms=BEGIN_MS + 500 * STEP_MS),
    "time, between": Filter(
        since_ms=BEGIN_MS + 400_000 * STEP_MS, until_ms=BEGIN_MS + 400_100 * STEP_MS
    ),
    "acts": Filter(kind="act"),
    "device and operation": Filter(device=_RARE_DEVICE, operation="LeaveDomain"),
    "KID and outcome ok": Filter(kid=_RARE_KID, outcome="ok"),
}


END_MS: Final = BEGIN_MS + ENTRIES * STEP_MS
RANGES: Final = {"an hour": 3_600_000, "a day": 86_400_000, "all": END_MS}


def _time(look: Callable[[], object]) -> float:
    """Return the median seconds of several looks."""
    spent = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        look()
        spent.append(time.perf_counter() - begun)
    return median(spent)


def report(name: str, seconds: dict[str, float]) -> bool:
    """Print the figures; return whether each is below the limit."""
    for each, spent in seconds.items():
        sys.stdout.write(f"{f'{name}, {each}':44}{spent * 1000:8.1f} ms\n")
    return max(seconds.values()) < MAX_SECONDS


def main(folder: Path) -> bool:
    """Measure on both databases, and print; return whether each page is below the limit."""
    from rightsmanager.store.schema import upgrade  # noqa: PLC0415 -- slow
    from tests.postgresql import PostgreSQL  # noqa: PLC0415

    is_fast = report("SQLite", measure(JournalDatabase.in_file(folder / "journal.db"), folder))
    server = PostgreSQL()
    try:
        server.start()
        url = server.url(server.create_database())
        upgrade(url)
        return report("PostgreSQL", measure(JournalDatabase(url), folder)) and is_fast
    finally:
        server.remove()
