"""One entry of the journal: what was sent, the checks, the decision and the reply."""

import shlex
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from rightsmanager.admin.refusals import NotFound
from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection import Check, Description, Outcome
from rightsmanager.inspection.explanation import Explanation
from rightsmanager.journal.replay import Answer, refuse_inexact, replay
from rightsmanager.protocol.wire import encode_base64
from rightsmanager.store.journal.entries import OK, Entry, StoredEntry
from rightsmanager.web.console.acts import OperatorAct
from rightsmanager.web.console.blocks import (
    BAD,
    GOOD,
    OFF,
    PLAIN,
    Act,
    Asked,
    Block,
    Cell,
    Checks,
    Empty,
    Facts,
    Field,
    Notice,
    Table,
    Text,
    Tree,
    View,
    code,
    device_path,
    link,
    state,
    time,
)
from rightsmanager.web.console.outcomes import outcome_cell, outcome_name
from rightsmanager.web.console.parts import Parts
from rightsmanager.web.look import spelled

_LICENSE: Final = "AcquireLicense"
"""The operation whose parameters are explained."""
_WITHHELD: Final = (
    "The body is not stored: journal.bodies is off, it was not read, or it may contain a key."
)
_MASKED: Final = (
    "The query or the CustomData has a key, which is masked here: the decision is not shown."
)
_MAX_CURL: Final = 65536
"""The longest request that a command shows, in bytes."""
_DECODED: Final = 200_000
"""The longest text of a body that a page shows, in characters."""


def show_entry(parts: Parts, asked: Asked) -> View:
    """Return the page of one entry."""
    stored = find_entry(parts, asked.path["id"])
    entry = stored.entry
    if entry.kind == "act":
        return _act_view(entry)
    decoded = parts.decode(stored)
    sent, replied = decoded.request, decoded.reply
    blocks = (
        _verdict(entry),
        *_failed_checks(sent),
        *_decision(entry, decoded.explanation),
        _facts(entry),
        *_stages(entry),
        *_body("Request", sent, stored.request, is_cut=entry.is_request_cut),
        *_body("Reply", replied, stored.reply, is_cut=entry.is_reply_cut),
        *_curl(stored),
    )
    title = f"{entry.operation or 'Request'} {time(entry.at_ms / 1000).text}"
    return View(title, blocks, acts=_acts(stored), up=Act("Journal", "journal"))


def find_entry(parts: Parts, text: str) -> StoredEntry:
    """Return an entry by its id; raises NotFound."""
    is_id = text.isascii() and text.isdecimal() and len(text) < len(str(1 << 63))
    stored = parts.journal.get(int(text)) if is_id else None
    if stored is None:
        raise NotFound(f"the journal has no entry {text[:32]!r}: it may have been removed")
    return stored


def _acts(stored: StoredEntry) -> tuple[Act, ...]:
    entry = stored.entry
    acts = []
    try:
        refuse_inexact(stored)
        acts.append(Act("Replay", link("acts/replay", entry=str(entry.id))))
    except InvalidMessage:
        # Its page says which part is missing.
        acts.append(Act("Why not replay", link("acts/replay", entry=str(entry.id))))
    if entry.device is not None:
        acts.append(Act("Requests of the device", link("journal", device=entry.device)))
    if entry.kids:
        acts.append(Act("Requests for the KID", link("journal", kid=entry.kids[0].text)))
    asked = f"?{entry.query}" if entry.query else ""
    if entry.operation == _LICENSE:
        kids = " ".join(kid.text for kid in entry.kids)
        explain = link("../explain", asked=asked, customdata=entry.custom_data or "", kids=kids)
        acts.append(Act("Explain the URL", explain))
    return tuple(acts)


def _act_view(entry: Entry) -> View:
    is_done = entry.outcome == OK
    text = "The act was performed." if is_done else f"The act was refused: {entry.reason}"
    return View(
        f"Act {entry.operation}",
        (
            Notice(GOOD if is_done else BAD, text),
            Facts(
                (
                    ("Time", time(entry.at_ms / 1000)),
                    ("Operator", Cell(entry.actor or "")),
                    ("Address", code(entry.client)),
                    ("Subject", Cell(entry.subject or "none")),
                )
            ),
        ),
        up=Act("Journal", "journal"),
    )


# --- what was sent --------------------------------------------------------------------------------


def _verdict(entry: Entry) -> Notice:
    if entry.outcome == OK:
        return Notice(GOOD, "The request was answered.")
    name = outcome_name(entry.outcome)
    where = f" at the stage {entry.stage}" if entry.stage else ""
    return Notice(BAD, f"Refused with {entry.outcome}, {name}{where}: {entry.reason}")


def _failed_checks(sent: Description | None) -> tuple[Block, ...]:
    """Return the checks of the request that did not pass, each with its place."""
    if sent is None:
        return ()
    failed = tuple(
        replace(check, name=f"{place}: {check.name}" if place else check.name)
        for place, check in _placed(sent)
        if check.outcome in {Outcome.FAILED, Outcome.WARNING}
    )
    return (Checks("Checks that did not pass", failed),) if failed else ()


def _placed(description: Description, place: str = "") -> Iterator[tuple[str, Check]]:
    for check in description.checks:
        yield place, check
    for child in description.children:
        yield from _placed(child, f"{place}, {child.name}" if place else child.name)


def _facts(entry: Entry) -> Facts:
    device = entry.device
    rows = [
        ("Outcome", outcome_cell(entry.outcome)),
        ("Kind of refusal", Cell(entry.failed or "")),
        ("Device", code(device or "", link("devices", device_path(device)) if device else None)),
        ("Account", code(entry.account or "", link("domains", entry.account or ""))),
        *(("KID", code(kid.text)) for kid in entry.kids),
        ("URL", code(entry.url)),
        ("Query", code(f"?{entry.query}" if entry.query else "")),
        ("CustomData", code(entry.custom_data or "")),
        *(("Warning", Cell(warning)) for warning in entry.warnings),
        ("Injected", Cell(entry.injected or "")),
        ("Client", code(entry.client)),
        ("User agent", Cell(entry.user_agent)),
        ("SOAPAction", code(entry.soap_action)),
        ("Content type", code(entry.content_type)),
        ("HTTP status", Cell(str(entry.http_status or ""))),
        ("Bytes", Cell(f"{entry.bytes_in:,} received, {entry.bytes_out:,} sent")),
        ("Request id", code(entry.request_id)),
        ("Worker", code(entry.worker)),
    ]
    return Facts(tuple((name, cell) for name, cell in rows if cell.text), "Request")


def _stages(entry: Entry) -> tuple[Block, ...]:
    if not entry.stages_ms:
        return ()
    most = max(entry.stages_ms.values()) or 1
    rows = tuple(
        (Cell(name), replace(Cell(f"{ms:.3f}", is_number=True), share=ms / most))
        for name, ms in entry.stages_ms.items()
    )
    title = f"Stages, {entry.total_ms:.1f} ms in total"
    return (Table(title, ("Stage", "ms"), rows, Empty("")),)


# --- decision -------------------------------------------------------------------------------------


def _decision(entry: Entry, explanation: Explanation | None) -> tuple[Block, ...]:
    """Return the parameters with what each one set, and the licences that follow."""
    if explanation is None:
        return ()
    if entry.is_masked:
        return (Notice(PLAIN, _MASKED),)
    licenses = explanation.licenses
    return (
        # The refusal itself is on top of the page.
        *(Notice(BAD, each) for each in explanation.problems if each != entry.reason),
        *(Notice(OFF, each) for each in explanation.warnings),
        *(_parameters(each) for each in explanation.parameters),
        *(Tree(f"Decision: {each.name}", each, is_open=False) for each in licenses),
    )


def _parameters(description: Description) -> Table:
    """Return the parameters of a licence, each with the part of the policy that it set."""
    rows = []
    for each in description.children:
        field, _, source = (each.meaning or "").partition(", ")
        name = code(each.name, f"../parameters#{each.name}")
        rows.append(
            (
                name,
                code(spelled(each.value)),
                code(field),
                Cell(source.removeprefix("from ")),
            )
        )
    columns = ("Parameter", "Value", "Sets", "From")
    title = f"Decision: {description.name}"
    return Table(title, columns, tuple(rows), Empty("The licence has no parameter."))


# --- bodies ---------------------------------------------------------------------------------------


def _body(
    title: str, description: Description | None, body: bytes, *, is_cut: bool
) -> Iterator[Block]:
    if description is not None:
        yield Tree(f"{title}, decoded, with every check", description, is_open=False)
    if not body:
        yield Facts(((title, state(_WITHHELD, PLAIN)),))
        return
    suffix = ", its beginning" if is_cut else ""
    text = body.decode(errors="replace")[:_DECODED]
    yield Text(
        f"{title} as it was sent, {len(body):,} bytes{suffix}", title.lower(), text, is_open=False
    )


def _curl(stored: StoredEntry) -> tuple[Block, ...]:
    """Return the command that sends the request again."""
    entry = stored.entry
    if not stored.request or entry.is_request_cut or len(stored.request) > _MAX_CURL:
        return ()
    query = f"?{entry.query}" if entry.query else ""
    headers = (("Content-Type", entry.content_type), ("SOAPAction", entry.soap_action))
    given = [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in headers if value]
    command = " \\\n  ".join(
        (
            f"echo {encode_base64(stored.request)} | base64 -d | curl -sS",
            *given,
            f"--data-binary @- {shlex.quote(entry.url + query)}",
        )
    )
    title = "As a curl command"
    if entry.is_masked:
        title += " (its query has a mask in the place of a key)"
    return (Text(title, "curl", command, is_open=False),)


# --- acts -----------------------------------------------------------------------------------------


def _replay(parts: Parts, asked: Asked) -> View:
    stored = find_entry(parts, asked.get("entry"))
    replayed = replay(stored, parts.repeat(stored.entry.client))
    text = "Both outcomes are alike." if replayed.is_alike else "The outcomes differ."
    return View(
        "Replayed",
        (
            Notice(GOOD if replayed.is_alike else OFF, text),
            _answer("Then", replayed.before),
            _answer("Now", replayed.after),
        ),
        lead="The request was sent again, and is a new entry of the journal.",
        acts=(Act("Journal", "journal"),),
        up=Act("The entry", link("journal", asked.get("entry"))),
    )


def _answer(title: str, answer: Answer) -> Facts:
    rows = (("Outcome", outcome_cell(answer.outcome)), ("Reason", Cell(answer.reason or "none")))
    return Facts(rows, title)


def _clear(parts: Parts, _asked: Asked) -> str:
    parts.journal.clear()
    return "journal"


JOURNAL_ACTS: Final = {
    "replay": OperatorAct(
        "Replay the request?",
        "It is sent again as it was, here and now. It has the same effects as a request of the "
        "player: licences are issued, reports are counted once.",
        "Replay",
        "",
        (Field("entry", "Entry", kind="fixed"),),
        _replay,
        lambda asked: link("journal", asked.get("entry")),
    ),
    "clear-journal": OperatorAct(
        "Clear the journal?",
        "All entries are removed for good. Licences, keys and reports stay.",
        "Clear",
        "The journal is cleared.",
        (),
        _clear,
        lambda _: "journal",
        is_danger=True,
    ),
}
