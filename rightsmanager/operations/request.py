"""A request to one operation: its envelope and how it arrived."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rightsmanager.hooks.facts import Progress
from rightsmanager.protocol.xml.envelope import Envelope

REQUEST_ID: Final = "rightsmanager.request_id"
"""The key of a request's id in its WSGI environment."""
GIVES_KEYS: Final = "rightsmanager.gives_keys"
"""A key in the WSGI environment of a request whose reply has content keys in the clear."""


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
