"""`make bench-metering`: the cost of a report, which does not grow with the stored rows.

Databases of SQLite and PostgreSQL are loaded with ten thousand, a million and ten million rows of
reports, and their totals. Each sample of reports goes to each database in turn, so that other load
slows all of them. Both write commits to disk.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final

from sqlalchemy import text

from rightsmanager.admin.usage import By, UsageQuery, UsageReader
from rightsmanager.app import build
from rightsmanager.cli.serve import prepare
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.crypto.random import system_random
from rightsmanager.keyring import CertifiedKeys
from rightsmanager.operations.request import Request
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.messages.exchange import ChallengeKeys, ClientInfo
from rightsmanager.protocol.messages.metering import (
    MeteringCertificate,
    MeteringReport,
    Usage,
    read_metering_certificate,
    seal_metering_data,
)
from rightsmanager.protocol.wire import Kid, TransactionId
from rightsmanager.protocol.xml.fastpath import parse_fast
from rightsmanager.server import Runtime, Server
from rightsmanager.settings import Settings
from rightsmanager.store.database import make_engine
from rightsmanager.store.metering import DAY_SECONDS, Period
from rightsmanager.store.schema import upgrade
from tests.bench import overhttp
from tests.bench.fixture import Bench
from tests.postgresql import PostgreSQL

REPORT: Final = Path("build/bench-metering.json")
SIZES: Final = (10_000, 1_000_000, 10_000_000)
"""Rows of reports in each database."""
RECORDS: Final = 100
"""Records in each report."""
TITLES: Final = 10_000
DAYS: Final = 100
LOADING_SECONDS: Final = 3600
"""Timeout of loading a database."""
ROUNDS: Final = 40
EACH: Final = 5


@dataclass(frozen=True)
class Loaded:
    """A server in this process on a loaded database."""

    rows: int
    server: Server

    def cost(self, bodies: Sequence[bytes]) -> float:
        """Return the seconds of each of these reports."""
        answer = self.server.operations["ProcessMeteringData"]
        begun = time.perf_counter()
        for body in bodies:
            answer(Request(parse_fast(body), "http://h/rightsmanager.asmx", "", {}, "h"))
        return (time.perf_counter() - begun) / len(bodies)


@dataclass(frozen=True)
class Reporter:
    """A device that reports plays of random titles; each report is used once."""

    device: CertifiedKeys
    certificate: MeteringCertificate
    random: Random
    records: int = RECORDS

    def reports(self, count: int) -> list[bytes]:
        backend = choose_backend()
        asking = ClientInfo((self.device.chain.raw,), int(time.time()), "4.4.0.1")
        key = self.certificate.key
        sealing = ChallengeKeys(self.device.signing_key, key, backend, system_random)
        return [seal_metering_data(self._report(), asking, sealing) for _ in range(count)]

    def _report(self) -> MeteringReport:
        transaction_id = TransactionId(system_random(16))
        return MeteringReport(self.certificate.mid, transaction_id, self._usage())

    def _usage(self) -> tuple[Usage, ...]:
        titles = self.random.sample(range(TITLES), self.records)
        return tuple(Usage(_kid(title), "Play", self.random.randint(1, 9)) for title in titles)


def make_reporter(bench: Bench, records: int = RECORDS) -> Reporter:
    """Return a new device that reports to the bench's metering id."""
    return Reporter(bench.device(), _certificate(bench), Random(1), records)


def main() -> None:
    """Measure on both databases, print, and write the report."""
    sizes = tuple(map(int, sys.argv[1:])) or SIZES
    report = {name: _measure(url_of, sizes) for name, url_of in _databases()}
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=2) + "\n")
    sys.stdout.write(f"written to {REPORT}\n")


# --- measuring ------------------------------------------------------------------------------------


def _measure(database: "Database", sizes: Sequence[int]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, database.running():
        bench = Bench(Path(folder))
        bench.prepare()
        reporter = make_reporter(bench)
        loaded = [_load(bench, database.url(rows), rows, reporter.certificate) for rows in sizes]
        seconds = _growth(loaded, reporter)
        report = {
            "seconds": seconds,
            "ratio": _ratio(seconds),
            "queries": _queries(loaded[-1], reporter),
            "reports_per_second": _throughput(bench, database.url(0), reporter),
        }
        _print(database.name, report)
        for each in loaded:
            each.server.store.close()
    return report


def _growth(loaded: Sequence[Loaded], reporter: Reporter) -> dict[str, list[float]]:
    """Return the seconds of a report in each round, by size."""
    for each in loaded:
        each.cost(reporter.reports(EACH))
    seconds: dict[str, list[float]] = {str(each.rows): [] for each in loaded}
    for _ in range(ROUNDS):
        for each in loaded:
            seconds[str(each.rows)].append(each.cost(reporter.reports(EACH)))
    return seconds


def _ratio(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Return the cost of a report at each size, as a ratio to the smallest size."""
    least = next(iter(seconds.values()))
    return {
        size: median(here / there for here, there in zip(each, least, strict=True))
        for size, each in seconds.items()
    }


def _queries(largest: Loaded, reporter: Reporter) -> dict[str, float]:
    """Return the seconds of each of the operator's reports over all days."""
    reports = UsageReader(largest.server.store, keeps_reports=True)
    today = int(time.time()) // DAY_SECONDS
    question = UsageQuery(reporter.certificate.mid, Period(today - DAYS, today))
    seconds = {}
    for by in By:
        begun = time.perf_counter()
        assert reports.find(question, by)
        seconds[by.value] = time.perf_counter() - begun
    return seconds


def _throughput(bench: Bench, url: str, reporter: Reporter) -> dict[str, float]:
    """Return the reports per second that servers with one and two workers take over HTTP."""
    return {
        str(workers): overhttp.rate(bench, workers, reporter.reports, {DATABASE_VARIABLE: url})
        for workers in (1, 2)
    }


DATABASE_VARIABLE: Final = "RIGHTSMANAGER_DATABASE_URL"


def _print(name: str, report: dict[str, Any]) -> None:
    for size, each in report["seconds"].items():
        sys.stdout.write(
            f"{name}, {int(size):,} rows stored: a report of {RECORDS} records"
            f"{median(each) * 1e3:8.2f} ms{report['ratio'][size]:8.2f} x the least\n"
        )
    for by, seconds in report["queries"].items():
        sys.stdout.write(f"{name}, report by {by} over all rows{seconds:8.2f} s\n")
    for workers, rate in report["reports_per_second"].items():
        sys.stdout.write(f"{name}, {workers} worker(s) over HTTP{rate:8.0f} reports/s\n")
    sys.stdout.flush()


# --- databases ------------------------------------------------------------------------------------


class Sqlite:
    """SQLite files in a folder of their own."""

    name = "SQLite"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp())

    @contextmanager
    def running(self) -> Iterator[None]:
        yield
        shutil.rmtree(self._folder)

    def url(self, rows: int) -> str:
        return f"sqlite:///{self._folder / f'{rows}.db'}"


class Postgresql:
    """PostgreSQL databases on a server of their own."""

    name = "PostgreSQL"

    def __init__(self) -> None:
        self._server = PostgreSQL()

    @contextmanager
    def running(self) -> Iterator[None]:
        self._server.start(fsync="on", synchronous_commit="on", shared_buffers="256MB")
        yield
        self._server.remove()

    def url(self, rows: int) -> str:
        del rows
        return self._server.url(self._server.create_database())


Database = Sqlite | Postgresql


def _databases() -> Iterator[tuple[str, Database]]:
    yield "sqlite", Sqlite()
    yield "postgresql", Postgresql()


def _certificate(bench: Bench) -> MeteringCertificate:
    return read_metering_certificate(
        parse_chain((bench.data / "public" / "metering.bin").read_bytes())
    )


# --- loading --------------------------------------------------------------------------------------


def _kid(title: int) -> Kid:
    return Kid(f"{title:016}".encode())


def _load(bench: Bench, url: str, rows: int, certificate: MeteringCertificate) -> Loaded:
    """Return a server on a new database with this many rows of reports."""
    begun = time.perf_counter()
    upgrade(url)
    engine = make_engine(url, LOADING_SECONDS)
    values = {
        "reports": rows // RECORDS,
        "mid": certificate.mid.raw,
        "first": int(time.time()) - DAYS * DAY_SECONDS,
        "step": DAYS * DAY_SECONDS * RECORDS // rows,
    }
    with engine.connect() as connection:
        for statement in _LOADING[engine.dialect.name]:
            connection.execute(text(statement), values)
        connection.commit()
    engine.dispose()
    seconds = time.perf_counter() - begun
    sys.stderr.write(f"{rows:,} rows loaded into {engine.dialect.name} in {seconds:.0f} s\n")
    settings = Settings(data=bench.data, database_url=url)
    prepare(settings)
    return Loaded(rows, build(settings, Runtime()))


_NUMBERS: Final = """
WITH RECURSIVE number (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < {most})
"""
_REPORTS: Final = """
INSERT INTO metering_reports (device, mid, transaction_id, digest, received_at)
{numbers} SELECT {device}, :mid, {transaction}, {digest}, :first + n * :step FROM number
"""
_USAGE: Final = """
INSERT INTO metering_usage (report, kid, action, value)
{numbers} SELECT id, {kid}, 'Play', 1 + (id + n) % 9 FROM metering_reports CROSS JOIN number
ORDER BY id, {kid}
"""
_DEVICES: Final = """
INSERT INTO metering_devices (mid, day, device, action, value)
SELECT mid, received_at / 86400, device, action, sum(value)
FROM metering_usage JOIN metering_reports ON id = report
GROUP BY mid, received_at / 86400, device, action ORDER BY 1, 2, 3, 4
"""
_TOTALS: Final = """
INSERT INTO metering_totals (mid, day, kid, action, value)
SELECT mid, received_at / 86400, kid, action, sum(value)
FROM metering_usage JOIN metering_reports ON id = report
GROUP BY mid, received_at / 86400, kid, action ORDER BY 1, 2, 3, 4
"""


def _loading(*, device: str, transaction: str, digest: str, kid: str) -> tuple[str, ...]:
    reports = _REPORTS.format(
        numbers=_NUMBERS.format(most=":reports - 1"),
        device=device,
        transaction=transaction,
        digest=digest,
    )
    usage = _USAGE.format(numbers=_NUMBERS.format(most=RECORDS - 1), kid=kid)
    return reports, usage, _DEVICES, _TOTALS


_TITLE: Final = f"((id * 37 + n * 101) % {TITLES})"
"""Return a title for the n-th record of a report; no two records of a report share one."""
_LOADING: Final = {
    "sqlite": _loading(
        device="printf('%043d=', n % 1000)",
        transaction="randomblob(16)",
        digest="zeroblob(32)",
        kid=f"CAST(printf('%016d', {_TITLE}) AS BLOB)",
    ),
    "postgresql": (
        *_loading(
            device="lpad((n % 1000)::text, 43, '0') || '='",
            transaction="uuid_send(gen_random_uuid())",
            digest="decode(repeat('00', 32), 'hex')",
            kid=f"convert_to(lpad({_TITLE}::text, 16, '0'), 'UTF8')",
        ),
        "ANALYZE",
    ),
}
"""The function that loads a database, by its kind."""

if __name__ == "__main__":
    main()
