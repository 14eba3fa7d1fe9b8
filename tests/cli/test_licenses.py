"""`licenses list` and `sessions list` show what was issued and reported."""

import csv
import io
import json
import time
from pathlib import Path

import pytest

from rightsmanager.protocol.wire import Kid, Mid, SessionId, encode_base64
from rightsmanager.store.database import open_store
from rightsmanager.store.licenses import IssuedLicense
from rightsmanager.store.sessions import StoredSession
from tests.cli.conftest import Run

DEVICES = (encode_base64(bytes(32)), encode_base64(bytes([1]) * 32))
HOUR = 3600
BEYOND_DATES = 2**62


def license_of(number: int, now: int) -> IssuedLicense:
    return IssuedLicense(
        device=DEVICES[number % 2],
        request=bytes([number]) * 32,
        ordinal=0,
        kid=Kid(bytes([number]) * 16),
        license_id=bytes([number]) * 16,
        policy=json.dumps({"security_level": 150, "number": number}),
        issued_at=now - number * HOUR - HOUR // 2,
    )


@pytest.fixture
def issued(data: Path, database_url: str) -> Path:
    """Return a data folder with a licence issued in each of the last hours."""
    store = open_store(database_url)
    with store.transaction() as transaction:
        now = int(time.time())
        transaction.licenses.record([license_of(number, now) for number in range(4)])
        transaction.sessions.record(
            StoredSession(
                device=DEVICES[0],
                session_id=SessionId(bytes(16)),
                kid=Kid(bytes(16)),
                mid=Mid(bytes(16)),
                start_time=0,
                update_time=BEYOND_DATES,
                stopped=True,
                proven=False,
                reported_at=0,
                changed_at=0,
            )
        )
    store.close()
    return data


def numbers(run: Run, data: Path, *options: str) -> list[int]:
    facts = run("licenses", "list", "--data", str(data), "--json", *options).json
    return [fact["policy"]["number"] for fact in facts]


def test_licences_are_listed_newest_first(run: Run, issued: Path) -> None:
    assert numbers(run, issued) == [0, 1, 2, 3]
    assert numbers(run, issued, "--limit", "2") == [0, 1]
    assert numbers(run, issued, "--device", DEVICES[1]) == [1, 3]
    assert numbers(run, issued, "--kid", Kid(bytes([2]) * 16).text) == [2]
    assert numbers(run, issued, "--newer-than", "3h", "--older-than", "1h") == [1, 2]


def test_a_licence_is_shown_with_its_policy_in_each_form(run: Run, issued: Path) -> None:
    words = ("licenses", "list", "--data", str(issued), "--limit", "1")
    fact = run(*words, "--json").json[0]
    assert fact["license_id"] == "AAAAAAAAAAAAAAAAAAAAAA=="
    assert fact["kid"] == Kid(bytes(16)).text
    (row,) = csv.DictReader(io.StringIO(run(*words, "--csv").output))
    assert json.loads(row["policy"]) == fact["policy"]
    assert row["device"] == DEVICES[0]
    table = run(*words).output
    assert fact["issued_at"] in table
    assert '"security_level": 150' in table


def test_devices_are_listed_by_their_last_licence(run: Run, issued: Path) -> None:
    words = ("licenses", "devices", "--data", str(issued))
    facts = run(*words, "--json").json
    assert [(fact["device"], fact["licenses"]) for fact in facts] == [
        (DEVICES[0], 2),
        (DEVICES[1], 2),
    ]
    assert all(fact["first_at"] < fact["last_at"] for fact in facts)
    assert facts[0]["last_at"] > facts[1]["last_at"]
    assert run(*words, "--limit", "1", "--json").json == facts[:1]
    assert DEVICES[1] in run(*words).output


def test_purge_removes_old_licences(run: Run, issued: Path) -> None:
    purged = run("purge", "--data", str(issued), "--older-than", "2h", "--json").json
    assert purged["licences"] == 2
    assert numbers(run, issued) == [0, 1]


def test_sessions_are_listed(run: Run, issued: Path) -> None:
    words = ("sessions", "list", "--data", str(issued))
    (fact,) = run(*words, "--json").json
    assert fact["stopped"] is True
    assert fact["proven"] is False
    assert fact["started_at"] == "1970-01-01T00:00:00+00:00"
    assert fact["updated_at"] == BEYOND_DATES
    assert fact["session_id"] in run(*words).output
    assert run(*words, "--device", DEVICES[1], "--json").json == []
