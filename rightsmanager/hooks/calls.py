"""Calls of hooks, each within a time limit.

A hook that raises anything but a Refusal, returns a value of the wrong type, or takes longer than
the time limit results in a fault 0x8004c600 and never in a licence. `on_event` delays nothing: its
failures are only logged.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, Final, Protocol, TypeVar

from rightsmanager.errors import InternalError, Refusal
from rightsmanager.hooks.facts import Event, Facts, Progress, StreamHolder
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.policy.grants import Grant
from rightsmanager.protocol.wire import Kid

CONTENT_KEY_LENGTH: Final = 16
# A call that never returns keeps its thread: more would exhaust the process.
MAX_CALLS: Final = 16
"""Most calls at once in a process."""

# The store's column for holders has 64 characters.
MAX_USER: Final = 58
"""Longest name of a user, in characters."""

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
        self._seconds = seconds
        self._report_failure = report_failure
        self._threads = ThreadPoolExecutor(MAX_CALLS, thread_name_prefix="hooks")
        self._running: set[Future[Any]] = set()

    def authorise(self, facts: Facts) -> None:
        """Raise the hook's Refusal unless it lets the request pass."""
        if self._hooks.authorise is not None:
            self._call("authorise", self._hooks.authorise, facts)

    @property
    def authorises_operations(self) -> bool:
        """True if there is a hook for other operations than AcquireLicense."""
        return self._hooks.authorise_operation is not None

    def authorise_operation(self, facts: Facts) -> None:
        """Raise the hook's Refusal unless it lets the request pass."""
        if self._hooks.authorise_operation is not None:
            self._call("authorise_operation", self._hooks.authorise_operation, facts)

    def choose_grants(self, facts: Facts, grants: tuple[Grant, ...]) -> tuple[Grant, ...]:
        """Return the grants to issue."""
        if self._hooks.choose_grants is None:
            return grants
        # Any: the operator's code may return a value of any type.
        chosen: Any = self._call("choose_grants", self._hooks.choose_grants, facts, grants)
        if not isinstance(chosen, tuple) or not all(isinstance(one, Grant) for one in chosen):
            raise InternalError("the operator's choose_grants returned no tuple of grants")
        return chosen

    def find_content_key(self, facts: Facts, kid: Kid) -> bytes | None:
        """Return the content key of 16 bytes that the hook has, or None."""
        if self._hooks.find_content_key is None:
            return None
        key: Any = self._call("find_content_key", self._hooks.find_content_key, facts, kid)
        if key is not None and not (isinstance(key, bytes) and len(key) == CONTENT_KEY_LENGTH):
            raise InternalError(
                f"the operator's find_content_key returned no {CONTENT_KEY_LENGTH} bytes "
                f"for KID {kid.text}"
            )
        return key

    def find_reply_custom_data(self, facts: Facts) -> str | None:
        """Return the CustomData of the reply, or None."""
        if self._hooks.reply_custom_data is None:
            return None
        text: Any = self._call("reply_custom_data", self._hooks.reply_custom_data, facts)
        if text is not None and not isinstance(text, str):
            raise InternalError("the operator's reply_custom_data returned no text")
        return text

    def find_stream_user(self, facts: Facts, grant: Grant) -> str | None:
        """Return the name of the user whose streams are counted, or None."""
        if self._hooks.stream_user is None:
            return None
        user: Any = self._call("stream_user", self._hooks.stream_user, facts, grant)
        if user is None or (isinstance(user, str) and 0 < len(user) <= MAX_USER):
            return user
        raise InternalError(
            f"the operator's stream_user returned no text of 1 to {MAX_USER} characters"
        )

    def find_stream_limit(self, facts: Facts, holder: StreamHolder) -> int | None:
        """Return the number of streams that the hook allows the holder, or None."""
        if self._hooks.stream_limit is None:
            return None
        limit: Any = self._call("stream_limit", self._hooks.stream_limit, facts, holder)
        # type() and not isinstance(): True is an int.
        if limit is None or (type(limit) is int and limit >= 0):
            return limit
        raise InternalError(
            f"the operator's stream_limit returned no number from 0 for the {holder.name}"
        )

    def on_event(self, event: Event) -> None:
        """Pass an event to the hook without waiting for it."""
        if self._hooks.on_event is not None:
            future = self._threads.submit(self._hooks.on_event, event)
            future.add_done_callback(self._report_event_failure)

    def _call(self, name: str, hook: Callable[..., T], *arguments: object) -> T:
        if len(self._running) >= MAX_CALLS:
            raise InternalError(f"the operator's {name} is not called: {MAX_CALLS} calls hang")
        future = self._threads.submit(hook, *arguments)
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

    def _report_event_failure(self, future: "Future[None]") -> None:
        error = future.exception()
        if error is not None:
            self._report_failure("the operator's on_event", error)


class HasProgress(Protocol):
    """A request, as far as events need it."""

    @property
    def progress(self) -> Progress:
        """The parts of the request that are known so far."""


_Request = TypeVar("_Request", bound=HasProgress)


def with_events(
    operation: str, answer: Callable[[_Request], bytes], hooks: Hooks
) -> Callable[[_Request], bytes]:
    """Return an operation that passes each of its replies and refusals to the hook `on_event`."""

    def answer_and_notify(request: _Request) -> bytes:
        refusal: Refusal | None = None
        try:
            return answer(request)
        except Refusal as error:
            refusal = error
            raise
        finally:
            progress = request.progress
            hooks.on_event(Event(operation, progress.device, progress.kids, refusal))

    return answer_and_notify if hooks.is_used else answer
