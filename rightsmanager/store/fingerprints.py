"""The fingerprints of the keyring that the database belongs to."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import select

from rightsmanager.store.component import Component, insert_once
from rightsmanager.store.tables import KEYRING

_FIND_ALL: Final = select(KEYRING)
_RECORD: Final = insert_once(KEYRING)


class Fingerprints(Component):
    """Fingerprints by the name of their identity."""

    def find_all(self) -> dict[str, str]:
        """Return the recorded fingerprints, none for a new database."""
        return {row.identity: row.fingerprint for row in self._execute(_FIND_ALL)}

    def record(self, fingerprints: Mapping[str, str]) -> None:
        """Record the fingerprints of a new database's keyring; recorded ones stay."""
        for identity, fingerprint in fingerprints.items():
            self._execute(_RECORD, {"identity": identity, "fingerprint": fingerprint})
