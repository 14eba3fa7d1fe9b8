"""How a device reaches a server: one POST."""

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from rightsmanager.errors import ConnectionFailed, InternalError

Post = Callable[[str, str, bytes], bytes]
"""Posts a body to a URL for an operation and returns the body of the answer."""

TIMEOUT_SECONDS: Final = 30
_FAULT: Final = 500
_HINTS: Final = {
    404: "; the path of the service ends in rightsmanager.asmx",
    413: "; the server's limit is server.max_body or metering.max_body",
}
_NO_HEADERS: Final[Mapping[str, str]] = {}


def post_trusting(cafile: Path, more_headers: Mapping[str, str] = _NO_HEADERS) -> Post:
    """Return a way to post by https to servers that prove themselves by a certificate of the file.

    Raises InternalError if it holds none.
    """
    try:
        context = ssl.create_default_context(cafile=cafile)
    except ssl.SSLError:
        raise InternalError(f"{cafile} holds no certificate in PEM") from None
    except OSError as error:
        raise InternalError(f"{cafile} cannot be read: {error.strerror}") from None
    return partial(post, context=context, more_headers=more_headers)


def post(
    url: str,
    action: str,
    body: bytes,
    context: ssl.SSLContext | None = None,
    more_headers: Mapping[str, str] = _NO_HEADERS,
) -> bytes:
    """Return the answer to a SOAP 1.1 request, a fault's too; raises InternalError for others.

    By https the server must prove itself by what the context trusts, or by what the system does.
    """
    if not url.startswith(("http://", "https://")):
        raise InternalError(f"the URL {url!r} is neither http nor https")
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{action}"'}
    headers |= more_headers
    try:
        request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 -- checked
        with urllib.request.urlopen(  # noqa: S310
            request, timeout=TIMEOUT_SECONDS, context=context
        ) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            if error.code != _FAULT:
                hint = _HINTS.get(error.code, "")
                raise ConnectionFailed(f"{url} answered HTTP {error.code}{hint}") from None
            return error.read()
    except (OSError, ValueError, http.client.HTTPException) as error:
        # A URL that is none is the second kind or the third, an answer that is none the third.
        raise ConnectionFailed(f"{url} cannot be reached: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """Return the reason in words, with what to do about the usual ones."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"{cause.verify_message}; name its certificate with --cafile"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused; is the server running?"
    return str(getattr(cause, "strerror", None) or cause)
