"""What an operation is given: the envelope and how it came."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rightsmanager.policy.rules import DecisionWarning
from rightsmanager.protocol.xml.envelope import Envelope


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One request to one operation."""

    envelope: Envelope = field(repr=False)
    url: str
    """The URL as the client wrote it, without its query."""
    query: str
    """The query string as it came, undecoded, without the question mark."""
    headers: Mapping[str, str] = field(repr=False)
    """The HTTP headers by lower-case name."""
    remote: str
    """The client's address."""
    # A list, since an operation returns nothing but the reply's bytes.
    warnings: list[DecisionWarning] = field(default_factory=list, repr=False)
    """Warnings for the log and the reply's headers, which the operation adds."""
