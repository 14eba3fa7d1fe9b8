"""`rightsmanager journal`: lists, filters, one entry, export, replay and removal."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

from rightsmanager.errors import InvalidMessage
from rightsmanager.hooks.exchange import INJECTED
from rightsmanager.hooks.facts import Progress
from rightsmanager.journal.building import Act
from rightsmanager.journal.journal import open_journal
from rightsmanager.journal.recorder import Recorder, RecorderOptions
from rightsmanager.settings_loading import load
from tests.journal.conftest import DEVICE, KID, exchange

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import Ran, Run

REFUSAL = InvalidMessage("the digest is \x1b[31mwrong")
ESCAPED = "the digest is \\x1b[31mwrong"


class Commands:
    """The journal's commands over a data folder with three requests and an act."""

    def __init__(self, run: Run, data: Path) -> None:
        self._run = run
        self._data = data
        journal = open_journal(data, load(None, data=data).effective_database_url)
        self.notes: list[str] = []
        self.recorder = Recorder(
            journal.database,
            RecorderOptions(folder=journal.folder),
            lambda what, error: self.notes.append(f"{what}: {type(error).__name__}"),
        )
        self.recorder(exchange(request_id="first"))
        self.recorder(exchange(request_id="second", refusal=REFUSAL, query="cfg=(sl:3000)"))
        self.recorder(exchange(request_id="third", query="ContentKey=EjQSNBI0EjQSNBI0EjQSNw=="))
        self.recorder.record_act(Act("token.revoke", "token <b>7</b>", "ops"))
        self.settle = journal.settle
        assert self.settle(30)

    def __call__(self, *arguments: str, stdin: str = "") -> Ran:
        return self._run("journal", *arguments, "--data", str(self._data), stdin=stdin)


@pytest.fixture
def journal(run: Run, data: Path) -> Iterator[Commands]:
    commands = Commands(run, data)
    yield commands
    # Its thread would otherwise write to the next test's database.
    commands.recorder.close()
    assert commands.notes == []


def ids(ran: Ran) -> list[int]:
    assert ran.status == 0, ran.errors
    return [each["id"] for each in ran.json]


def test_a_list_is_newest_first_and_counts_at_the_end(journal: Commands) -> None:
    assert ids(journal("list", "--json")) == [4, 3, 2, 1]
    printed = journal("list").output
    assert ESCAPED in printed
    assert "\x1b" not in printed
    assert printed.endswith("4 written since the journal was made\n")
    assert journal("list", "--limit", "2").output.endswith("; older entries: --before 3\n")
    assert ids(journal("list", "--json", "--before", "3")) == [2, 1]
    rows = journal("list", "--csv").output.splitlines()
    assert rows[0] == "id,at,operation,outcome,ms,device,kids,reason"
    assert len(rows) == 5


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--outcome", "fault"), [2]),
        (("--outcome", "ok"), [4, 3, 1]),
        (("--outcome", "0x8004C601"), [2]),
        (("--outcome", "8004c604"), []),
        (("--operation", "AcquireLicense"), [3, 2, 1]),
        (("--device", DEVICE), [3, 2, 1]),
        (("--kid", KID.base64, "--text", "SL:3000"), [2]),
        (("--account", "84b94dcb-9b16-468e-8ca4-a189ad253f6a"), []),
        (("--text", "first"), [1]),
        (("--acts",), [4]),
        (("--since", "15m"), [4, 3, 2, 1]),
        (("--until", "15m"), []),
        (("--since", "2001-01-01", "--until", "2001-01-02T00:00+01:00"), []),
    ],
)
def test_filters_choose_entries(
    journal: Commands, options: tuple[str, ...], found: list[int]
) -> None:
    assert ids(journal("list", "--json", *options)) == found


@pytest.mark.parametrize(
    "options",
    [("--outcome", "good"), ("--since", "yesterday"), ("--kid", "x"), ("--device", "x")],
)
def test_an_invalid_filter_is_wrong_usage(journal: Commands, options: tuple[str, ...]) -> None:
    assert journal("list", *options).status == 2


def test_a_list_names_the_first_of_many_kids(journal: Commands) -> None:
    journal.recorder(exchange(progress=Progress(kids=(KID,) * 100)))
    assert journal.settle(30)
    row = journal("list", "--limit", "1").output.splitlines()[1]
    assert f"{KID.text} +99" in row
    assert row.count(KID.text) == 1
    assert len(journal("list", "--limit", "1", "--json").json[0]["kids"]) == 100


def test_acts_have_columns_of_their_own(journal: Commands) -> None:
    printed = journal("list", "--acts").output
    assert "token.revoke" in printed
    assert "token <b>7</b>" in printed


def test_an_entry_is_shown_with_its_bodies_and_an_explanation(journal: Commands) -> None:
    facts = journal("show", "2", "--json").json
    assert (facts["request_id"], facts["failed"], facts["stage"]) == (
        "second",
        "InvalidMessage",
        "seal",
    )
    assert facts["request"] is None, "it is nothing of PlayReady"
    assert facts["explanation"]["licenses"]
    printed = journal("show", "--outcome", "fault").output
    assert ESCAPED in printed
    assert "read 125.0, verify 125.0, decide 250.0, record 500.0, seal 500.0" in printed
    assert "request: not recognised, it begins with\n<request/>\n" in printed
    assert "by the settings of now:\nexplanation (1 licence)\n" in printed
    assert "sl: 3000 (policy.security_level, from the query)\n" in printed
    masked = journal("show", "3").output
    assert "by the settings of now, without the parameters that are masked:\n" in masked
    act = journal("show", "4")
    assert (act.status, "request:" in act.output) == (0, False)


def test_an_entry_that_is_missing_is_named(journal: Commands) -> None:
    ran = journal("show", "99")
    assert (ran.status, "the journal has no entry 99" in ran.errors) == (1, True)
    assert journal("show", "--text", "nowhere").status == 1
    assert journal("show", "2", "--outcome", "ok").status == 2


def test_an_export_is_a_json_object_a_line(journal: Commands) -> None:
    lines = [json.loads(line) for line in journal("export").output.splitlines()]
    assert [each["id"] for each in lines] == [4, 3, 2, 1]
    assert [each["request"] for each in lines] == [None, *["PHJlcXVlc3QvPg=="] * 3]
    assert "EjQSNBI0" not in journal("export").output
    bare = [
        json.loads(line)
        for line in journal("export", "--no-bodies", "--outcome", "fault").output.splitlines()
    ]
    assert [each["id"] for each in bare] == [2]
    assert "request" not in bare[0]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [("3", "has a masked query"), ("4", "is an act, expected a request")],
)
def test_an_inexact_request_is_not_replayed(journal: Commands, entry: str, reason: str) -> None:
    ran = journal("replay", entry)
    assert ran.status == 1
    assert f"entry {entry} cannot be replayed: it {reason}" in ran.errors


def test_a_server_that_is_away_is_an_error(journal: Commands) -> None:
    ran = journal("replay", "1", "--url", "http://127.0.0.1:9/rightsmanager.asmx")
    assert (ran.status, "cannot be reached" in ran.errors) == (4, True)


def test_follow_prints_entries_as_they_come(journal: Commands) -> None:
    later = threading.Timer(0.5, lambda: journal.recorder(exchange(request_id="later")))
    later.start()
    ran = journal("follow", "--limit", "1", "--outcome", "ok", "--json")
    later.join()
    assert ran.json["request_id"] == "later"
    again = threading.Timer(0.5, lambda: journal.recorder(exchange(request_id="again")))
    again.start()
    line = journal("follow", "--limit", "1").output
    again.join()
    titles, values = (each.split() for each in line.splitlines())
    assert " ".join(titles) == "id time operation outcome ms device KIDs reason"
    shown = ["AcquireLicense", "ok", "1500.0", DEVICE, KID.text, "-"]
    assert (values[0], values[2:]) == ("6", shown)


def test_clear_asks_first(journal: Commands) -> None:
    assert journal("clear", stdin="n\n").status == 1
    assert len(ids(journal("list", "--json"))) == 4
    assert journal("clear", stdin="y\n").output == "4 entries removed\n"
    assert journal("clear", "--yes", "--json").json == {"removed": 0}
    assert journal("list", "--json").json == []


def test_a_missing_data_folder_is_named(run: Run, tmp_path: Path) -> None:
    ran = run("journal", "list", "--data", str(tmp_path / "nowhere"))
    assert (ran.status, "does not exist" in ran.errors) == (1, True)


def test_injected_faults_have_a_column_if_there_are_any(journal: Commands) -> None:
    assert "injected" not in journal("list").output
    given = exchange()
    mark = "license-mac 00112233445566aa"
    journal.recorder(given._replace(environ={**given.environ, INJECTED: mark}))
    header, newest, *_ = journal("list", "--text", "LICENSE-mac").output.splitlines()
    assert header.split()[-1] == "injected"
    assert newest.endswith(mark)
    assert json.loads(journal("show", "--text", "license-mac", "--json").output)["injected"] == mark
