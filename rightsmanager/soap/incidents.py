"""What becomes of an exception that nobody foresaw: a line in the log, and a fault that names it.

The line has the type, the first line of the message and the frames, and none of their variables:
those are where keys are.
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
        """Return a refusal itself, and for anything else an InternalError with a logged id.

        What made a part of the server refuse, such as the store's failure, is logged too.
        """
        if isinstance(error, Refusal):
            if error.__cause__ is not None:
                self._note(error.text, error.__cause__)
            return error
        incident = self.new_id()
        self._note(incident, error)
        return InternalError(f"the server failed; its log has the reason under {incident}")

    def _note(self, incident: str, error: BaseException) -> None:
        self.log.error(
            "incident",
            incident=incident,
            error=type(error).__name__,
            message=next(iter(str(error).splitlines()), "")[:_MESSAGE_LIMIT],
            frames=_frames(error),
        )


def _frames(error: BaseException) -> list[str]:
    """Return file, line and function of each frame, of the error and of what it came from."""
    frames = [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    cause = error.__cause__ or error.__context__
    return frames if cause is None else [*_frames(cause), type(cause).__name__, *frames]
