"""The structured log: one line per event, for people or for machines."""

import logging
import sys
from collections.abc import Iterable
from typing import Final

import structlog

from rightsmanager.errors import Refusal
from rightsmanager.settings import LogSettings

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def configure_logs(settings: LogSettings) -> None:
    """Send events of the configured level and above to standard error."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"])
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=_make_writer,
        cache_logger_on_first_use=True,
    )


class EventWriter(structlog.WriteLogger):
    """Writes events into a file; an event that cannot be written is lost."""

    def msg(self, message: str) -> None:
        """Write an event."""
        try:
            with self._lock:
                self._write(f"{message}\n")
                self._flush()
        except (OSError, ValueError):
            # On a full disk, requests are still answered; ValueError is that of a closed file.
            return

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def _make_writer(*_: object) -> EventWriter:
    return EventWriter(sys.stderr)


def log_failure(what: str, error: BaseException) -> None:
    """Log a failure that no request waits for."""
    log = structlog.get_logger("rightsmanager")
    log.error("failure", what=what, error=type(error).__name__)


def log_wrong_token(remote: str, attempts: int) -> None:
    """Log a wrong token of the API or the console: the client's address, and how many it sent."""
    structlog.get_logger("rightsmanager").warning(
        "api_token_refused", remote=remote, attempts=attempts
    )


def log_reload(refusal: Refusal | None = None) -> None:
    """Log that the settings and keys were read again, or why they were not."""
    log = structlog.get_logger("rightsmanager")
    if refusal is None:
        log.info("reloaded")
    else:
        log.error("reload_failed", text=refusal.text)


def log_check(name: str, *, is_ok: bool, text: str, detail: str) -> None:
    """Log that a check of readiness failed, or is well again."""
    log = structlog.get_logger("rightsmanager")
    if is_ok:
        log.info("ready", check=name, text=text)
    else:
        log.warning("not_ready", check=name, text=text, detail=detail)


def log_deprecations(warnings: Iterable[str]) -> None:
    """Log the use of settings by their old names."""
    log = structlog.get_logger("rightsmanager")
    for warning in warnings:
        log.warning("deprecated_setting", text=warning)
