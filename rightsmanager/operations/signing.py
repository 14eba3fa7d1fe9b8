"""Which replies are signed, and as whom."""

from dataclasses import dataclass, field

from rightsmanager.crypto import p256


@dataclass(frozen=True, slots=True)
class Signing:
    """The key and chain that replies are signed with, and when."""

    key: p256.PrivateKey = field(repr=False)
    chain: bytes = field(repr=False)
    """BCert chain whose leaf has the usages to sign licences and responses."""
    always: bool
    """Whether replies without a persistent licence are signed too."""

    def key_for(self, *, persistent: bool) -> p256.PrivateKey | None:
        """Return the key for a reply with or without a persistent licence, None for unsigned."""
        return self.key if self.always or persistent else None

    def chain_for(self, *, persistent: bool) -> bytes | None:
        """Return the chain that such a reply carries."""
        return self.chain if self.always or persistent else None
