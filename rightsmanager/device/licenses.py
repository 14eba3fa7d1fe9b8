"""The persistent licences of a device, each in its own file.

licenses/KID/RIGHTSID.xmr     an XMR licence; KID as GUID, RIGHTSID its id in hexadecimal digits

The folders are the index. The best licence for a KID is the newest that may be used now and opens.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from rightsmanager.device.opening import LicenseOpener, OpenedLicense, open_license
from rightsmanager.device.terms import State, Terms, refuse_unusable, terms_of
from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.files import find_file, remove_file, replace_file
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.formats.xmr.objects import ContentKey
from rightsmanager.protocol.wire import Kid

FOLDER: Final = "licenses"
NOT_STORED: Final = 0x80004005
"""E_FAIL, an unspecified error: the acknowledged result of a licence that could not be stored."""
_ENDING: Final = ".xmr"

FirstPlayed = Callable[[bytes], int | None]
"""Returns the time of a licence's first play in Unix seconds, by its id."""


@dataclass(frozen=True, slots=True)
class StoredLicense:
    """A stored licence, parsed and not opened."""

    file: Path
    kid: Kid
    license: xmr.License
    terms: Terms
    raw: bytes = field(repr=False)
    kept_at: int
    """Nanoseconds: the file's modification time."""


@dataclass(frozen=True, slots=True)
class LicenseStore:
    """The licences in a device's folder."""

    folder: Path
    """The device's."""

    def record(self, license_: OpenedLicense) -> None:
        """Store an opened licence; raises InternalError if it cannot be written."""
        replace_file(self._file(license_.kid, license_.license.rights_id), license_.raw)

    def record_all(self, licenses: Iterable[OpenedLicense]) -> dict[Kid, int]:
        """Store the persistent ones; returns an HRESULT for each that could not be stored."""
        failures = {}
        for license_ in licenses:
            try:
                if license_.persistent:
                    self.record(license_)
            except InternalError:
                failures[license_.kid] = NOT_STORED
        return failures

    def find(self, kid: Kid) -> tuple[StoredLicense, ...]:
        """Return the licences for a KID, the newest first; raises InternalError for a bad file."""
        found = (_load(file) for file in sorted(self._folder(kid).glob(f"*{_ENDING}")))
        there = (each for each in found if each is not None)
        return tuple(sorted(there, key=_age, reverse=True))

    def kids(self) -> tuple[Kid, ...]:
        """Return the KIDs of the stored licences."""
        folders = sorted((self.folder / FOLDER).glob("*"))
        return tuple(Kid.from_text(each.name) for each in folders if any(each.glob("*.xmr")))

    def find_all(self) -> tuple[StoredLicense, ...]:
        """Return every licence; raises InternalError for a bad file."""
        return tuple(each for kid in self.kids() for each in self.find(kid))

    def remove(self, kid: Kid, rights_id: bytes) -> None:
        """Remove a licence."""
        remove_file(self._file(kid, rights_id))

    def drop_removed(self, now: int) -> tuple[StoredLicense, ...]:
        """Remove the licences that reached their removal date; returns them."""
        dropped = tuple(
            each for each in self.find_all() if each.terms.state(now, None) is State.REMOVED
        )
        for each in dropped:
            remove_file(each.file)
        return dropped

    def _folder(self, kid: Kid) -> Path:
        return self.folder / FOLDER / kid.text

    def _file(self, kid: Kid, rights_id: bytes) -> Path:
        return self._folder(kid) / f"{rights_id.hex()}{_ENDING}"


@dataclass(frozen=True, slots=True)
class StoredLicenses:
    """A device's licences, and the keys to open them at one time."""

    store: LicenseStore
    opening: LicenseOpener
    now: int
    """Unix seconds."""
    first_played: FirstPlayed = lambda _: None

    def open(self, kid: Kid) -> OpenedLicense:
        """Return the best licence for a KID, opened.

        Raises InternalError without a licence. If none may be used and opens, raises the reason of
        the newest.
        """
        stored = self.store.find(kid)
        if not stored:
            raise InternalError(f"the device has no licence for KID {kid.text}")
        return self._best(stored, self.with_roots())

    def open_shared(self, kid: Kid) -> OpenedLicense:
        """Return the best licence that is bound to a domain, else that of `open`."""
        of_domains = [each for each in self.store.find(kid) if each.terms.domain is not None]
        return self._best(of_domains, self.with_roots()) if of_domains else self.open(kid)

    def open_file(self, raw: bytes) -> OpenedLicense:
        """Return a licence that is not in the store, opened; raises InvalidMessage."""
        return self._open_one(raw, self.with_roots())

    def with_roots(self) -> LicenseOpener:
        """Return the opener with the stored licences as roots."""
        return replace(self.opening, roots=_StoredRoots(self))

    def open_root(self, kid: Kid) -> bytes | None:
        """Return the content key of the best root licence for a KID, 16 bytes, None without one."""
        bound = [each for each in self.store.find(kid) if each.terms.root_kid is None]
        return self._best(bound, self.opening).content_key if bound else None

    def _best(self, stored: Sequence[StoredLicense], opening: LicenseOpener) -> OpenedLicense:
        reason: InvalidMessage | None = None
        for each in stored:
            try:
                return self._open_one(each.raw, opening)
            except InvalidMessage as error:
                reason = reason or error
        assert reason is not None  # noqa: S101 -- there is at least one
        raise reason

    def _open_one(self, raw: bytes, opening: LicenseOpener) -> OpenedLicense:
        license_ = xmr.parse_license(raw)
        first_played = self.first_played(license_.rights_id)
        refuse_unusable(kid_of(license_), terms_of(license_), self.now, first_played)
        return open_license(raw, opening)


class _StoredRoots(Mapping[Kid, bytes]):
    """The content keys of the stored licences, each opened at its first use."""

    def __init__(self, shelf: StoredLicenses) -> None:
        self._shelf = shelf

    def __getitem__(self, kid: Kid) -> bytes:
        key = self._shelf.open_root(kid)
        if key is None:
            raise KeyError(kid)
        return key

    def __iter__(self) -> Iterator[Kid]:
        return iter(self._shelf.store.kids())

    def __len__(self) -> int:
        return len(self._shelf.store.kids())


def kid_of(license_: xmr.License) -> Kid:
    """Return the KID that a licence is for; raises InvalidMessage if it has no content key."""
    content_key = license_.find(ContentKey)
    if content_key is None:
        raise InvalidMessage("the licence has no content key")
    return content_key.kid


def _load(file: Path) -> StoredLicense | None:
    """Return a licence; None if another process removed it in the meantime."""
    raw = find_file(file)
    if raw is None:
        return None
    try:
        license_ = xmr.parse_license(raw)
        return StoredLicense(
            file, kid_of(license_), license_, terms_of(license_), raw, _kept_at(file)
        )
    except InvalidMessage as error:
        raise InternalError(f"{file}: {error.text}") from None


def _kept_at(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _age(stored: StoredLicense) -> tuple[int, int]:
    """Return the sort key of age: the date of issue, then the time of storing."""
    return stored.terms.issued or 0, stored.kept_at
