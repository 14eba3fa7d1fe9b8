"""Calls of hooks, each within a time limit.

A hook that raises anything but a Refusal, returns a value of the wrong type, or takes longer than
the time limit results in a fault 0x8004c600 and never in a licence. `on_event` delays nothing: its
failures are only logged.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from copy import copy
from typing import Any, Final, Protocol, TypeVar, cast

from rightsmanager.errors import InternalError, Refusal
from rightsmanager.hooks.choice import (
    AS_REQUESTED,
    MAX_USER,
    Choice,
    is_content_key,
    is_number,
    is_user,
)
from rightsmanager.hooks.facts import Event, Facts, Progress, StreamHolder
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.policy.grants import Grant
from rightsmanager.protocol.wire import CONTENT_KEY_LENGTH, Kid

# A call that never returns keeps its thread: more would exhaust the process.
MAX_CALLS: Final = 64
"""Most calls at once in a process."""
EVENT_THREADS: Final = 4
MAX_EVENTS: Final = 10_000
"""Most events that wait in a process; further ones are dropped."""

ReportFailure = Callable[[str, BaseException], None]
"""Receives the name of a hook that failed while no request waited for it, and the error."""

T = TypeVar("T")


def ignore_failure(_hook: str, _error: BaseException) -> None:
    """Do nothing."""


class Hooks:
    """Calls the operator's functions, each within the time limit."""

    def __init__(
        self, hooks: HookSet, seconds: float, report_failure: ReportFailure = ignore_failure
    ) -> None:
        self._hooks = hooks
        self.is_used = hooks != HookSet()
        """True if there is any hook."""
        self.finds_content_keys = hooks.find_content_key is not None
        """True if there is a hook that has content keys."""
        self._seconds = seconds
        self._report_failure = report_failure
        self._threads = ThreadPoolExecutor(MAX_CALLS, thread_name_prefix="hooks")
        self._running: set[Future[Any]] = set()
        # Of their own: slow events must not delay decisions.
        self._event_threads = ThreadPoolExecutor(EVENT_THREADS, thread_name_prefix="events")
        self._events: set[Future[None]] = set()
        self._drops_events = False

    def decide(self, progress: Progress, facts: Facts, grants: tuple[Grant, ...] = ()) -> Choice:
        """Return the choice of the hooks for a request; raises their Refusal.

        grants: the licences of an AcquireLicense request, empty for other operations.
        """
        if self._hooks.authorise is not None:
            self._call("authorise", self._hooks.authorise, facts)
        choice = self._choose(facts, grants)
        progress.reply_custom_data = choice.custom_data
        progress.decided = progress.clock()
        return choice

    def _choose(self, facts: Facts, grants: tuple[Grant, ...]) -> Choice:
        if self._hooks.choose is None:
            return AS_REQUESTED
        # Any: the operator's code may return a value of any type.
        choice: Any = self._call("choose", self._hooks.choose, facts, grants)
        if choice is None:
            return AS_REQUESTED
        if not isinstance(choice, Choice):
            raise InternalError(
                f"the operator's choose returned a {type(choice).__name__}, expected a Choice"
            )
        return choice

    def find_content_key(self, facts: Facts, kid: Kid) -> bytes | None:
        """Return the content key of 16 bytes that the hook has, or None."""
        if self._hooks.find_content_key is None:
            return None
        key: Any = self._call("find_content_key", self._hooks.find_content_key, facts, kid)
        if key is not None and not is_content_key(key):
            raise InternalError(
                f"the operator's find_content_key returned no {CONTENT_KEY_LENGTH} bytes "
                f"for KID {kid.text}"
            )
        return cast("bytes | None", key)

    def find_stream_user(self, facts: Facts, grant: Grant) -> str | None:
        """Return the name of the user whose streams are counted, or None."""
        if self._hooks.stream_user is None:
            return None
        user: Any = self._call("stream_user", self._hooks.stream_user, facts, grant)
        if user is None or is_user(user):
            return cast("str | None", user)
        raise InternalError(
            f"the operator's stream_user returned no text of 1 to {MAX_USER} characters that XML "
            "allows"
        )

    def find_stream_limit(self, facts: Facts, holder: StreamHolder) -> int | None:
        """Return the number of streams that the hook allows the holder, or None."""
        if self._hooks.stream_limit is None:
            return None
        limit: Any = self._call("stream_limit", self._hooks.stream_limit, facts, holder)
        if limit is None or is_number(limit):
            return cast("int | None", limit)
        raise InternalError(
            f"the operator's stream_limit returned no number from 0 for the {holder.name}"
        )

    def on_event(self, event: Event) -> None:
        """Pass an event to the hook without waiting for it."""
        if self._hooks.on_event is None:
            return
        if len(self._events) >= MAX_EVENTS:
            self._drop_event()
            return
        self._drops_events = False
        future = self._event_threads.submit(self._hooks.on_event, event)
        self._events.add(future)
        future.add_done_callback(self._end_event)

    def _drop_event(self) -> None:
        # Reported once for each time of congestion.
        if not self._drops_events:
            self._drops_events = True
            reason = InternalError(f"events are dropped: {MAX_EVENTS} wait")
            self._report_failure("the operator's on_event", reason)

    def _call(self, name: str, hook: Callable[..., T], *arguments: object) -> T:
        if len(self._running) >= MAX_CALLS:
            raise InternalError(
                f"the operator's {name} is not called: {MAX_CALLS} calls run already"
            )
        future = self._threads.submit(hook, *arguments)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        try:
            return future.result(self._seconds)
        except Refusal:
            raise
        except Exception as error:
            # A hook may raise the same class for a timeout of its own.
            if isinstance(error, FutureTimeoutError) and not _is_raised_by(future, error):
                raise InternalError(
                    f"the operator's {name} did not answer within {self._seconds:g} s"
                ) from None
            # The log has the cause; its class is the operator's own matter.
            raise InternalError(f"the operator's {name} failed, expected a Refusal") from error

    def _end_event(self, future: "Future[None]") -> None:
        self._events.discard(future)
        error = future.exception()
        if error is not None:
            self._report_failure("the operator's on_event", error)


def _is_raised_by(future: Future[Any], error: BaseException) -> bool:
    return future.done() and future.exception() is error


class Observed(Protocol):
    """A request, as far as events need it."""

    @property
    def progress(self) -> Progress:
        """The parts of the request that are known so far."""

    @property
    def request_id(self) -> str:
        """The id of the request in the log."""


_Request = TypeVar("_Request", bound=Observed)


def _with_custom_data(refusal: Refusal, custom_data: str | None) -> Refusal:
    """Return the refusal with CustomData, unless it has some of its own."""
    if custom_data is None or refusal.custom_data is not None:
        return refusal
    # A copy: a hook may raise one refusal for many requests.
    copied = copy(refusal)
    copied.custom_data = custom_data
    return copied


def with_hooks(
    operation: str, answer: Callable[[_Request], bytes], hooks: Hooks
) -> Callable[[_Request], bytes]:
    """Return an operation that passes each of its replies and refusals to the hook `on_event`.

    A refusal without CustomData gets the one that a hook chose for the reply.
    """

    def answer_and_notify(request: _Request) -> bytes:
        progress = request.progress
        refusal: Refusal | None = None
        try:
            return answer(request)
        except Refusal as error:
            refusal = _with_custom_data(error, progress.reply_custom_data)
            raise refusal from error.__cause__
        finally:
            hooks.on_event(
                Event(operation, progress.device, progress.kids, refusal, request.request_id)
            )

    return answer_and_notify if hooks.is_used else answer
