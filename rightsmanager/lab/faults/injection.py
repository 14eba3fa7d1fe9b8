"""Carries out the faults of a world: between its router, its operations and the client.

    Injector.serve                   WSGI: the reply's bytes and its delivery
      the world's router
        Injector.wrap_operations     the choice of faults, and what replaces an operation's work

A fault is chosen where the envelope is parsed: so it acts on requests that name an operation, and
counts each once. The choice is kept in a context variable until the reply is sent.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from rightsmanager.errors import Refusal
from rightsmanager.hooks.exchange import INJECTED
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.lab.faults.altering import ALTERATIONS, REPLACEMENTS, HttpReply
from rightsmanager.lab.faults.choosing import Chosen, choose
from rightsmanager.lab.faults.counts import FILE as COUNTS_FILE
from rightsmanager.lab.faults.counts import Counts
from rightsmanager.lab.faults.delivery import (
    CUTS,
    DELAYED,
    DELAYS,
    Delivery,
    cut,
    delay_seconds,
    wait,
)
from rightsmanager.lab.faults.fault import Fault
from rightsmanager.lab.faults.operating import Means, ServiceOperation, Work, operate
from rightsmanager.lab.faults.toxics import Place
from rightsmanager.operations.context import Context
from rightsmanager.operations.request import Request

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]

_SERVICE: Final = "rightsmanager.asmx"


# No slots: `cached_property` stores its value in the instance's dictionary.
@dataclass(frozen=True)
class Injector:
    """Injects the faults of one world."""

    folder: Path
    """The world's; it has the counts and the older replies."""
    keys: KeyFiles
    """Of the world's keyring."""

    @cached_property
    def counts(self) -> Counts:
        """The counts of the world's faults."""
        return Counts(self.folder / COUNTS_FILE)

    @cached_property
    def means(self) -> Means:
        """The keys and the folder, for effects."""
        return Means(self.folder, self.keys)

    def wrap_operations(
        self, context: Context, operations: Mapping[str, ServiceOperation]
    ) -> Mapping[str, ServiceOperation]:
        """Return the operations of a world, with its faults while `serve` runs."""
        return {name: _wrap(context, name, operation) for name, operation in operations.items()}

    def serve(
        self, faults: Sequence[Fault], wsgi: Wsgi, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer a request by the world's application, with its faults.

        Raises ConnectionResetError to have the server close the connection.
        """
        path: str = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] != "POST" or not path.lower().endswith(_SERVICE):
            return wsgi(environ, start_response)
        call = _Call(self, faults, environ)
        token = _CALL.set(call)
        try:
            reply = _capture(wsgi, environ)
            return call.send(reply, start_response)
        except BaseException:
            call.close()
            raise
        finally:
            _CALL.reset(token)


def _wrap(context: Context, name: str, operation: ServiceOperation) -> ServiceOperation:
    def answer(request: Request) -> bytes:
        call = _CALL.get()
        if call is None:
            return operation(request)
        return call.answer(Work(context, name, operation, request))

    return answer


def _capture(wsgi: Wsgi, environ: Environ) -> HttpReply:
    """Return the reply of an application."""
    begun: list[tuple[str, tuple[tuple[str, str], ...]]] = []

    def start(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> None:
        begun.append((status, tuple(headers)))

    body = b"".join(wsgi(environ, start))
    status, headers = begun[-1]
    return HttpReply(status, headers, body)


@dataclass(slots=True)
class _Call:
    """A request with the faults that act on it."""

    injector: Injector
    faults: Sequence[Fault]
    environ: Environ
    chosen: tuple[Chosen, ...] = ()
    is_delayed: bool = False
    """Whether it has one of the places of delayed replies."""

    # --- within the operation ---

    def answer(self, work: Work) -> bytes:
        """Return the Body's child with the chosen faults; raises a Refusal."""
        self._choose(work)
        child = self._operate(work)
        if any(each.kind == "older-reply" for each in self.faults):
            device = work.request.progress.device
            self.injector.means.older.remember(work.name, device, child)
        return child

    def _choose(self, work: Work) -> None:
        now, counts = work.context.clock(), self.injector.counts
        chosen = choose(self.faults, work.name, now, lambda: work.asking, counts)
        delays = [each for each in chosen if each.fault.kind in DELAYS]
        self.is_delayed = bool(delays) and DELAYED.acquire(blocking=False)
        self._set(chosen)
        if delays and not self.is_delayed:
            self._give_back(delays[0])

    def _set(self, chosen: tuple[Chosen, ...]) -> None:
        self.chosen = chosen
        # The journal's mark, see `journal.building`.
        self.environ[INJECTED] = "; ".join(f"{each.fault.kind} {each.fault.id}" for each in chosen)

    def _give_back(self, unused: Chosen) -> None:
        """Count a fault as not used."""
        self._set(tuple(each for each in self.chosen if each is not unused))
        with self.injector.counts.locked() as tally:
            tally.use(unused.fault, -1)

    def _operate(self, work: Work) -> bytes:
        found = [each for each in self.chosen if each.fault.toxic.place is Place.OPERATION]
        if not found:
            return work.run()
        (chosen,) = found
        try:
            child, is_changed = operate(work, chosen, self.injector.means)
        except Refusal:
            # A refusal of the operation's own leaves nothing to change.
            if not chosen.fault.toxic.refuses:
                self._give_back(chosen)
            raise
        if not is_changed:
            self._give_back(chosen)
        return child

    # --- after it ---

    def send(self, reply: HttpReply, start_response: StartResponse) -> Iterable[bytes]:
        """Send a reply with the chosen faults."""
        for each in self.chosen:
            fault = each.fault
            if fault.kind in REPLACEMENTS:
                reply = REPLACEMENTS[fault.kind](fault, reply)
            elif fault.kind in ALTERATIONS:
                reply = ALTERATIONS[fault.kind](each, reply)
        for each in self.chosen:
            if each.fault.kind == "latency":
                wait(self.environ, delay_seconds(each.fault, each.rng))
        for each in self.chosen:
            if each.fault.kind in CUTS:
                cut(self.environ, each.fault)
        start_response(reply.status, list(reply.headers))
        return Delivery(reply.body, self.chosen, self.environ, self.close)

    def close(self) -> None:
        """Free the place of a delayed reply."""
        if self.is_delayed:
            self.is_delayed = False
            DELAYED.release()


_CALL: Final[ContextVar[_Call | None]] = ContextVar("call", default=None)
"""The request that this thread answers."""
