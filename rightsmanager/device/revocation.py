"""The revocation lists of a device, in its folder.

revocation-NAME.bin     the newest received version of a list; NAME is information,
                        application, pc or device
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rightsmanager.errors import InternalError, InvalidMessage
from rightsmanager.files import find_file, replace_file
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.formats.revocation import (
    LISTS,
    NAMES,
    REVOCATION_INFO,
    SignedList,
    parse_list,
)
from rightsmanager.protocol.formats.xmr.objects import RevocationInfoVersion
from rightsmanager.protocol.messages.challenge import RevocationListInfo
from rightsmanager.protocol.messages.response import RevocationList
from rightsmanager.protocol.wire import Guid

_FILES: Final = {"information": REVOCATION_INFO} | LISTS


@dataclass(frozen=True, slots=True)
class HeldLists:
    """The lists that a device holds, verified when they were received."""

    lists: tuple[SignedList, ...] = ()
    """At most one of each id."""
    digests: frozenset[bytes] = field(init=False, repr=False)
    """Of the certificates on any of them, 32 bytes each."""

    def __post_init__(self) -> None:
        """Gather the digests."""
        digests = frozenset(digest for each in self.lists for digest in each.digests)
        object.__setattr__(self, "digests", digests)

    def version(self, list_id: Guid) -> int:
        """Return the version of a list, 0 without one."""
        return next((each.version for each in self.lists if each.list_id == list_id), 0)

    def infos(self) -> tuple[RevocationListInfo, ...]:
        """Return the version of each list, for a challenge."""
        return tuple(RevocationListInfo(each, self.version(each)) for each in NAMES)


NO_LISTS: Final = HeldLists()


def take_lists(
    held: HeldLists, given: Iterable[RevocationList], verifier: ChainVerifier, now: int
) -> HeldLists:
    """Return the lists that a device holds after a reply, each verified.

    Raises InvalidMessage for a list that differs from its ListID, has an invalid signature, or is
    not newer than the held one.
    """
    lists = {each.list_id: each for each in held.lists}
    for entry in given:
        taken = parse_list(entry.data, verifier.parse)
        if taken.list_id != entry.list_id:
            raise InvalidMessage(
                f"the list under ListID {entry.list_id.base64} says that it is "
                f"{taken.list_id.base64}"
            )
        taken.verify(verifier, now)
        if taken.version <= held.version(taken.list_id):
            raise InvalidMessage(
                f"the {NAMES[taken.list_id]} list has version {taken.version}, expected one above "
                f"{held.version(taken.list_id)}"
            )
        lists[taken.list_id] = taken
    return HeldLists(tuple(lists.values()))


def refuse_outdated(license_: xmr.License, held: HeldLists) -> None:
    """Raise InvalidMessage if a licence needs newer revocation information."""
    wanted = license_.find(RevocationInfoVersion)
    version = held.version(REVOCATION_INFO)
    if wanted is not None and wanted.version > version:
        raise InvalidMessage(
            f"the licence needs revocation information of version {wanted.version}, "
            f"the device has {version}"
        )


def load_lists(folder: Path) -> HeldLists:
    """Return the lists in a device's folder; raises InternalError, which names the file."""
    found = (_load(_file(folder, name)) for name in _FILES)
    return HeldLists(tuple(each for each in found if each is not None))


def save_lists(folder: Path, held: HeldLists) -> None:
    """Write the lists into a device's folder."""
    for name, list_id in _FILES.items():
        for each in held.lists:
            if each.list_id == list_id:
                replace_file(_file(folder, name), each.raw)


def _file(folder: Path, name: str) -> Path:
    return folder / f"revocation-{name}.bin"


def _load(file: Path) -> SignedList | None:
    data = find_file(file)
    if data is None:
        return None
    try:
        return parse_list(data)
    except InvalidMessage as error:
        raise InternalError(f"{file}: {error.text}") from None
