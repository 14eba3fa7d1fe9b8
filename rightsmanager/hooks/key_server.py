"""Content keys from an HTTP key server: `GET URL/KID` returns JSON with the key.

    [hooks]
    make = "rightsmanager.hooks.key_server:make"
    [hooks.options]
    url = "https://keys.example/v1"
    authorization = "Bearer …"

The KID is a GUID. The answer is `{"key": "base64 of 16 bytes"}`, or 404 for an unknown KID, whose
key then comes from the store or the seed. Anything else is a failure, a redirect too: it would take
the authorization to another server.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPException
from typing import Any, Final

from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.hooks.facts import Facts
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.protocol.wire import CONTENT_KEY_LENGTH, Kid, decode_base64

TIMEOUT_SECONDS: Final = 3
MAX_BYTES: Final = 4096


class _RefuseRedirects(urllib.request.HTTPRedirectHandler):
    """Makes an HTTPError of a redirect."""

    # Any: the library's own method takes arguments of any type.
    def redirect_request(self, *_arguments: Any) -> None:  # noqa: ANN401
        return


_OPENER: Final = urllib.request.build_opener(_RefuseRedirects)


def make(options: Mapping[str, str]) -> HookSet:
    """Return the hooks; requires the option `url`, sends `authorization` as a header if given."""
    url = options.get("url", "")
    if not url.startswith(("http://", "https://")):
        raise InternalError(f"hooks.options.url is {url!r}, expected an http or https URL")
    headers = {"Accept": "application/json"}
    if options.get("authorization"):
        headers["Authorization"] = options["authorization"]

    def find_content_key(_facts: Facts, kid: Kid) -> bytes | None:
        return request_key(f"{url.rstrip('/')}/{kid.text}", headers)

    return HookSet(find_content_key=find_content_key)


def request_key(url: str, headers: Mapping[str, str]) -> bytes | None:
    """Return the content key of 16 bytes at a URL, None for 404; raises InternalError."""
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 -- make checks it
    try:
        with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as answer:
            text = answer.read(MAX_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == HTTPStatus.NOT_FOUND:
                return None
            raise InternalError(f"the key server answered HTTP {error.code}") from None
    except OSError as error:
        raise InternalError(f"the key server cannot be reached: {error}") from None
    except HTTPException as error:
        raise InternalError(f"the key server answered no HTTP: {type(error).__name__}") from None
    return _read_key(text)


def _read_key(answer: bytes) -> bytes:
    try:
        key = json.loads(answer)["key"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InternalError("the key server's answer is not JSON with a key") from None
    try:
        return decode_base64(str(key), "the key server's key", CONTENT_KEY_LENGTH)
    except InvalidMessage as refusal:
        # The client's message is valid: it may try again.
        raise InternalError(refusal.text) from None
