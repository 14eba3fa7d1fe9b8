"""An answered request and its reply, as the journal and the metrics observe it."""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from rightsmanager.errors import Refusal
from rightsmanager.hooks.facts import Progress

STAGES: Final = ("read", "verify", "decide", "record", "seal")
"""The stages of a request, in their order; see Exchange.stages."""
INJECTED: Final = "rightsmanager.injected"
"""The key of injected faults in a WSGI environment: kind and id of each, with semicolons."""


class Exchange(NamedTuple):
    """A request to the service and its reply.

    Times are in seconds of a clock without a fixed origin, such as `time.perf_counter`.
    """

    # A NamedTuple, not a frozen dataclass: each licence makes one, and this one is 1.5 µs cheaper.
    request_id: str
    operation: str
    """The wire name, empty unless the envelope names one of the nine; or the protocol of a request
    to the key endpoint, such as `cpix`."""
    environ: Mapping[str, Any]
    """The WSGI environment, for the query, the headers and the client's address."""
    url: str
    """The service's URL as the client spelled it, without its query."""
    progress: Progress
    refusal: Refusal | None
    http_status: str
    """Such as `200 OK`."""
    content_type: str
    """Of the reply."""
    request: bytes
    """The body; empty for a request whose body was not read."""
    reply: bytes
    begun: float
    """When the body had arrived."""
    read: float
    """When the envelope was parsed; 0 if it was refused before."""
    ended: float
    has_keys: bool = False
    """Whether the bodies have content keys, so that nothing of them may be stored."""

    def stages(self) -> tuple[float, ...]:
        """Return the seconds of each stage that began; a refusal came in the last of them.

        read      the envelope is parsed
        verify    the challenge is decrypted and verified, the device is authenticated
        decide    what to grant
        record    one transaction
        seal      the reply is built and signed
        """
        progress = self.progress
        spent = []
        before = self.begun
        for end in (self.read, progress.verified, progress.decided, progress.recorded):
            if not end:
                break
            spent.append(end - before)
            before = end
        spent.append(self.ended - before)
        return tuple(spent)


Observer = Callable[[Exchange], None]
"""Called with each exchange after its reply is complete and before it is sent."""
