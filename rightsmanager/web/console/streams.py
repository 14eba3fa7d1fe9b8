"""Streams: licences with secure stop that are in use."""

from typing import Final

from rightsmanager.admin.domains import parse_device
from rightsmanager.admin.streams import OPEN, StreamFacts
from rightsmanager.hooks.facts import StreamHolder
from rightsmanager.protocol.wire import AccountId, Guid, Kid
from rightsmanager.store.streams import StreamFilter
from rightsmanager.web.console.acts import OperatorAct
from rightsmanager.web.console.blocks import (
    GOOD,
    PLAIN,
    Asked,
    Cell,
    Empty,
    Field,
    View,
    act_cell,
    device_path,
    filter_form,
    link,
    short,
    state,
    time,
)
from rightsmanager.web.console.lists import Listing, cut_of
from rightsmanager.web.console.parts import Parts

_WHICH: Final = (("", "open"), ("all", "open and ended"))


def show_streams(parts: Parts, asked: Asked) -> View:
    """Return the page of the open streams, or of all."""
    page = parts.management.streams.find_page(_filter(parts, asked), cut_of(asked))
    fields = (
        Field("which", "Which", asked.get("which"), "select", choices=_WHICH),
        Field("account", "Account", asked.get("account"), hint="GUID or base64"),
        Field("user", "User", asked.get("user")),
        Field("device", "Device", asked.get("device"), hint="id, base64"),
        Field("kid", "KID", asked.get("kid"), hint="GUID or base64"),
    )
    return View(
        "Streams",
        (filter_form(asked, "streams", fields), _LIST.table(asked, page)),
        lead="Licences with secure stop that are in use. A stream ends when its device reports a "
        "stop, when it expires, or when you end it.",
    )


def _filter(parts: Parts, asked: Asked) -> StreamFilter:
    is_all = asked.choose("which", [each for each, _ in _WHICH]) == "all"
    account, user = asked.get("account"), asked.get("user")
    device, kid = asked.get("device"), asked.get("kid")
    holder = None
    if account or user:
        account_id = AccountId.parse(account) if account else None
        holder = StreamHolder(account_id, "", user or None).name
    return StreamFilter(
        holder,
        parse_device(device) if device else None,
        Kid.parse(kid) if kid else None,
        None if is_all else parts.now,
    )


def _row(stream: StreamFacts) -> tuple[Cell, ...]:
    is_open = stream.state == OPEN
    stream_id = stream.stream_id.text
    return (
        short(stream_id),
        state(stream.state, GOOD if is_open else PLAIN),
        _holder(stream),
        short(stream.device, link("devices", device_path(stream.device))),
        short(stream.kid.text),
        time(stream.opened_at),
        time(stream.expires_at),
        time(stream.ended_at),
        act_cell("End", link("acts/end-stream", stream=stream_id)) if is_open else act_cell(),
    )


def _holder(stream: StreamFacts) -> Cell:
    if stream.account is not None:
        return short(stream.account, link("domains", stream.account))
    return Cell("the device" if stream.user is None else f"user {stream.user}")


_LIST: Final = Listing(
    "streams",
    "Streams",
    ("Stream", "State", "Holder", "Device", "KID", "Opened", "Expires", "Ended", ""),
    _row,
    Empty(
        "No stream is open. A licence with secure stop opens one; a simulated device gets it with:",
        "rightsmanager device acquire --device DEVICE --url URL?cfg=(securestop:true) --kid KID",
    ),
)


# --- acts -----------------------------------------------------------------------------------------


def _end(parts: Parts, asked: Asked) -> str:
    parts.management.streams.end([Guid.parse(asked.get("stream"))])
    return "streams"


STREAM_ACTS: Final = {
    "end-stream": OperatorAct(
        "End the stream?",
        "It no longer counts against the limit. Its licence stays with the device.",
        "End",
        "The stream is ended.",
        (Field("stream", "Stream", kind="fixed"),),
        _end,
        lambda _: "streams",
        is_danger=True,
    ),
}
