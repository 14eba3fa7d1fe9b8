"""`rightsmanager device meter`, `stop` and `delete`: the reports of a device."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import click

from rightsmanager.cli.device.session import (
    device_option,
    open_session,
    reply_notes,
    server_options,
    url_option,
)
from rightsmanager.cli.failures import exit_status, failure_facts, print_failure
from rightsmanager.cli.options import KID, add_options
from rightsmanager.cli.printing import Form, counted, json_option, print_json, print_list
from rightsmanager.crypto.random import system_random
from rightsmanager.device.deletion import DeletionStore, report_deletions
from rightsmanager.device.metering import MeteringCertificates, report_usage
from rightsmanager.device.session import DeviceSession
from rightsmanager.device.sessions import SessionStore, report_sessions
from rightsmanager.device.usage import MeteringStore
from rightsmanager.errors import Refusal
from rightsmanager.protocol.messages.metering import MAX_RECORDS
from rightsmanager.protocol.wire import Kid, Mid

Facts = dict[str, object]

_METER_COLUMNS: Final = {
    "metering_id": "metering id",
    "transaction_id": "transaction",
    "records": "KIDs",
    "count": "counted",
}
_STOP_COLUMNS: Final = {
    "metering_id": "metering id",
    "sessions": "sessions",
    "accepted": "accepted",
    "verified": "proven session",
}
_DELETE_COLUMNS: Final = {"session_id": "session", "kids": "KIDs"}

report_url_option: Final = add_options(
    click.option("--url", help="The server's URL.  [default: the metering certificate's]"),
    server_options,
)


@click.command()
@device_option
@report_url_option
@click.option(
    "--max-records",
    type=click.IntRange(1, MAX_RECORDS),
    default=MAX_RECORDS,
    show_default=True,
    help="The most KIDs of one report, for servers with a lower limit.",
)
@json_option
def meter(folder: Path, *, url: str | None, max_records: int, form: Form) -> None:
    """Report the plays for each metering id.

    They are deleted once the server has answered. A report without an answer is sent again the
    next time, under the same transaction id.
    """
    session = open_session(folder)
    store = MeteringStore(session.journal, max_records)
    results = _each_mid(store.mids(), lambda mid: _meter(mid, url, session, store))
    _print(results, _METER_COLUMNS, "report", form)


def _meter(
    mid: Mid, url: str | None, session: DeviceSession, store: MeteringStore
) -> Iterator[Facts]:
    certificates = MeteringCertificates(session.folder)
    for report in report_usage(mid, url, session.client, certificates, store):
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
def stop(folder: Path, *, url: str | None, form: Form) -> None:
    """Report the sessions under secure stop.

    They are deleted once the server has accepted them. A session whose playback crashed is reported
    as one that did not stop. Sessions without an answer are reported again the next time.
    """
    session = open_session(folder)
    store = SessionStore(session.journal)
    results = _each_mid(store.mids(), lambda mid: _stop(mid, url, session, store))
    _print(results, _STOP_COLUMNS, "message", form)


def _stop(
    mid: Mid, url: str | None, session: DeviceSession, store: SessionStore
) -> Iterator[Facts]:
    certificates = MeteringCertificates(session.folder)
    for message, answer in report_sessions(mid, url, session.client, certificates, store):
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
@click.argument("kids", metavar="[KID]...", nargs=-1, type=KID)
@json_option
def delete(folder: Path, *, url: str, kids: tuple[Kid, ...], form: Form) -> None:
    """Delete licences and report it.

    Deletes the licences for each KID. Deletions without an answer are reported again the next time,
    also without any KID.
    """
    session = open_session(folder)
    store = DeletionStore(session.journal, session.licenses)
    store.delete(kids, system_random)
    _print(_caught({}, _delete(url, session, store)), _DELETE_COLUMNS, "message", form)


def _delete(url: str, session: DeviceSession, store: DeletionStore) -> Iterator[Facts]:
    for deletion in report_deletions(url, session.client, store):
        yield {
            "session_id": deletion.session_id.text,
            "kids": [kid.text for kid in deletion.kids],
        }


# --- results --------------------------------------------------------------------------------------


def _each_mid(mids: Sequence[Mid], report: Callable[[Mid], Iterator[Facts]]) -> Iterator[Facts]:
    """Yield the result of each message; a failure of one metering id does not stop the others."""
    for mid in mids:
        yield from _caught({"metering_id": mid.text}, report(mid))


def _caught(about: Facts, messages: Iterator[Facts]) -> Iterator[Facts]:
    try:
        for facts in messages:
            yield {**about, **facts, "answered": True, **reply_notes().take()}
    except Refusal as refusal:
        warnings = reply_notes().take()["warnings"]
        yield {**about, "answered": False, "refusal": refusal, "warnings": warnings}


def _print(results: Iterator[Facts], columns: Mapping[str, str], name: str, form: Form) -> None:
    """Print the results of messages, and exit with the status of the last one that failed."""
    done = list(results)
    failures = [(facts, facts.pop("refusal")) for facts in done if not facts["answered"]]
    failed = [(facts, each) for facts, each in failures if isinstance(each, Refusal)]
    if form == "json":
        for facts, refusal in failed:
            facts.update(failure_facts(refusal))
        print_json(done)
    else:
        answered = [facts for facts in done if facts["answered"]]
        if answered:
            print_list(form, answered, columns)
        click.echo(f"{counted(len(answered), name)} answered")
        for facts, refusal in failed:
            about = f"metering id {facts['metering_id']}: " if "metering_id" in facts else ""
            print_failure(refusal, about)
    for _facts, refusal in failed[-1:]:
        click.get_current_context().exit(exit_status(refusal))
