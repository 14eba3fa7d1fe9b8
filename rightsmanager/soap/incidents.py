"""Unexpected exceptions become a line in the log and a fault that names the line.

The line has the exception's type, the first line of its message and its frames, but no variables,
since those may contain keys.
"""

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from rightsmanager.errors import InternalError, Refusal

_MESSAGE_LIMIT: Final = 200


def _new_id() -> str:
    return os.urandom(6).hex()


@dataclass(frozen=True, slots=True)
class Incidents:
    """Turns exceptions into refusals."""

    log: Any = field(default_factory=lambda: structlog.get_logger("rightsmanager").bind())
    """A structlog logger."""
    new_id: Callable[[], str] = _new_id

    def refusal(self, error: Exception) -> Refusal:
        """Return a refusal itself, and for any other error an InternalError with a logged id.

        The cause of a refusal, such as a failure of the store, is logged too, and the refusal's
        text names that line as well.
        """
        if isinstance(error, Refusal):
            if error.__cause__ is not None:
                incident = self.new_id()
                self._note(incident, error.__cause__, reason=str(error))
                # Not of `text`: a hook may raise one refusal many times.
                error.text = f"{error} (incident {incident})"
            return error
        incident = self.note(error)
        return InternalError(f"the server failed; its log has the reason under {incident}")

    def note(self, error: BaseException, **facts: str) -> str:
        """Log an error that is not a refusal; return the id of its line."""
        incident = self.new_id()
        self._note(incident, error, **facts)
        return incident

    def _note(self, incident: str, error: BaseException, **facts: str) -> None:
        self.log.error(
            "incident",
            incident=incident,
            **facts,
            error=type(error).__name__,
            message=next(iter(str(error).splitlines()), "")[:_MESSAGE_LIMIT],
            frames=_frames(error),
        )


def _frames(error: BaseException) -> list[str]:
    """Return file, line and function of each frame of the error and its causes."""
    frames = [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    cause = error.__cause__ or error.__context__
    return frames if cause is None else [*_frames(cause), type(cause).__name__, *frames]
