"""Makes an entry of an exchange: its facts as a row, with keys and tokens masked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from rightsmanager.errors import Refusal
from rightsmanager.hooks.exchange import INJECTED, STAGES, Exchange
from rightsmanager.policy.masking import mask_custom_data, mask_query
from rightsmanager.protocol.messages.packaging import OPERATION as PACKAGING
from rightsmanager.store.journal.entries import (
    ACT,
    NO_FLAG,
    PART,
    REQUEST,
    Flag,
    PendingEntry,
    split_kids,
)

MAX_KIDS: Final = 100
"""The most KIDs of an entry."""
MAX_REASON: Final = 2048
MAX_WARNINGS: Final = 20
MAX_TEXT: Final = 512
"""Longest header, URL, name or warning, in characters."""
_MAX_DIGITS: Final = 9
"""Of a length that fits into an integer of the database."""
_KEY_DATA: Final = re.compile(rb"(<(?:[\w.-]+:)?KeyData\b[^>]*>)[^<]*")
_MASKED_KEY: Final = rb"\1***"
# The headers that an entry has. Authorization and Cookie stay out.
_USER_AGENT: Final = "HTTP_USER_AGENT"
_SOAP_ACTION: Final = "HTTP_SOAPACTION"


@dataclass(frozen=True, slots=True)
class Act:
    """A change that an operator made."""

    name: str
    """Such as `domain.remove`."""
    subject: str
    """The thing that was changed, such as `account 84b9…`."""
    actor: str
    """The operator, such as the name of a token."""
    client: str = ""
    """The operator's address."""
    refusal: Refusal | None = None
    request_id: str = ""


class _Refused(NamedTuple):
    """The columns from `outcome` to `reason`."""

    outcome: int = 0
    failed: str | None = None
    stage: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class EntryBuilder:
    """Makes entries of one worker."""

    worker: str
    keep_bodies: bool = True
    max_body: int = 1 << 18
    """The most bytes that are stored of a body."""

    def build(self, exchange: Exchange, at_ms: int) -> PendingEntry:
        """Return the entry of an exchange."""
        progress, stages, get = exchange.progress, exchange.stages(), exchange.environ.get
        query, is_query_masked = _mask(get("QUERY_STRING") or "")
        custom_data, is_data_masked = _mask_data(progress.custom_data)
        request, request_flags = self._request(exchange, is_withheld=is_data_masked)
        reply, reply_flags = self._reply(exchange)
        masked = Flag.MASKED if is_query_masked or is_data_masked else NO_FLAG
        refused = _refused(exchange.refusal, STAGES[len(stages) - 1])
        account = None if progress.account_id is None else progress.account_id.text
        kids = b"".join([kid.raw for kid in progress.kids[:MAX_KIDS]])
        client, user_agent = get("REMOTE_ADDR", ""), _clean(get(_USER_AGENT, ""))
        soap_action, content_type = _clean(get(_SOAP_ACTION, "")), _clean(get("CONTENT_TYPE", ""))
        warnings = [_clean(each.text) for each in progress.warnings[:MAX_WARNINGS]]
        injected = _clean(get(INJECTED, ""))
        columns = (
            *(REQUEST, at_ms, exchange.request_id, exchange.operation),
            *refused,
            *(progress.device or None, account, kids),
            *(client, _clean(exchange.url), query, custom_data),
            *(user_agent, soap_action, content_type),
            "\n".join(warnings),
            int(exchange.http_status[:3]),
            ",".join([str(round(seconds * 1e6)) for seconds in stages]),
            *(_length(exchange.environ, exchange.request), len(exchange.reply)),
            *(self.worker, int(masked | request_flags | reply_flags)),
            # No actor; the subject of a request is its faults.
            *(None, injected or None),
        )
        texts = (
            *(exchange.request_id, exchange.operation, refused.reason or ""),
            *(*_query_texts(query), custom_data or "", *warnings),
            *(user_agent, client, injected),
        )
        return PendingEntry(columns, at_ms, split_kids(kids), request, reply, texts)

    def build_act(self, act: Act, at_ms: int) -> PendingEntry:
        """Return the entry of an act."""
        refused = _refused(act.refusal, None)
        name, subject, actor = _clean(act.name), _clean(act.subject), _clean(act.actor)
        columns = (
            *(ACT, at_ms, _clean(act.request_id), name),
            *refused,
            # No device, account and KIDs.
            *(None, None, b""),
            # No URL, query, CustomData and other headers.
            *(act.client, "", "", None, "", "", ""),
            # No warnings, HTTP status, stages and bytes.
            *("", 0, "", 0, 0),
            *(self.worker, int(NO_FLAG), actor, subject),
        )
        texts = (act.request_id, refused.reason or "", name, subject, actor, act.client)
        return PendingEntry(columns, at_ms, (), None, None, texts)

    def _request(self, exchange: Exchange, *, is_withheld: bool) -> tuple[bytes | None, Flag]:
        body = exchange.request
        if not self.keep_bodies or not (body or exchange.has_keys):
            return None, NO_FLAG
        if is_withheld or exchange.has_keys:
            # CustomData is encrypted, but to a key that the reader of the journal has.
            return None, Flag.REQUEST_WITHHELD
        if len(body) > self.max_body or _length(exchange.environ, body) > len(body):
            return body[: self.max_body], Flag.HAS_REQUEST | Flag.REQUEST_CUT
        return body, Flag.HAS_REQUEST

    def _reply(self, exchange: Exchange) -> tuple[bytes | None, Flag]:
        body, flags = exchange.reply, Flag.HAS_REPLY
        if not self.keep_bodies or exchange.has_keys:
            return None, NO_FLAG
        if exchange.operation == PACKAGING:
            body, count = _KEY_DATA.subn(_MASKED_KEY, body)
            flags |= Flag.REPLY_MASKED if count else NO_FLAG
        if len(body) > self.max_body:
            return body[: self.max_body], flags | Flag.REPLY_CUT
        return body, flags


def _refused(refusal: Refusal | None, stage: str | None) -> _Refused:
    if refusal is None:
        return _Refused()
    reason = _clean(refusal.text, MAX_REASON)
    return _Refused(int(refusal.status), type(refusal).__name__, stage, reason)


def _query_texts(query: str) -> tuple[str, ...]:
    """Return the parts of a query, and those of its decoded form if it has escapes."""
    decoded = unquote(query).split(PART) if "%" in query else ()
    return (*query.split(PART), *decoded)


def _mask(query: str) -> tuple[str, bool]:
    if not query:
        return "", False
    masked = mask_query(query)
    return _clean(masked, len(masked)), masked != query


def _mask_data(custom_data: str | None) -> tuple[str | None, bool]:
    if not custom_data:
        return custom_data, False
    masked = mask_custom_data(custom_data)
    return _clean(masked, len(masked)), masked != custom_data


def _clean(text: str, limit: int = MAX_TEXT) -> str:
    """Return a text that each database can store, at most `limit` characters long."""
    if len(text) > limit:
        text = f"{text[: limit - 1]}…"
    if text.isascii() and "\0" not in text:
        return text
    # PostgreSQL has no NUL, and UTF-8 no half of a surrogate pair.
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _length(environ: Mapping[str, Any], body: bytes) -> int:
    """Return the bytes that the client announced; a queued body may be cut."""
    announced = str(environ.get("CONTENT_LENGTH") or "")
    is_number = announced.isdecimal() and len(announced) <= _MAX_DIGITS
    return max(len(body), int(announced) if is_number else 0)
