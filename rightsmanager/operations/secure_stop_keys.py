"""Secure stop 2: the key by which a client proves a session, derived for each KID.

    key = HKDF-SHA256 of the server's secret with the KID as info, 16 bytes

Every licence with secure stop carries it, encrypted under its content key, right before the object
that names the metering service: a published client cannot read a licence whose global policy ends
with an object that it does not know.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from rightsmanager.crypto.digest import hkdf_sha256
from rightsmanager.protocol.formats.xmr.objects import (
    SECURE_STOP_2_KEY_LENGTH,
    GlobalPolicy,
    SecureStop,
    SecureStop2Key,
    XmrObject,
)
from rightsmanager.protocol.messages.secure_stop import wrap_key
from rightsmanager.protocol.wire import Kid


@dataclass(frozen=True, slots=True)
class SecureStopKeys:
    """Derives the secure-stop-2 key of each KID."""

    secret: bytes = field(repr=False)
    """32 bytes."""

    def key(self, kid: Kid) -> bytes:
        """Return the key of a KID, 16 bytes."""
        return hkdf_sha256(self.secret, kid.raw, SECURE_STOP_2_KEY_LENGTH)

    def add_key(
        self, objects: Sequence[XmrObject], kid: Kid, content_key: bytes
    ) -> tuple[XmrObject, ...]:
        """Return the objects of a licence with secure stop with the key of its KID added."""
        key = SecureStop2Key(wrap_key(self.key(kid), content_key))
        return tuple(_with_key(each, key) for each in objects)


def _with_key(item: XmrObject, key: SecureStop2Key) -> XmrObject:
    if not isinstance(item, GlobalPolicy):
        return item
    return replace(item, objects=tuple(_before_secure_stop(item.objects, key)))


def _before_secure_stop(objects: Sequence[XmrObject], key: SecureStop2Key) -> Iterator[XmrObject]:
    for each in objects:
        if isinstance(each, SecureStop):
            yield key
        yield each
