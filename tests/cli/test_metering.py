"""`metering create`, `list`, `show`, `retire`, `report`, `royalty` and `chart`; `purge`."""

from __future__ import annotations

import csv
import io
import time
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.keyring.files import KeyFiles
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.messages.metering import read_metering_certificate
from rightsmanager.protocol.wire import Kid, Mid, TransactionId
from rightsmanager.store.database import open_store
from rightsmanager.store.metering import ReceivedReport

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Ran, Run

MID = "5e1f0a3c-7c3e-4d2b-9f60-2b8d1a4c6e11"
UNKNOWN = "00000000-0000-0000-0000-000000000000"
KIDS = tuple(Kid(bytes([number]) * 16) for number in (1, 2, 3))
DEVICES = ("A" * 43 + "=", "B" * 43 + "=")
USAGE = ((KIDS[0], "Play", 3), (KIDS[0], "Copy", 1), (KIDS[1], "Play", 5))
NOW = int(time.time()) - 10
DAY = 86400


def day(ago: int) -> str:
    """Return the day that the reports of so many days ago arrived."""
    arrived: date = datetime.fromtimestamp(NOW - ago * DAY, UTC).date()
    return arrived.isoformat()


@pytest.fixture
def own(data: Path) -> str:
    chain = KeyFiles(data, None).find_chain("metering")
    assert chain is not None
    return read_metering_certificate(chain).mid.text


@pytest.fixture
def reported(database_url: str, own: str, data: Path) -> Path:
    """A data folder whose keyring's own metering id has reports of two devices and three days."""
    store = open_store(database_url)
    with store.transaction() as transaction:
        for number, (device, ago) in enumerate(
            [(DEVICES[0], 0), (DEVICES[0], 1), (DEVICES[1], 1), (DEVICES[1], 40)]
        ):
            report = ReceivedReport(
                device=device,
                mid=Mid.from_text(own),
                transaction_id=TransactionId(bytes([number]) * 16),
                digest=bytes(32),
                received_at=NOW - ago * DAY,
                usage=USAGE,
            )
            transaction.metering.record(report, keep=True)
    store.close()
    return data


# --- metering ids ---------------------------------------------------------------------------------


def test_a_created_id_is_listed_and_shown_with_its_certificate(
    run: Run, data: Path, own: str, tmp_path: Path
) -> None:
    folder = ("--data", str(data))
    made = run("metering", "create", *folder, "--name", "music", "--url", "http://h/", "--json")
    assert made.status == 0
    assert (made.json["name"], made.json["state"], made.json["url"]) == (
        "music",
        "in use",
        "http://h/",
    )
    listed = run("metering", "list", *folder, "--json").json
    assert [each["mid"] for each in listed] == [own, made.json["mid"]]
    assert [each["name"] for each in listed] == ["keyring", "music"]
    file = tmp_path / "chain.bin"
    mid = made.json["mid_base64"]
    shown = run("metering", "show", *folder, mid, "--chain", str(file), "--json")
    assert shown.json == made.json
    certificate = read_metering_certificate(parse_chain(file.read_bytes()))
    assert (certificate.mid.text, certificate.url) == (made.json["mid"], "http://h/")
    for words in (("list", *folder), ("show", *folder, mid)):
        assert made.json["mid"] in run("metering", *words).output


def test_the_url_of_new_certificates_comes_from_the_settings(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = ("metering", "create", "--data", str(data), "--json")
    monkeypatch.setenv("RIGHTSMANAGER_SERVER__PUBLIC_URL", "http://public/")
    assert run(*create).json["url"] == "http://public/"
    monkeypatch.setenv("RIGHTSMANAGER_METERING__URL", "http://metering/")
    assert run(*create).json["url"] == "http://metering/"
    # Another keyring needs another database.
    monkeypatch.delenv("RIGHTSMANAGER_DATABASE_URL")
    fresh = data.parent / "fresh"
    assert run("init", "--data", str(fresh)).status == 0
    chain = KeyFiles(fresh, None).find_chain("metering")
    assert chain is not None
    assert read_metering_certificate(chain).url == "http://metering/"


def test_a_retired_id_is_listed_as_retired(run: Run, data: Path, own: str) -> None:
    folder = ("--data", str(data))
    run("metering", "create", *folder, "--mid", MID)
    retired = run("metering", "retire", *folder, MID)
    assert (retired.status, retired.output.split()[0]) == (0, MID)
    assert [each["state"] for each in run("metering", "list", *folder, "--json").json] == [
        "in use",
        "retired",
    ]
    assert "the keyring's own" in run("metering", "retire", *folder, own).errors


def test_a_metering_id_may_be_given_by_its_name(run: Run, data: Path) -> None:
    folder = ("--data", str(data))
    made = run("metering", "create", *folder, "--name", "music", "--json").json
    assert run("metering", "show", *folder, "music", "--json").json == made
    assert run("metering", "report", *folder, "--mid", "music", "--json").json["mid"] == made["mid"]
    assert run("metering", "create", *folder, "--name", "music").status == 0
    twice = run("metering", "retire", *folder, "music")
    assert (twice.status, twice.output) == (1, "")
    assert "is the name of several: see metering list" in twice.errors


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("create", "--mid", "x"), 2, "MID"),
        (("create", "--name", "n" * 65), 2, "expected at most 64 characters"),
        (("show", UNKNOWN), 1, "is unknown"),
        (("retire", UNKNOWN), 1, "is unknown"),
        (("report", "--mid", UNKNOWN), 1, "is unknown"),
        (("report", "--mid", "music"), 1, "'music' is neither a GUID nor base64, and is no"),
        (("report", "--from", "yesterday"), 2, "'yesterday' is not a day"),
        (("report", "--from", "1969-12-31"), 2, "is not a day"),
        (("report", "--from", "2026-11-02", "--to", "2026-11-01"), 2, "expected a day no later"),
        (("report", "--by", "weather"), 2, "'weather' is not one of"),
        (("royalty", "--price-per-play", "-1"), 2, "'-1' is not a price"),
        (("royalty", "--price-per-title", "NaN"), 2, "'NaN' is not a price"),
        (("royalty", "--price-per-title", "cheap"), 2, "'cheap' is not a price"),
        (("royalty", "--titles", "-1"), 2, "-1 is not in the range"),
        (("chart", "--out", "chart.gif"), 2, "ends neither in .png nor in .svg"),
        (("chart", "--out", "/nowhere/chart.svg"), 1, "cannot be written"),
        (("chart",), 2, "Missing option '--out'"),
    ],
)
def test_invalid_input_is_reported_in_one_line(
    run: Run, data: Path, words: tuple[str, ...], status: int, message: str
) -> None:
    verb, *rest = words
    ran = run("metering", verb, "--data", str(data), *rest)
    assert (ran.status, ran.output) == (status, "")
    assert message in ran.errors.splitlines()[-1]


# --- reports --------------------------------------------------------------------------------------


def totals(ran: Ran) -> list[dict[str, Any]]:
    assert ran.status == 0, ran.errors
    rows: list[dict[str, Any]] = ran.json["totals"]
    return rows


def test_a_report_is_by_kid_action_day_or_device(run: Run, reported: Path, own: str) -> None:
    report = ("metering", "report", "--data", str(reported), "--json", "--by")
    assert totals(run(*report, "kid")) == [
        {"kid": KIDS[1].text, "action": "Play", "value": 15},
        {"kid": KIDS[0].text, "action": "Play", "value": 9},
        {"kid": KIDS[0].text, "action": "Copy", "value": 3},
    ]
    assert totals(run(*report, "action")) == [
        {"action": "Play", "value": 24},
        {"action": "Copy", "value": 3},
    ]
    assert totals(run(*report, "day")) == [
        {"day": day(1), "action": "Copy", "value": 2},
        {"day": day(1), "action": "Play", "value": 16},
        {"day": day(0), "action": "Copy", "value": 1},
        {"day": day(0), "action": "Play", "value": 8},
    ]
    assert totals(run(*report, "device"))[:2] == [
        {"device": DEVICES[0], "action": "Play", "value": 16},
        {"device": DEVICES[1], "action": "Play", "value": 8},
    ]
    printed = run(*report, "day", "--from", day(40), "--to", day(40)).json
    assert (printed["mid"], printed["from"], printed["to"], printed["by"]) == (
        own,
        day(40),
        day(40),
        "day",
    )
    assert sum(row["value"] for row in printed["totals"]) == 9


def test_a_report_of_another_metering_id_has_nothing_of_this_one(run: Run, reported: Path) -> None:
    run("metering", "create", "--data", str(reported), "--mid", MID)
    report = run("metering", "report", "--data", str(reported), "--mid", MID, "--json")
    assert totals(report) == []


def test_a_report_is_printed_as_table_and_as_csv(run: Run, reported: Path) -> None:
    report = ("metering", "report", "--data", str(reported), "--by", "action")
    heading, *table = run(*report).output.splitlines()
    assert heading.startswith("metering id ")
    assert heading.endswith(f"to {day(0)} (UTC)")
    assert [line.split() for line in table] == [
        ["action", "value"],
        ["Play", "24"],
        ["Copy", "3"],
    ]
    printed = run(*report[:-1], "kid", "--csv").output
    assert list(csv.reader(io.StringIO(printed)))[:2] == [
        ["kid", "action", "value"],
        [KIDS[1].text, "Play", "15"],
    ]


def test_reports_by_device_are_refused_if_only_totals_are_kept(
    run: Run, reported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIGHTSMANAGER_METERING__KEEP_REPORTS_DAYS", "0")
    ran = run("metering", "report", "--data", str(reported), "--by", "device")
    assert (ran.status, ran.output) == (1, "")
    assert "only totals are kept" in ran.errors


# --- royalties ------------------------------------------------------------------------------------


def test_royalties_use_the_prices_of_options_or_settings(
    run: Run, reported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    royalty = ("metering", "royalty", "--data", str(reported))
    printed = run(*royalty, "--titles", "10000", "--json").json
    assert (printed["plays"], printed["metered"], printed["flat"], printed["saving"]) == (
        24,
        "0.24",
        "800.00",
        "799.76",
    )
    assert printed["by_kid"] == [
        {"kid": KIDS[1].text, "plays": 15, "due": "0.15"},
        {"kid": KIDS[0].text, "plays": 9, "due": "0.09"},
    ]
    monkeypatch.setenv("RIGHTSMANAGER_METERING__PRICE_PER_PLAY", "0.5")
    monkeypatch.setenv("RIGHTSMANAGER_METERING__CURRENCY", "EUR")
    printed = run(*royalty, "--price-per-title", "4", "--action", "Copy", "--json").json
    assert (printed["plays"], printed["titles"], printed["currency"]) == (3, 1, "EUR")
    assert (printed["metered"], printed["flat"], printed["saving"]) == ("1.5", "4", "2.5")


def test_royalties_are_printed_as_table_and_as_csv(run: Run, reported: Path) -> None:
    royalty = ("metering", "royalty", "--data", str(reported), "--titles", "10000")
    lines = [line.split() for line in run(*royalty).output.splitlines()]
    assert lines == [
        ["price", "due", "(USD)"],
        ["24", "plays", "at", "0.01", "0.24"],
        ["10,000", "titles", "at", "0.08", "800.00"],
        ["saving", "799.76"],
    ]
    printed = run(*royalty, "--csv").output
    assert list(csv.reader(io.StringIO(printed))) == [
        ["kid", "plays", "due"],
        [KIDS[1].text, "15", "0.15"],
        [KIDS[0].text, "9", "0.09"],
    ]


# --- charts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "message"), [("kid", KIDS[1].text), ("action", "24"), ("day", day(1))]
)
def test_a_chart_shows_the_plays(
    run: Run, reported: Path, by: str, message: str, tmp_path: Path
) -> None:
    file = tmp_path / "chart.SVG"
    ran = run(
        *("metering", "chart", "--data", str(reported), "--by", by, "--out", str(file)),
        *("--from", day(1), "--to", day(0)),
    )
    assert (ran.status, ran.output) == (0, f"The chart is in {file}.\n")
    assert f">{message}</text>" in file.read_text()


def test_a_chart_may_be_a_png(run: Run, reported: Path, tmp_path: Path) -> None:
    file = tmp_path / "chart.png"
    run("metering", "chart", "--data", str(reported), "--by", "device", "--out", str(file))
    assert file.read_bytes().startswith(b"\x89PNG")


# --- what is kept ---------------------------------------------------------------------------------


def test_purge_removes_old_reports_and_keeps_totals(run: Run, reported: Path) -> None:
    folder = ("--data", str(reported))
    every = ("metering", "report", *folder, "--from", day(50), "--json", "--by")
    before = totals(run(*every, "kid"))
    assert sum(row["value"] for row in totals(run(*every, "device"))) == 36
    assert "rows of metering reports: 0 removed" in run("purge", *folder).output.splitlines()
    removed = run("purge", *folder, "--older-than", "36d").output.splitlines()
    assert "rows of metering reports: 3 removed" in removed
    assert sum(row["value"] for row in totals(run(*every, "device"))) == 27
    removed = run("purge", *folder, "--older-than", "0h", "--json").json
    assert removed["rows of metering reports"] == 9
    assert totals(run(*every, "device", "--to", day(1))) == []
    assert totals(run(*every, "kid")) == before


@pytest.mark.parametrize("age", ["90", "d", "-1d", "1y", "1.5d"])
def test_an_invalid_age_is_a_usage_error(run: Run, data: Path, age: str) -> None:
    ran = run("purge", "--data", str(data), "--older-than", age)
    assert ran.status == 2
    assert f"{age!r} is not an age" in ran.errors
