"""Calls of the back end: signed POSTs over pooled connections, each within its time.

Anything but a signed answer of the documented form with the status 200 is a failure: a connection
that is refused or breaks, silence, a slow answer, a redirect, another status, too many bytes. The
text of each failure reads after "the hooks' back end".
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, TypeVar

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from rightsmanager import __version__
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InternalError, InvalidMessage, Refusal
from rightsmanager.hooks.backend.breaker import CircuitBreaker, CountCall, count_nothing
from rightsmanager.hooks.backend.signing import (
    NONCE,
    NONCE_LENGTH,
    SIGNATURE,
    TIMESTAMP,
    sign_request,
    verify_answer,
)
from rightsmanager.hooks.calls import EVENT_THREADS, MAX_CALLS

MAX_ANSWER: Final = 1 << 20
"""Longest answer, in bytes."""
MAX_CONNECTIONS: Final = MAX_CALLS + EVENT_THREADS
"""Connections of a process that are kept, as many as calls and events that run at once."""
_CHUNK: Final = 1 << 16
_ATTEMPTS: Final = 2


@dataclass(frozen=True, slots=True)
class BackEndOptions:
    """The address of a back end and the limits of its calls."""

    url: str
    secret: bytes = field(repr=False)
    connect_seconds: float = 1.0
    answer_seconds: float = 3.0
    """Longest time of a call after its connection."""
    max_failures: int = 5
    retry_seconds: float = 5.0


Answer = TypeVar("Answer")
_Verify = Callable[[str, bytes, str], None]
"""Raises CallFailed unless an answer to a nonce has that signature."""


class CallFailed(Exception):  # noqa: N818 -- a reason, which becomes an InternalError
    """A call without a valid answer; its text reads after "the hooks' back end"."""


class _Broken(CallFailed):
    """A connection that ended before the answer: a kept one, or the back end is restarted."""


class BackEnd:
    """Calls the back end; thread-safe. Connections are opened at the first call."""

    def __init__(
        self,
        options: BackEndOptions,
        rng: Rng,
        unix_time: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        count: CountCall = count_nothing,
    ) -> None:
        self._options = options
        self._rng = rng
        self._unix_time = unix_time
        self._clock = clock
        self._breaker = CircuitBreaker(options.max_failures, options.retry_seconds, clock, count)
        self._path = urllib3.util.parse_url(options.url).path or ""
        self._pool = urllib3.connection_from_url(
            options.url, maxsize=MAX_CONNECTIONS, retries=False
        )

    def ask(
        self, call: str, document: Mapping[str, object], read: Callable[[object], Answer]
    ) -> Answer:
        """Return the answer that `read` makes of a JSON document.

        Raises InternalError for every failure; `read` raises a Refusal for an invalid document.
        """
        self._breaker.refuse_open()
        try:
            answer = _parse(self._post(call, document, self._verify), read)
        except CallFailed as failure:
            self._breaker.record_failure(str(failure))
            raise InternalError(f"the hooks' back end {failure}") from failure
        self._breaker.record_success()
        return answer

    def tell(self, call: str, document: Mapping[str, object]) -> None:
        """Post a document whose answer does not matter; raises InternalError for every failure."""
        try:
            self._post(call, document, _accept)
        except CallFailed as failure:
            raise InternalError(f"the hooks' back end {failure}") from failure

    def _post(self, call: str, document: Mapping[str, object], verify: _Verify) -> bytes:
        body = json.dumps(document, separators=(",", ":")).encode()
        deadline = self._clock() + self._options.connect_seconds + self._options.answer_seconds
        for attempt in range(_ATTEMPTS):
            try:
                return self._attempt(call, body, deadline, verify)
            except _Broken:
                # A kept connection may end at any time, such as when the back end is restarted.
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError

    def _attempt(self, call: str, body: bytes, deadline: float, verify: _Verify) -> bytes:
        nonce = self._rng(NONCE_LENGTH).hex()
        headers = self._sign(nonce, body)
        try:
            response = self._pool.urlopen(
                "POST",
                f"{self._path.rstrip('/')}/{call}",
                body=body,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=urllib3.Timeout(
                    connect=self._options.connect_seconds, read=self._options.answer_seconds
                ),
            )
            try:
                answer = self._read(response, deadline)
            except BaseException:
                # The rest of an unread answer must not be read as the next one.
                response.close()
                raise
            response.release_conn()
        except HTTPError as error:
            raise self._failure(error) from error
        verify(nonce, answer, response.headers.get(SIGNATURE, ""))
        return answer

    def _sign(self, nonce: str, body: bytes) -> dict[str, str]:
        timestamp = self._unix_time()
        return {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "User-Agent": f"rightsmanager/{__version__}",
            TIMESTAMP: str(timestamp),
            NONCE: nonce,
            SIGNATURE: sign_request(self._options.secret, timestamp, nonce, body),
        }

    def _read(self, response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
        if response.status != HTTPStatus.OK:
            raise CallFailed(f"answered HTTP {response.status}, expected {HTTPStatus.OK}")
        chunks: list[bytes] = []
        length = 0
        while chunk := response.read1(_CHUNK):
            chunks.append(chunk)
            length += len(chunk)
            if length > MAX_ANSWER:
                raise CallFailed(f"answered more than {MAX_ANSWER} bytes")
            # Each chunk has a timeout of its own, so that slow ones would add up.
            if self._clock() > deadline:
                raise CallFailed(self._too_slow())
        return b"".join(chunks)

    def _verify(self, nonce: str, answer: bytes, signature: str) -> None:
        try:
            verify_answer(self._options.secret, nonce, answer, signature)
        except InvalidMessage as refusal:
            raise CallFailed(f"sent an answer that {refusal.text}") from None

    def _failure(self, error: HTTPError) -> CallFailed:
        """Return the failure without addresses, since the client reads it."""
        if isinstance(error, ReadTimeoutError):
            return CallFailed(self._too_slow())
        if isinstance(error, ConnectTimeoutError | NewConnectionError):
            return CallFailed(f"cannot be reached: {_reason(error)}")
        if isinstance(error, SSLError):
            return CallFailed("fails the TLS handshake")
        if isinstance(error, ProtocolError):
            return _Broken("closed the connection before its answer")
        return CallFailed(f"answered no HTTP: {type(error).__name__}")

    def _too_slow(self) -> str:
        return f"did not answer within {self._options.answer_seconds:g} s"


def _reason(error: HTTPError) -> str:
    """Return the operating system's reason for a missing connection."""
    reason = getattr(error.__cause__, "strerror", None)
    return str(reason) if reason else "it did not accept the connection in time"


def _accept(_nonce: str, _answer: bytes, _signature: str) -> None:
    """Accept any answer."""


def _parse(answer: bytes, read: Callable[[object], Answer]) -> Answer:
    try:
        return read(json.loads(answer))
    except (ValueError, RecursionError):
        raise CallFailed("sent an answer that is not JSON") from None
    except Refusal as refusal:
        raise CallFailed(f"sent an invalid answer: {refusal.text}") from None
