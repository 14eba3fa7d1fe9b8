"""Everything that the pages of the console call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rightsmanager.admin.management import Management
from rightsmanager.inspection import Description
from rightsmanager.journal.building import Act
from rightsmanager.journal.decoding import Decoded
from rightsmanager.journal.journal import Journal
from rightsmanager.journal.replay import Post
from rightsmanager.protocol.formats.bcert import Chain
from rightsmanager.settings_loading import SettingInForce
from rightsmanager.store.journal.entries import StoredEntry

Decode = Callable[[StoredEntry], Decoded]
RecordAct = Callable[[Act], None]
"""Records the act of an operator; never waits and never raises."""


@dataclass(frozen=True, slots=True)
class NamedChain:
    """A certificate chain and the name of its leaf."""

    name: str
    chain: Chain


@dataclass(frozen=True, slots=True)
class Parts:
    """The acts of operators, and what describes a server."""

    management: Management
    settings: tuple[SettingInForce, ...]
    describe: Callable[[bytes], Description] = field(repr=False)
    """Describes anything of PlayReady; raises InvalidMessage for bytes that are nothing of it."""
    find_chains: Callable[[], Sequence[NamedChain]] = field(repr=False)
    """Returns the certificate chains of the keyring and of the metering ids."""
    journal: Journal
    recording: str
    """The requests that the journal has: `all`, `faults` or `off`."""
    record_act: RecordAct = field(repr=False)
    repeat: Callable[[str], Post] = field(repr=False)
    """Returns a function that answers a request of a client's address, without a network."""
    decode: Decode = field(repr=False)
    """Decodes the bodies of an entry of the journal."""

    @property
    def now_ms(self) -> int:
        """The time in Unix milliseconds."""
        return self.now * 1000

    @property
    def now(self) -> int:
        """The time in Unix seconds."""
        return self.management.clock()
