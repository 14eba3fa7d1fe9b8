"""The settings of the journal: which requests a server records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from rightsmanager.assembly import make_recorder
from rightsmanager.errors import InvalidMessage
from rightsmanager.journal.journal import open_journal
from rightsmanager.settings import JournalSettings, Settings
from tests.journal.conftest import exchange

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("record", "is_loopback", "recorded"),
    [
        ("auto", True, ["bad", "good"]),
        ("auto", False, ["bad"]),
        ("all", False, ["bad", "good"]),
        ("faults", True, ["bad"]),
        ("off", True, []),
    ],
)
def test_a_server_records_what_the_settings_say(
    tmp_path: Path,
    record: Literal["auto", "off", "faults", "all"],
    recorded: list[str],
    *,
    is_loopback: bool,
) -> None:
    settings = Settings(data=tmp_path, journal=JournalSettings(record=record))
    recorder = make_recorder(settings, lambda *_: None, is_loopback=is_loopback)
    if recorder is not None:
        recorder(exchange(request_id="good"))
        recorder(exchange(request_id="bad", refusal=InvalidMessage("no")))
        recorder.close()
    journal = open_journal(tmp_path, settings.effective_database_url)
    assert [each.request_id for each in journal.find().entries] == recorded
    assert (tmp_path / "journal.db").exists() == bool(recorded)


def test_bodies_are_left_out_if_the_settings_say_so(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, journal=JournalSettings(record="all", bodies=False))
    recorder = make_recorder(settings, lambda *_: None, is_loopback=False)
    assert recorder is not None
    recorder(exchange())
    recorder.close()
    (entry,) = open_journal(tmp_path, settings.effective_database_url).find().entries
    assert (entry.has_request, entry.has_reply) == (False, False)
