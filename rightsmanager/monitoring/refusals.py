"""Counts the refusals that are not the service's own: of pages, console, API and HTTP itself."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from rightsmanager.monitoring.shared_cells import SharedCells

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_FIRST: Final = "4"
"""Statuses of refusals are this text or later ones."""


def count_refusals(application: Wsgi, cells: SharedCells) -> Wsgi:
    """Return an application whose answers with a status of 400 or more are counted."""

    def counted(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:  # noqa: ANN401 -- WSGI's own
            if status >= _FIRST:
                cells.count_refusal(status)
            return start_response(status, headers, exc_info)

        return application(environ, start)

    return counted
