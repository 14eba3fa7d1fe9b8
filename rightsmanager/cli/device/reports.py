"""`rightsmanager device meter`, `stop`, `delete`: what a device has to tell its server."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rightsmanager.cli.device.player import (
    DeviceSession,
    counted,
    device_option,
    player_of,
    url_option,
)
from rightsmanager.cli.options import KidParameter, json_option
from rightsmanager.cli.printing import print_table
from rightsmanager.crypto.random import system_random
from rightsmanager.device.deletion import DeletionStore, report_deletions
from rightsmanager.device.metering import MeteringCertificates, report_usage
from rightsmanager.device.sessions import SessionStore, report_sessions
from rightsmanager.device.usage import MeteringStore
from rightsmanager.errors import Refusal
from rightsmanager.protocol.messages.metering import MAX_RECORDS
from rightsmanager.protocol.wire import Kid, Mid

report_url_option = click.option(
    "--url",
    help="Where to report, and to ask for metering certificates.  [default: what the metering "
    "certificate says]",
)
Facts = dict[str, Any]


@click.command()
@device_option
@report_url_option
@click.option(
    "--max-records",
    type=click.IntRange(1, MAX_RECORDS),
    default=MAX_RECORDS,
    show_default=True,
    help="How many KIDs one report may have, if the server takes fewer.",
)
@json_option
def meter(folder: Path, *, url: str | None, max_records: int, as_json: bool) -> None:
    """Report what was played, by metering id, and forget it once the server has answered.

    A report without an answer is sent again the next time, under the same transaction id.
    """
    player = player_of(folder)
    store = MeteringStore(player.journal, max_records)
    _tell(
        _each_mid(store.mids(), lambda mid: _meter(mid, url, player, store)),
        {
            "metering_id": "metering id",
            "transaction_id": "transaction",
            "records": "KIDs",
            "count": "counted",
        },
        "report",
        as_json=as_json,
    )


def _meter(
    mid: Mid, url: str | None, player: DeviceSession, store: MeteringStore
) -> Iterator[Facts]:
    certificates = MeteringCertificates(player.folder)
    for report in report_usage(mid, url, player.caller, certificates, store):
        yield {
            "transaction_id": report.transaction_id.text,
            "partial": report.partial,
            "records": len({each.kid for each in report.usage}),
            "count": sum(each.value for each in report.usage),
        }


@click.command()
@device_option
@report_url_option
@json_option
def stop(folder: Path, *, url: str | None, as_json: bool) -> None:
    """Report the sessions under secure stop, and forget those that the server accepts.

    A session whose playback crashed is reported as one that did not stop. Sessions without an
    answer are reported again the next time.
    """
    player = player_of(folder)
    store = SessionStore(player.journal)
    _tell(
        _each_mid(store.mids(), lambda mid: _stop(mid, url, player, store)),
        {
            "metering_id": "metering id",
            "sessions": "sessions",
            "accepted": "accepted",
            "verified": "proven session",
        },
        "message",
        as_json=as_json,
    )


def _stop(mid: Mid, url: str | None, player: DeviceSession, store: SessionStore) -> Iterator[Facts]:
    certificates = MeteringCertificates(player.folder)
    for message, answer in report_sessions(mid, url, player.caller, certificates, store):
        yield {
            "sessions": len(message.sessions),
            "stopped": sum(each.session.stopped for each in message.sessions),
            "accepted": len(answer.accepted),
            "proposed": None if message.proven is None else message.proven.session.session_id.text,
            "verified": None if answer.verified is None else answer.verified.text,
        }


@click.command()
@device_option
@url_option
@click.argument("kids", metavar="[KID]...", nargs=-1, type=KidParameter())
@json_option
def delete(folder: Path, *, url: str, kids: tuple[Kid, ...], as_json: bool) -> None:
    """Delete the licences for each KID and tell the server so.

    What the server has not answered yet is told again the next time, also without any KID.
    """
    player = player_of(folder)
    store = DeletionStore(player.journal, player.licenses)
    store.delete(kids, system_random)
    _tell(
        _caught({}, _delete(url, player, store)),
        {"session_id": "session", "kids": "KIDs"},
        "message",
        as_json=as_json,
    )


def _delete(url: str, player: DeviceSession, store: DeletionStore) -> Iterator[Facts]:
    for deletion in report_deletions(url, player.caller, store):
        yield {
            "session_id": deletion.session_id.text,
            "kids": [kid.text for kid in deletion.kids],
        }


# --- what they tell -----------------------------------------------------------------------------


def _each_mid(mids: Sequence[Mid], report: Callable[[Mid], Iterator[Facts]]) -> Iterator[Facts]:
    """Give what became of each message; trouble with one metering id leaves the others alone."""
    for mid in mids:
        yield from _caught({"metering_id": mid.text}, report(mid))


def _caught(about: Facts, messages: Iterator[Facts]) -> Iterator[Facts]:
    try:
        for facts in messages:
            yield {**about, **facts, "answered": True}
    except Refusal as refusal:
        yield {
            **about,
            "answered": False,
            "status": refusal.status.hex,
            "error": refusal.text,
            "custom_data": refusal.custom_data,
        }


def _tell(
    messages: Iterator[Facts], columns: Mapping[str, str], name: str, *, as_json: bool
) -> None:
    """Print what became of messages; exit status 1 where one was not answered."""
    told = list(messages)
    answered = [facts for facts in told if facts["answered"]]
    failed = [facts for facts in told if not facts["answered"]]
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        rows = [[_cell(facts[key]) for key in columns] for facts in answered]
        if rows:
            print_table(tuple(columns.values()), rows)
        click.echo(f"{counted(len(rows), name)} answered")
    for facts in failed:
        whose = f"metering id {facts['metering_id']}: " if "metering_id" in facts else ""
        click.echo(f"rightsmanager: {whose}{facts['error']} ({facts['status']})", err=True)
    if failed:
        click.get_current_context().exit(1)


def _cell(value: Any) -> str:  # noqa: ANN401 -- any fact
    if isinstance(value, list):
        return ", ".join(value)
    return "-" if value is None else str(value)
