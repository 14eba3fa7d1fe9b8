"""A journal on each database, and exchanges to record."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rightsmanager.errors import Refusal
from rightsmanager.hooks.exchange import Exchange
from rightsmanager.hooks.facts import Progress
from rightsmanager.journal.journal import Journal
from rightsmanager.journal.recorder import Recorder, RecorderOptions
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.journal.database import JournalDatabase

KID = Kid(b"0123456789abcdef")
DEVICE = "cISwAoMPfMO9eM87lnlrRhNshFmSxrpnPGjeb75bK3s="
DEADLINE_SECONDS = 30


def exchange(
    *,
    request_id: str = "r1",
    operation: str = "AcquireLicense",
    query: str = "",
    custom_data: str | None = None,
    refusal: Refusal | None = None,
    request: bytes = b"<request/>",
    reply: bytes = b"<reply/>",
    progress: Progress | None = None,
    **environ: str,
) -> Exchange:
    """Return an answered request."""
    known = Progress(
        DEVICE, (KID,), custom_data=custom_data, verified=1.25, decided=1.5, recorded=2.0
    )
    return Exchange(
        request_id=request_id,
        operation=operation,
        environ={
            "QUERY_STRING": query,
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "text/xml; charset=utf-8",
            "CONTENT_LENGTH": str(len(request)),
            "HTTP_USER_AGENT": "player/1",
            "HTTP_SOAPACTION": '"urn:a"',
            "HTTP_AUTHORIZATION": "Bearer secret-token",
            "HTTP_COOKIE": "session=secret-cookie",
            **environ,
        },
        url="http://127.0.0.1/rightsmanager.asmx",
        progress=progress or known,
        refusal=refusal,
        http_status="500 Internal Server Error" if refusal else "200 OK",
        content_type="text/xml",
        request=request,
        reply=reply,
        begun=1.0,
        read=1.125,
        ended=2.5,
    )


@dataclass
class Journals:
    """A journal's database and the recorders that write it."""

    database: JournalDatabase
    folder: Path
    notes: list[str] = field(default_factory=list)
    recorders: list[Recorder] = field(default_factory=list)

    @property
    def journal(self) -> Journal:
        return Journal(self.database, self.folder)

    def recorder(self, **options: Any) -> Recorder:  # noqa: ANN401 -- fields of RecorderOptions
        made = Recorder(
            self.database,
            RecorderOptions(folder=self.folder, **options),
            lambda what, error: self.notes.append(f"{what}: {type(error).__name__}"),
        )
        self.recorders.append(made)
        return made


@pytest.fixture
def journals(database_url: str, tmp_path: Path) -> Any:  # noqa: ANN401 -- a generator
    """Yield an empty journal, in a file or on PostgreSQL."""
    is_file = database_url.startswith("sqlite")
    database = (
        JournalDatabase.in_file(tmp_path / "journal.db")
        if is_file
        else JournalDatabase(database_url)
    )
    made = Journals(database, tmp_path / "counts")
    yield made
    for recorder in made.recorders:
        recorder.close()


@pytest.fixture
def in_file(tmp_path: Path) -> Any:  # noqa: ANN401 -- a generator
    """Yield an empty journal in a file."""
    made = Journals(JournalDatabase.in_file(tmp_path / "journal.db"), tmp_path / "counts")
    yield made
    for recorder in made.recorders:
        recorder.close()


def wait_until(is_true: Callable[[], bool]) -> None:
    """Wait until something is true; fails after DEADLINE_SECONDS."""
    until = time.monotonic() + DEADLINE_SECONDS
    while not is_true():
        assert time.monotonic() < until, "still not true"
        time.sleep(0.02)
