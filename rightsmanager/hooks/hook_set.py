"""The hooks: where an operator's own callables take part in AcquireLicense.

    authorise(Facts)                  returns, or raises a Refusal that the client is told
    choose_grants(Facts, grants)      returns the grants to issue in place of the given ones
    find_content_key(Facts, Kid)      returns 16 bytes, or None to leave it to store and seed; not
                                      asked for a key that the request itself gives
    stream_limit(Facts, holder)       returns how many streams the holder may have, 0 for no limit,
                                      or None to leave it to the settings; asked for licences with
                                      secure stop
    on_event(Event)                       is told of each reply and refusal; returns nothing

All are plain, synchronous functions. The settings name one function, `module:function`, that is
given the options of the settings and returns them as HookSet, once in each worker. A callable
that raises anything but a Refusal, returns something else than it should, or takes longer than
the time limit gives a fault 0x8004c600 and never a licence. `on_event` alone cannot hold anything up:
whatever it does wrong is logged.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final, TypeVar

from rightsmanager.errors import InternalError, Refusal
from rightsmanager.operations.request import Request
from rightsmanager.operations.streams import StreamHolder
from rightsmanager.policy.grants import Grant
from rightsmanager.protocol.wire import Kid

CONTENT_KEY_LENGTH: Final = 16
THREADS: Final = 16
"""How many callables may run at once in a process; one that hangs keeps its thread."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a request once its challenge is verified."""

    device: str
    """Base64 of the SHA-256 of the device's signing key: what tells one device from another."""
    security_level: int
    client_version: str
    kids: tuple[Kid, ...]
    """Those of the content header."""
    custom_data: str | None
    url: str
    """Without its query."""
    query: str
    headers: Mapping[str, str] = field(repr=False)
    """The HTTP headers by lower-case name."""
    remote: str
    """The client's address."""


@dataclass(frozen=True, slots=True)
class Event:
    """What became of a request."""

    operation: str
    device: str = ""
    """As in Facts; empty with a packager, and with a refusal: nobody may be known by then."""
    kids: tuple[Kid, ...] = ()
    """What licences or a packager got; what was acknowledged, played, stopped or deleted."""
    refusal: Refusal | None = None


Note = Callable[[str, BaseException], None]
"""Is told what failed where nobody waits for it, and how."""


def ignore(_what: str, _error: BaseException) -> None:
    """Take no note."""


Authorise = Callable[[Facts], None]
ChooseGrants = Callable[[Facts, tuple[Grant, ...]], tuple[Grant, ...]]
FindContentKey = Callable[[Facts, Kid], bytes | None]
StreamLimit = Callable[[Facts, StreamHolder], int | None]
OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class HookSet:
    """The operator's callables; None where there is none."""

    authorise: Authorise | None = None
    choose_grants: ChooseGrants | None = None
    find_content_key: FindContentKey | None = None
    stream_limit: StreamLimit | None = None
    on_event: OnEvent | None = None


class Hooks:
    """Calls the operator's callables, each within the time limit."""

    def __init__(self, callables: HookSet, seconds: float, note: Note = ignore) -> None:
        self._callables = callables
        self.is_used = callables != HookSet()
        """Whether there is any callable."""
        self._seconds = seconds
        self._note = note
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="hooks")
        self._running: set[Future[Any]] = set()

    def authorise(self, facts: Facts) -> None:
        """Return if the operator's callable lets the request pass, or if there is none."""
        if self._callables.authorise is not None:
            self._call("authorise", self._callables.authorise, facts)

    def choose_grants(self, facts: Facts, grants: tuple[Grant, ...]) -> tuple[Grant, ...]:
        """Return the grants to issue."""
        if self._callables.choose_grants is None:
            return grants
        chosen: Any = self._call("choose_grants", self._callables.choose_grants, facts, grants)
        if not isinstance(chosen, tuple) or not all(isinstance(one, Grant) for one in chosen):
            raise InternalError("the operator's choose_grants returned no tuple of grants")
        return chosen

    def find_content_key(self, facts: Facts, kid: Kid) -> bytes | None:
        """Return the content key of 16 bytes that the operator's callable has, or None."""
        if self._callables.find_content_key is None:
            return None
        key: Any = self._call("find_content_key", self._callables.find_content_key, facts, kid)
        if key is not None and not (isinstance(key, bytes) and len(key) == CONTENT_KEY_LENGTH):
            raise InternalError(
                f"the operator's find_content_key returned no {CONTENT_KEY_LENGTH} bytes "
                f"for KID {kid.text}"
            )
        return key

    def find_stream_limit(self, facts: Facts, holder: StreamHolder) -> int | None:
        """Return how many streams the holder may have by the operator's callable, or None."""
        if self._callables.stream_limit is None:
            return None
        limit: Any = self._call("stream_limit", self._callables.stream_limit, facts, holder)
        if limit is None or (type(limit) is int and limit >= 0):
            return limit
        raise InternalError(
            f"the operator's stream_limit returned no number from 0 for the {holder.name}"
        )

    def on_event(self, event: Event) -> None:
        """Tell the operator's callable of an event; nothing waits for what it does."""
        if self._callables.on_event is not None:
            notify_refusals = self._threads.submit(self._callables.on_event, event)
            notify_refusals.add_done_callback(self._note_failure)

    def _call(self, name: str, function: Callable[..., T], *arguments: object) -> T:
        if len(self._running) >= THREADS:
            raise InternalError(f"the operator's {name} is not called: {THREADS} calls hang")
        future = self._threads.submit(function, *arguments)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        try:
            return future.result(self._seconds)
        except Refusal:
            raise
        except FutureTimeoutError:
            raise InternalError(
                f"the operator's {name} did not answer within {self._seconds:g} s"
            ) from None
        except Exception as error:
            raise InternalError(f"the operator's {name} failed: {type(error).__name__}") from error

    def _note_failure(self, future: "Future[None]") -> None:
        error = future.exception()
        if error is not None:
            self._note("the operator's on_event", error)


def notify_refusals(
    operation: str, answer: Callable[[Request], bytes], hooks: Hooks
) -> Callable[[Request], bytes]:
    """Return the operation, each refusal of which the operator's callable hears of."""

    def answer_and_tell(request: Request) -> bytes:
        try:
            return answer(request)
        except Refusal as refusal:
            hooks.on_event(Event(operation, refusal=refusal))
            raise

    return answer_and_tell if hooks.is_used else answer


def load_hooks(name: str, options: Mapping[str, str]) -> HookSet:
    """Return what the function that the settings name as `module:function` makes of the options.

    Raises InternalError where there is no such function or it makes no HookSet.
    """
    if not name:
        return HookSet()
    module, _, function = name.partition(":")
    try:
        made = getattr(import_module(module), function)(options)
    except Refusal:
        raise
    except Exception as error:
        raise InternalError(
            f"hooks.make = {name!r} failed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(made, HookSet):
        raise InternalError(f"hooks.make = {name!r} made a {type(made).__name__}, no HookSet")
    return made
