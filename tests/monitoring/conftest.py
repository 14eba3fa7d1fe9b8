"""Exchanges of requests that were never sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rightsmanager.hooks.exchange import Exchange
from rightsmanager.hooks.facts import Progress

if TYPE_CHECKING:
    from rightsmanager.errors import Refusal


def exchange(
    operation: str = "AcquireLicense",
    progress: Progress | None = None,
    refusal: Refusal | None = None,
    seconds: float = 0.03125,
    **environ: str,
) -> Exchange:
    """Return an exchange that began at 1.0; all figures are exact as floats."""
    return Exchange(
        request_id="an-id",
        operation=operation,
        environ=environ,
        url="http://127.0.0.1/rightsmanager.asmx",
        progress=progress or Progress(),
        refusal=refusal,
        http_status="500 Internal Server Error" if refusal else "200 OK",
        content_type="text/xml",
        request=b"",
        reply=b"",
        begun=1.0,
        read=1.0078125,
        ended=1.0 + seconds,
    )
