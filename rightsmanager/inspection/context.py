"""Keys and other inputs that make more checks possible."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rightsmanager.crypto import p256
from rightsmanager.crypto.keyseed import TEST_KEY_SEED
from rightsmanager.protocol.wire import Kid


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """All inputs of checks in addition to the bytes; all are optional."""

    now: int
    """Unix seconds."""
    backend: p256.Backend = field(repr=False)
    trust_anchors: tuple[p256.PublicKey, ...] = ()
    """Trusted roots of chains."""
    server_keys: tuple[p256.PrivateKey, ...] = field(default=(), repr=False)
    """Private keys of servers, to decrypt challenges."""
    device_keys: tuple[p256.PrivateKey, ...] = field(default=(), repr=False)
    """Private keys of the device, to open licences."""
    domain_keys: tuple[p256.PrivateKey, ...] = field(default=(), repr=False)
    """Private keys of the device's domains."""
    device_level: int | None = None
    """The security level of the device whose keys these are."""
    content_keys: Mapping[Kid, bytes] = field(default_factory=dict, repr=False)
    """Content keys that are known to be right, 16 bytes each."""
    seeds: Mapping[str, bytes] = field(
        default_factory=lambda: {"the Test Key Seed": TEST_KEY_SEED}, repr=False
    )
    """Key seeds by name, at least 30 bytes each."""
    is_stored: Callable[[Kid], bool] = lambda _: False
    """Returns True if the server has a stored content key for a KID."""
    is_revoked: Callable[[bytes], bool] | None = None
    """Returns True if the lists name a certificate's digest, 32 bytes; None: no lists are given."""
    show_keys: bool = False
    """True to include content keys in the description."""
