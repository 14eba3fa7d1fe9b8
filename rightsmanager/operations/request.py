"""A request to one operation: its envelope and how it arrived."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rightsmanager.hooks.facts import Progress
from rightsmanager.protocol.xml.envelope import Envelope

REQUEST_ID: Final = "rightsmanager.request_id"
"""The key of a request's id in its WSGI environment."""
GIVES_KEYS: Final = "rightsmanager.gives_keys"
"""A key in the WSGI environment of a request whose reply has content keys in the clear."""
_ENVIRON_NAMES: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
"""The two headers that WSGI spells without HTTP_."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RequestHeaders(Mapping[str, str]):
    """The HTTP headers of a WSGI environment by lower-case name, looked up when asked."""

    environ: Mapping[str, Any]

    def __getitem__(self, name: str) -> str:
        key = _ENVIRON_NAMES.get(name) or "HTTP_" + name.upper().replace("-", "_")
        value: str = self.environ[key]
        return value

    def __iter__(self) -> Iterator[str]:
        yield from (name for name, key in _ENVIRON_NAMES.items() if key in self.environ)
        for key in self.environ:
            if key.startswith("HTTP_"):
                yield key[5:].lower().replace("_", "-")

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A request to one operation."""

    envelope: Envelope = field(repr=False)
    url: str
    """The URL as the client spelled it, without its query."""
    query: str
    """The query string as received: percent-encoded, without the question mark."""
    headers: Mapping[str, str] = field(repr=False)
    """HTTP headers by lower-case name."""
    remote: str
    """The client's address."""
    progress: Progress = field(default_factory=Progress)
    request_id: str = ""
    """The id of the request in the log."""
    socket: Any = field(default=None, repr=False)
    """The client's connection, for its certificate; None if the server does not give it."""
