"""Root licences in the store: the content keys that each device's leaf licences are chained to."""

from typing import Final

from sqlalchemy import bindparam, select

from rightsmanager.protocol.wire import Kid
from rightsmanager.store.component import Component, insert_or_update
from rightsmanager.store.tables import ROOT_LICENSES

_ROOT: Final = ROOT_LICENSES.c
_RECORD: Final = insert_or_update(ROOT_LICENSES, "ciphertext")
_FIND: Final = select(_ROOT.ciphertext).where(
    _ROOT.device == bindparam("device"), _ROOT.kid == bindparam("kid")
)


class Roots(Component):
    """The last root licence of each device and KID."""

    def record(self, device: str, kid: Kid, ciphertext: bytes) -> None:
        """Store the encrypted content key of a device's root licence, replacing an older one."""
        self._execute(_RECORD, {"device": device, "kid": kid, "ciphertext": ciphertext})

    def find(self, device: str, kid: Kid) -> bytes | None:
        """Return the encrypted content key of a device's last root licence, or None."""
        found: bytes | None = self._execute(_FIND, {"device": device, "kid": kid}).scalar()
        return found
