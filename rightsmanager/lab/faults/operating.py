"""Effects in place of an operation's work, or within it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from rightsmanager.errors import InternalError
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.lab.faults.asking import Asking, find_asking
from rightsmanager.lab.faults.choosing import Chosen
from rightsmanager.lab.faults.licensing import CHANGES, change_reply
from rightsmanager.lab.faults.older import OlderReplies
from rightsmanager.lab.faults.refusals import refusal_of
from rightsmanager.lab.faults.signing import expired_signing, foreign_signing
from rightsmanager.operations.context import Context, Signing
from rightsmanager.operations.request import Request
from rightsmanager.operations.table import bind_operations

ServiceOperation = Callable[[Request], bytes]
REPLIES_FOLDER: Final = "faults.replies"


# No slots: `cached_property` stores its value in the instance's dictionary.
@dataclass(frozen=True)
class Means:
    """The keys and the folder of a world, for its faults."""

    folder: Path
    keys: KeyFiles
    """Of the world's keyring."""

    @cached_property
    def older(self) -> OlderReplies:
        """The remembered replies."""
        return OlderReplies(self.folder / REPLIES_FOLDER)

    @cached_property
    def expired(self) -> Signing:
        """A signer whose certificate has expired; raises InternalError without its issuer."""
        return expired_signing(self.keys)


# No slots, as above.
@dataclass(frozen=True)
class Work:
    """A request to an operation of a world."""

    context: Context
    name: str
    operation: ServiceOperation
    request: Request

    @cached_property
    def asking(self) -> Asking:
        """The client, before the operation sees it."""
        return find_asking(self.context, self.name, self.request.envelope)

    def run(self) -> bytes:
        """Return the operation's reply."""
        return self.operation(self.request)

    def run_in(self, context: Context, request: Request) -> bytes:
        """Return the operation's reply in an altered context."""
        return bind_operations(context)[self.name](request)


Effect = Callable[[Work, Chosen, Means], tuple[bytes, bool]]
"""Returns the Body's child, and whether the fault changed it; raises a Refusal."""


def operate(work: Work, chosen: Chosen, means: Means) -> tuple[bytes, bool]:
    """Return the Body's child with a fault, and whether the fault changed it."""
    kind = chosen.fault.kind
    if kind in CHANGES:
        return change_reply(work.context, work.request, chosen, means.keys, work.run_in)
    return EFFECTS[kind](work, chosen, means)


def _refuse(work: Work, chosen: Chosen, _means: Means) -> tuple[bytes, bool]:
    work.asking.note(work.request.progress)
    raise refusal_of(chosen.fault, work.context, work.request.url)


def _replace(work: Work, chosen: Chosen, _means: Means) -> tuple[bytes, bool]:
    # The client gets another reply: see `altering.REPLACEMENTS` and `delivery.CUTS`.
    work.asking.note(work.request.progress)
    raise InternalError(f"a fault of the kind {chosen.fault.kind} was injected")


def _answer(work: Work, chosen: Chosen, means: Means) -> tuple[bytes, bool]:
    query = chosen.fault.optional("query")
    if query is None:
        return _replace(work, chosen, means)
    return work.operation(replace(work.request, query=query)), True


def _sign(work: Work, signing: Signing) -> tuple[bytes, bool]:
    return work.run_in(replace(work.context, signing=signing), work.request), True


def _sign_foreign(work: Work, _chosen: Chosen, _means: Means) -> tuple[bytes, bool]:
    return _sign(work, foreign_signing())


def _sign_expired(work: Work, _chosen: Chosen, means: Means) -> tuple[bytes, bool]:
    return _sign(work, means.expired)


def _repeat_older(work: Work, _chosen: Chosen, means: Means) -> tuple[bytes, bool]:
    child = work.run()
    older = means.older.find(work.name, work.request.progress.device)
    return (child, False) if older is None else (older, True)


EFFECTS: Final[Mapping[str, Effect]] = {
    "status": _refuse,
    "fault-with-200": _refuse,
    "http-status": _replace,
    "cut-before": _replace,
    "answer": _answer,
    "foreign-signer": _sign_foreign,
    "expired-signer": _sign_expired,
    "older-reply": _repeat_older,
}
"""The effect of each toxic at this place but those of `licensing.CHANGES`."""
