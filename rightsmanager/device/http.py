"""Reaches servers: one POST, sent again to where a redirect points."""

import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

from rightsmanager.errors import ConnectionFailed, InternalError
from rightsmanager.files import make_folder, write_output

Post = Callable[[str, str, bytes], bytes]
"""Posts a body to a URL with a SOAPAction and returns the body of the answer."""

WARNING_HEADER: Final = "X-RightsManager-Warning"
"""One for each warning of the server about a request."""
TIMEOUT_SECONDS: Final = 30
MAX_REDIRECTS: Final = 5
_FAULT: Final = 500
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_TYPES: Final = frozenset({"text/xml", "application/soap+xml", "application/xml"})
_HINTS: Final = {
    404: "; the path of the service ends in rightsmanager.asmx",
    413: "; the server's limit is server.max_body or metering.max_body",
}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    # urllib follows 301 to 303 by GET, which drops the challenge, and refuses 307 and 308.
    def redirect_request(self, *_args: object, **_more: object) -> None:
        return None


def ignore_warning(_text: str) -> None:
    """Ignore a warning."""


@dataclass(frozen=True, slots=True)
class HttpClient:
    """Posts SOAP 1.1; calling it is a `Post`.

    A server by https has to have a certificate that the context, or else the system, trusts.
    """

    context: ssl.SSLContext | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """In addition to those of SOAP."""
    on_warning: Callable[[str], None] = field(default=ignore_warning, repr=False)
    """Takes the text of each warning of the server, before its answer is returned."""

    def __call__(self, url: str, action: str, body: bytes) -> bytes:
        """Return the answer, a fault's too; raises ConnectionFailed for others."""
        _refuse_other_scheme(url)
        target, headers = url, dict(self.headers)
        for _ in range(MAX_REDIRECTS + 1):
            answer, location = self._send(target, action, body, headers)
            if location is None:
                return answer
            if _origin(location) != _origin(target):
                # A token is for the server that it was given for.
                headers.pop("Authorization", None)
            target = location
        raise ConnectionFailed(f"{url} redirects more than {MAX_REDIRECTS} times")

    def _send(
        self, url: str, action: str, body: bytes, more: Mapping[str, str]
    ) -> tuple[bytes, str | None]:
        """Return the answer, or the URL of a redirect."""
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{action}"', **more}
        handlers = [_NoRedirect(), urllib.request.HTTPSHandler(context=self.context)]
        try:
            request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 -- checked
            opener = urllib.request.build_opener(*handlers)
            with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                self._check_headers(url, answer.headers)
                return bytes(answer.read()), None
        except urllib.error.HTTPError as error:
            with error:
                if error.code in _REDIRECTS:
                    return b"", _location(url, error)
                if error.code != _FAULT:
                    hint = _HINTS.get(error.code, "")
                    raise ConnectionFailed(f"{url} answered HTTP {error.code}{hint}") from None
                self._check_headers(url, error.headers)
                return error.read(), None
        except (OSError, ValueError, http.client.HTTPException) as error:
            # An invalid URL is the second or the third kind, an invalid answer the third.
            raise ConnectionFailed(f"{url} cannot be reached: {_reason(error)}") from None

    def _check_headers(self, url: str, headers: Message) -> None:
        """Raise ConnectionFailed for another type than XML, and pass warnings on."""
        _refuse_type(url, headers)
        for text in headers.get_all(WARNING_HEADER, ()):
            self.on_warning(text)


def _refuse_type(url: str, headers: Message) -> None:
    """Raise ConnectionFailed for an answer that says that it is not XML."""
    if "Content-Type" in headers and headers.get_content_type() not in _TYPES:
        named = headers.get_content_type()
        raise ConnectionFailed(f"{url} answered {named[:64]}, expected text/xml (SOAP)")


def _location(url: str, error: urllib.error.HTTPError) -> str:
    location = error.headers.get("Location")
    if not location:
        raise ConnectionFailed(f"{url} redirects without a Location (HTTP {error.code})")
    target = urljoin(url, location)
    _refuse_other_scheme(target)
    if url.startswith("https://") and not target.startswith("https://"):
        raise ConnectionFailed(f"{url} redirects to {target}, which is not https")
    return target


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _refuse_other_scheme(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise InternalError(f"the URL {url!r} is neither http nor https")


def _reason(error: Exception) -> str:
    """Return the reason in words, with what to do about the usual ones."""
    cause = getattr(error, "reason", error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"{cause.verify_message}; name its certificate with --cafile"
    if isinstance(cause, ConnectionRefusedError):
        return "connection refused; is the server running?"
    return str(getattr(cause, "strerror", None) or cause)


post: Final = HttpClient()
"""Posts with the trust of the system."""


def post_trusting(cafile: Path, headers: Mapping[str, str] | None = None) -> HttpClient:
    """Return a client that trusts the PEM certificates of a file; raises InternalError."""
    return HttpClient(trusting_context(cafile), headers or {})


def trusting_context(cafile: Path) -> ssl.SSLContext:
    """Return a TLS context that trusts the PEM certificates of a file; raises InternalError."""
    try:
        return ssl.create_default_context(cafile=cafile)
    except ssl.SSLError:
        raise InternalError(f"{cafile} holds no certificate in PEM") from None
    except OSError as error:
        raise InternalError(f"{cafile} cannot be read: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class SavingPost:
    """A `Post` that writes each request and answer into a folder, numbered from 001."""

    post: Post
    folder: Path

    def __call__(self, url: str, action: str, body: bytes) -> bytes:
        """Return the answer; raises what the inner `post` raises, and InternalError."""
        make_folder(self.folder)
        name = f"{self._next_number():03d}-{action.rpartition('/')[2]}"
        write_output(self.folder / f"{name}-challenge.xml", body)
        answer = self.post(url, action, body)
        write_output(self.folder / f"{name}-reply.xml", answer)
        return answer

    def _next_number(self) -> int:
        numbers = (file.name.partition("-")[0] for file in self.folder.glob("*-challenge.xml"))
        return max((int(each) for each in numbers if each.isdecimal()), default=0) + 1
