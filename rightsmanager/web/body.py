"""A request's whole body, within a limit.

Content-Length          that many bytes; none is read if they are over the limit
chunked, or no length   all bytes up to the end of the body; reading stops at the limit
"""

from collections.abc import Callable
from typing import Any, Final

from rightsmanager.errors import InvalidMessage

Environ = dict[str, Any]

_SOCKET: Final = "gunicorn.socket"


class BodyTooLarge(InvalidMessage):
    """The body is longer than the limit."""


def read_body(environ: Environ, limit: int, seconds: float) -> bytes:
    """Return the body, at most `limit` bytes.

    No read waits longer than `seconds` if the server gives its socket. Raises BodyTooLarge, and
    InvalidMessage for an invalid length or a body that ends early.
    """
    length = _declared_length(environ)
    if length is not None and length > limit:
        raise _too_large(f"{length} bytes", limit)
    if length is None and not _ends_by_itself(environ):
        return b""
    if (socket := environ.get(_SOCKET)) is not None:
        socket.settimeout(seconds)
    try:
        body = _read(environ["wsgi.input"].read, limit + 1 if length is None else length)
    except Exception as error:  # noqa: BLE001 -- each server has another class for a broken chunk
        raise InvalidMessage(f"the body could not be read: {type(error).__name__}") from None
    if length is None and len(body) > limit:
        raise _too_large(f"more than {limit} bytes", limit)
    if length is not None and len(body) < length:
        raise InvalidMessage(f"the body ended after {len(body)} bytes, expected {length}")
    return body


def _declared_length(environ: Environ) -> int | None:
    text: str = environ.get("CONTENT_LENGTH") or ""
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise InvalidMessage(f"Content-Length is {text[:32]!r}, expected a number")
    return int(text[:20])


def _ends_by_itself(environ: Environ) -> bool:
    return bool(environ.get("wsgi.input_terminated")) or "HTTP_TRANSFER_ENCODING" in environ


def _read(read: Callable[[int], bytes], length: int) -> bytes:
    """Return `length` bytes, or fewer if the body ends before."""
    body = read(length)
    while body and len(body) < length:
        more = read(length - len(body))
        if not more:
            break
        body += more
    return body


def _too_large(actual: str, limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body has {actual}, the limit is {limit} bytes")
