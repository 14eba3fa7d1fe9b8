"""Effects on a finished reply: its status, headers and bytes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final

from rightsmanager.lab.faults.choosing import Chosen
from rightsmanager.lab.faults.fault import Fault
from rightsmanager.protocol.wire import decode_base64

_WITHOUT_BODY: Final = frozenset({"204", "304"})
"""Statuses whose replies have no body and no Content-Length."""
_NOT_UTF8: Final = 0xF8
"""The first of the bytes that no UTF-8 text has."""
_SEED_LENGTH: Final = 8


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A reply before it is sent."""

    status: str
    """Such as `200 OK`."""
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)

    def with_body(self, body: bytes) -> "HttpReply":
        """Return the reply with another body, and its length as Content-Length."""
        if self.status[:3] in _WITHOUT_BODY:
            return replace(self, body=b"", headers=self._without("content-length", "content-type"))
        return replace(self, body=body).with_header("Content-Length", str(len(body)))

    def with_header(self, name: str, value: str) -> "HttpReply":
        """Return the reply with another value of a header."""
        return replace(self, headers=(*self._without(name.lower()), (name, value)))

    def with_status(self, status: int) -> "HttpReply":
        """Return the reply with another status code."""
        return replace(self, status=status_line(status))

    def _without(self, *names: str) -> tuple[tuple[str, str], ...]:
        return tuple(each for each in self.headers if each[0].lower() not in names)


def status_line(status: int) -> str:
    """Return a status code with its phrase."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Status"


def _answer_status(fault: Fault, reply: HttpReply) -> HttpReply:
    """Return an HTTP status without an envelope, with the headers of every reply."""
    body = fault.text("body").encode()
    reply = reply.with_status(fault.whole("http_status")).with_header(
        "Content-Type", "text/plain; charset=utf-8"
    )
    for parameter, header in (("retry_after", "Retry-After"), ("location", "Location")):
        if (value := fault.optional(parameter)) is not None:
            reply = reply.with_header(header, value)
    return reply.with_body(body)


def _answer_body(fault: Fault, reply: HttpReply) -> HttpReply:
    """Return the scripted body, if there is one."""
    if fault.optional("body") is None:
        return reply
    body = decode_base64(fault.text("body"), "body")
    reply = reply.with_status(fault.whole("http_status")).with_header(
        "Content-Type", fault.text("content_type")
    )
    return reply.with_body(body)


def _answer_ok(_fault: Fault, reply: HttpReply) -> HttpReply:
    return reply.with_status(HTTPStatus.OK)


REPLACEMENTS: Final[Mapping[str, Callable[[Fault, HttpReply], HttpReply]]] = {
    "fault-with-200": _answer_ok,
    "http-status": _answer_status,
    "answer": _answer_body,
}
"""The reply in place of the operation's, by toxic."""


def kept_bytes(fault: Fault, body: bytes) -> int:
    """Return the number of bytes of a body that stay."""
    if "bytes" in fault.parameters:
        return min(fault.whole("bytes"), len(body))
    return len(body) // 2


# --- replies --------------------------------------------------------------------------------------


def _truncate(chosen: Chosen, reply: HttpReply) -> HttpReply:
    return reply.with_body(reply.body[: kept_bytes(chosen.fault, reply.body)])


def _corrupt(chosen: Chosen, reply: HttpReply) -> HttpReply:
    length = min(chosen.fault.whole("bytes"), len(reply.body))
    rng = chosen.rng
    start = int.from_bytes(rng(_SEED_LENGTH)) % (len(reply.body) - length + 1)
    noise = bytes(byte | _NOT_UTF8 for byte in rng(length))
    return reply.with_body(reply.body[:start] + noise + reply.body[start + length :])


def _name_type(chosen: Chosen, reply: HttpReply) -> HttpReply:
    return reply.with_header("Content-Type", chosen.fault.text("content_type"))


_SOAP: Final = re.compile(rb"(</?|xmlns:|<faultcode>|<soap:Value>)soap(?=[:=])")
_OUTER: Final = re.compile(rb'<(\w+Response) xmlns="([^"]*)">')
_INNER: Final = re.compile(rb'<(\w+Result)><Response xmlns="([^"]*)">')


def _prefix(_chosen: Chosen, reply: HttpReply) -> HttpReply:
    """Return the reply with prefixes on the elements around the signed one."""
    found = _OUTER.search(reply.body)
    if found is None:
        return reply.with_body(_SOAP.sub(rb"\1SOAP-ENV", reply.body))
    name, namespace = found.groups()
    before, after = reply.body[: found.start()], reply.body[found.end() :]
    within, _, end = after.rpartition(b"</%s>" % name)
    return reply.with_body(
        _SOAP.sub(rb"\1SOAP-ENV", before)
        + b'<p:%s xmlns:p="%s">' % (name, namespace)
        + _prefix_inner(within)
        + b"</p:%s>" % name
        + _SOAP.sub(rb"\1SOAP-ENV", end)
    )


def _prefix_inner(within: bytes) -> bytes:
    """Return the result with prefixes, unless what is in it takes its namespace from it."""
    found = _INNER.match(within)
    if found is None:
        return within
    name, namespace = found.groups()
    signed, _, _ = within[found.end() :].rpartition(b"</Response>")
    return b'<p:%s><m:Response xmlns:m="%s">%s</m:Response></p:%s>' % (
        name,
        namespace,
        signed,
        name,
    )


ALTERATIONS: Final[Mapping[str, Callable[[Chosen, HttpReply], HttpReply]]] = {
    "truncated": _truncate,
    "corrupted": _corrupt,
    "content-type": _name_type,
    "prefixed-xml": _prefix,
}
"""The effect of each toxic that changes a finished reply."""
