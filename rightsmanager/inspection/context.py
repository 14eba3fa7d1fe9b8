"""What is known beside the thing itself: each aid makes more checks possible."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rightsmanager.crypto import p256
from rightsmanager.crypto.keyseed import TEST_KEY_SEED
from rightsmanager.protocol.wire import Kid


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The aids; without any, only what the bytes themselves say is checked."""

    now: int
    """Unix seconds."""
    backend: p256.Backend = field(repr=False)
    trust_anchors: tuple[p256.PublicKey, ...] = ()
    """Keys that chains may end in."""
    server_keys: tuple[p256.PrivateKey, ...] = field(default=(), repr=False)
    """What challenges may be encrypted to."""
    device_keys: tuple[p256.PrivateKey, ...] = field(default=(), repr=False)
    """What licences may be bound to."""
    domain_keys: tuple[p256.PrivateKey, ...] = field(default=(), repr=False)
    """What licences of the device's domains may be bound to."""
    device_level: int | None = None
    """The security level of the device whose keys these are."""
    content_keys: Mapping[Kid, bytes] = field(default_factory=dict, repr=False)
    """Content keys that are known to be right, 16 bytes each."""
    seeds: Mapping[str, bytes] = field(
        default_factory=lambda: {"the Test Key Seed": TEST_KEY_SEED}, repr=False
    )
    """Key seeds by what they are called, at least 30 bytes each."""
    is_stored: Callable[[Kid], bool] = lambda _: False
    """Whether the server has a content key stored for a KID."""
    show_keys: bool = False
    """Whether content keys become part of the description."""
