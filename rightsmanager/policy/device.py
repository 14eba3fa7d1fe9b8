"""An authenticated device: the one that signed a challenge and whose certificates verified."""

from dataclasses import dataclass, field

from rightsmanager.protocol.formats.bcert import Certificate, Chain


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the server, its policy and its hooks see it."""

    id: str
    """Base64 of the SHA-256 of the device's signing key."""
    chain: Chain
    """The chain whose leaf signed the challenge."""
    chains: tuple[Chain, ...] = field(default=(), repr=False)
    """All chains of the challenge: the device's and those of its domains."""
    client_version: str = ""
    """Of an AcquireLicense challenge, empty otherwise."""
    client_time: int = 0
    """The device's clock in Unix seconds, as an AcquireLicense challenge states it."""
    features: tuple[str, ...] = ()
    """Names of the features in an AcquireLicense challenge, empty otherwise."""

    @property
    def leaf(self) -> Certificate:
        """The device's own certificate."""
        return self.chain.leaf
