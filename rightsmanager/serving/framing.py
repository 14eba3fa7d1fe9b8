"""Finds the end of an HTTP request in the bytes that came so far, without parsing it.

    head        up to an empty line
    body        Content-Length bytes, or chunks up to the last one and its trailers, or none

A request whose framing is invalid, ambiguous or over a limit counts as complete with what came:
gunicorn's parser or the application refuses it, and the connection closes.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_FIELDS: Final = re.compile(
    rb"\r\n(content-length|transfer-encoding|expect)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE
)
# Possessive, as both the blanks after a colon and the value match blanks: otherwise each way to
# divide them was tried, and 128 kB of blanks before a forbidden character took minutes.
_CROSS_ORIGIN_FIELDS: Final = re.compile(
    rb"\r\n(origin|access-control-request-[a-z-]+)[ \t]*+:[ \t]*+([!-~ ]*+)(?=\r\n)",
    re.IGNORECASE,
)
_SIZE: Final = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?")
_EMPTY_LINE: Final = b"\r\n\r\n"
_LAST_CHUNK: Final = 0
NO_OTHER_LIMITS: Final[Mapping[bytes, int]] = MappingProxyType({})
MAX_CHUNK_LINE: Final = 4096
"""Longest line with a chunk's size, and longest trailers, in bytes."""
# A body of one byte a chunk has six times its bytes, and each chunk costs as much as many bytes.
MAX_CHUNK_FRAMING: Final = 1 << 18
"""Most bytes of a body that are not its content but its chunks' sizes and line ends."""
_MAX_LENGTH_DIGITS: Final = 20


def find_cross_origin(request: bytes | bytearray) -> dict[str, str]:
    """Return the headers that cross-origin replies depend on, by their names in WSGI.

    Nothing else of the request need be valid, or complete. A header that occurs twice counts as
    missing.
    """
    end = request.find(_EMPTY_LINE)
    head = bytes(request if end < 0 else request[: end + 2])
    found: dict[str, str] = {}
    repeated: set[str] = set()
    for line in _CROSS_ORIGIN_FIELDS.finditer(head):
        name = "HTTP_" + line[1].decode().upper().replace("-", "_")
        if name in found:
            repeated.add(name)
        found[name] = line[2].decode().strip()
    return {name: value for name, value in found.items() if name not in repeated}


class RequestBuffer:
    """The received bytes of a connection that are not yet served."""

    __slots__ = (
        "_body_end",
        "_body_length",
        "_framing_length",
        "_head_end",
        "_max_bodies",
        "_max_body",
        "_max_head",
        "_max_usual_body",
        "_position",
        "data",
        "expects_continue",
        "is_cut",
    )

    def __init__(
        self, max_head: int, max_body: int, max_bodies: Mapping[bytes, int] = NO_OTHER_LIMITS
    ) -> None:
        self._max_head = max_head
        self._max_usual_body = max_body
        self._max_bodies = max_bodies
        """Other limits, by a word in the head."""
        self.data = bytearray()
        self._reset()

    def _reset(self) -> None:
        self._head_end = 0
        self._body_end: int | None = None
        self._max_body = self._max_usual_body
        self._position = 0
        self._body_length = 0
        self._framing_length = 0
        self.is_cut = False
        """Whether the connection has to close after this request, since its end is unknown."""
        self.expects_continue = False

    @property
    def has_head(self) -> bool:
        """Whether the head is complete."""
        return self._head_end > 0

    @property
    def is_head_too_long(self) -> bool:
        """Whether the head is over the limit."""
        return not self._head_end and len(self.data) > self._max_head

    def is_complete(self) -> bool:
        """Return whether a request can be served."""
        if not self._head_end and not self._find_head():
            return False
        if self.is_cut:
            return True
        if self._body_end is None:
            return self._scan_chunks()
        return len(self.data) >= self._body_end

    def take(self) -> bytes:
        """Return the complete request, and begin the next one with the bytes after it."""
        end = len(self.data) if self.is_cut or self._body_end is None else self._body_end
        request = bytes(self.data[:end])
        del self.data[:end]
        self._reset()
        return request

    def _find_head(self) -> bool:
        end = self.data.find(_EMPTY_LINE, max(self._position - 3, 0))
        if end < 0:
            self._position = len(self.data)
            return False
        self._head_end = self._position = end + len(_EMPTY_LINE)
        self._read_framing()
        return True

    def _read_framing(self) -> None:
        fields: dict[bytes, bytes] = {}
        head = bytes(self.data[: self._head_end])
        # A word anywhere is enough: the application applies the limit of the operation.
        limits = (limit for word, limit in self._max_bodies.items() if word in head)
        self._max_body = max(limits, default=self._max_usual_body)
        for name, value in _FIELDS.findall(head):
            # Two lengths are for gunicorn to refuse.
            self.is_cut |= name.lower() in fields
            fields[name.lower()] = value.strip()
        length = fields.get(b"content-length")
        self.expects_continue = fields.get(b"expect", b"").lower() == b"100-continue"
        if b"transfer-encoding" in fields:
            self.is_cut |= length is not None or fields[b"transfer-encoding"].lower() != b"chunked"
        elif length is None:
            self._body_end = self._head_end
        elif self._is_served_length(length):
            self._body_end = self._head_end + int(length)
        else:
            self.is_cut = True

    def _is_served_length(self, length: bytes) -> bool:
        # Counted before it is read: zeros may come before any number, and Python reads 4300 digits.
        is_number = length.isdigit() and len(length) <= _MAX_LENGTH_DIGITS
        return is_number and int(length) <= self._max_body

    def _scan_chunks(self) -> bool:
        """Return whether the last chunk has come; `_position` is where the next chunk begins."""
        while (end := self.data.find(b"\r\n", self._position)) >= 0:
            line = end - self._position
            match = _SIZE.fullmatch(self.data, self._position, end)
            if match is None or line > MAX_CHUNK_LINE:
                return self._cut()
            size = int(match[1], 16)
            if size == _LAST_CHUNK:
                return self._find_trailers_end(end)
            if self._body_length + min(size, len(self.data) - end - 2) > self._max_body:
                return self._cut()
            if len(self.data) < end + size + 4:
                return False
            self._body_length += size
            self._framing_length += line + 4
            if self._framing_length > MAX_CHUNK_FRAMING:
                return self._cut()
            self._position = end + size + 4
        return len(self.data) - self._position > MAX_CHUNK_LINE and self._cut()

    def _find_trailers_end(self, start: int) -> bool:
        end = self.data.find(_EMPTY_LINE, start)
        if end < 0:
            return len(self.data) - start > MAX_CHUNK_LINE and self._cut()
        self._body_end = end + len(_EMPTY_LINE)
        return True

    def _cut(self) -> bool:
        self.is_cut = True
        return True
