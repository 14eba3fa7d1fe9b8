"""The domains of a device: the certificates and keys to open their licences with.

domains/ACCOUNT/REVISION.key      the revision's private key, PKCS#8 PEM
domains/ACCOUNT/REVISION.chain    its certificate, a BCert chain
domains/ACCOUNT/domain.json       service id, friendly name and URL

ACCOUNT is the account id as GUID. Every revision stays until the device
leaves: licences of old revisions are opened with old keys. domain.json is written last; a folder
without it is not a domain.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from rightsmanager.crypto import p256, pem
from rightsmanager.device.opening import DomainKeys
from rightsmanager.errors import InternalError, Refusal
from rightsmanager.files import find_file, remove_file, replace_file
from rightsmanager.protocol.formats.bcert import Chain, parse_chain
from rightsmanager.protocol.wire import AccountId, ServiceId

FOLDER: Final = "domains"
_ABOUT: Final = "domain.json"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HeldRevision:
    """One revision of a joined domain."""

    revision: int
    chain: Chain
    """Its leaf is the domain's certificate."""
    key: p256.PrivateKey = field(repr=False)
    """The private key of the certificate."""


@dataclass(frozen=True, slots=True)
class HeldDomain:
    """A joined domain."""

    account_id: AccountId
    service_id: ServiceId
    friendly_name: str
    url: str
    """The URL to join it at."""
    revisions: tuple[HeldRevision, ...]
    """Newest first, at least one."""

    @property
    def newest(self) -> HeldRevision:
        """The revision to request licences with."""
        return self.revisions[0]


@dataclass(frozen=True, slots=True)
class DomainStore:
    """The domains in a device's folder."""

    folder: Path
    """The device's."""

    def record(self, domain: HeldDomain) -> None:
        """Store a domain; revisions stored before stay. Raises InternalError."""
        folder = self._folder(domain.account_id)
        for each in domain.revisions:
            replace_file(folder / f"{each.revision}.key", pem.build_private_key(each.key))
            replace_file(folder / f"{each.revision}.chain", each.chain.raw)
        about = {
            "service_id": domain.service_id.text,
            "friendly_name": domain.friendly_name,
            "url": domain.url,
        }
        replace_file(folder / _ABOUT, json.dumps(about, indent=2).encode())

    def find(self, account_id: AccountId) -> HeldDomain | None:
        """Return the domain of an account, or None; raises InternalError for a bad file."""
        folder = self._folder(account_id)
        about = _read(folder / _ABOUT, _parse_about)
        if about is None:
            return None
        service_id, friendly_name, url = about
        revisions = _revisions(folder)
        if not revisions:
            raise InternalError(f"{folder} has no revision of its domain")
        return HeldDomain(account_id, service_id, friendly_name, url, revisions)

    def find_all(self) -> tuple[HeldDomain, ...]:
        """Return every domain by its account id; raises InternalError for a bad file."""
        names = sorted(file.parent.name for file in (self.folder / FOLDER).glob(f"*/{_ABOUT}"))
        found = (self.find(AccountId.from_text(name)) for name in names)
        return tuple(domain for domain in found if domain is not None)

    def private_keys(self) -> DomainKeys:
        """Return the private keys of all revisions."""
        return {
            (domain.account_id, each.revision): each.key
            for domain in self.find_all()
            for each in domain.revisions
        }

    def remove(self, account_id: AccountId) -> None:
        """Remove a domain; its licences do not open after this."""
        folder = self._folder(account_id)
        remove_file(folder / _ABOUT)
        for file in folder.glob("*"):
            remove_file(file)

    def _folder(self, account_id: AccountId) -> Path:
        return self.folder / FOLDER / account_id.text


def _revisions(folder: Path) -> tuple[HeldRevision, ...]:
    numbers = (int(file.stem) for file in folder.glob("*.chain") if file.stem.isdigit())
    found = (_revision(folder, number) for number in sorted(numbers, reverse=True))
    return tuple(revision for revision in found if revision is not None)


def _revision(folder: Path, number: int) -> HeldRevision | None:
    chain = _read(folder / f"{number}.chain", parse_chain)
    key = _read(folder / f"{number}.key", pem.parse_private_key)
    return None if chain is None or key is None else HeldRevision(number, chain, key)


def _parse_about(data: bytes) -> tuple[ServiceId, str, str]:
    try:
        about = json.loads(data)
        service_id = ServiceId.from_text(about["service_id"])
        return service_id, str(about["friendly_name"]), str(about["url"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InternalError(f"it does not describe a domain: {error!r}") from None


def _read(file: Path, parse: Callable[[bytes], T]) -> T | None:
    data = find_file(file)
    try:
        return None if data is None else parse(data)
    except Refusal as refusal:
        raise InternalError(f"{file}: {refusal.text}") from None
