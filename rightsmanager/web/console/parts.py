"""Everything that the pages of the console call."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rightsmanager.admin.management import Management
from rightsmanager.admin.royalty import Prices
from rightsmanager.inspection import Description
from rightsmanager.protocol.formats.bcert import Chain
from rightsmanager.settings import SettingInForce

RecordAct = Callable[[str, str, Mapping[str, str], str], None]
"""Records the act of an operator: the caller, the act, its subject, and the refusal's text."""


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
    prices: Prices
    describe: Callable[[bytes], Description] = field(repr=False)
    """Describes anything of PlayReady; raises InvalidMessage for bytes that are nothing of it."""
    find_chains: Callable[[], Sequence[NamedChain]] = field(repr=False)
    """Returns the certificate chains of the keyring and of the metering ids."""
    record_act: RecordAct = field(repr=False)

    @property
    def now(self) -> int:
        """The time in Unix seconds."""
        return self.management.clock()
