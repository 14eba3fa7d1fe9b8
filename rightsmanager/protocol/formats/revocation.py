"""Revocation lists: the certificates that are no longer valid.

It is public that the lists have these ids, that a reply carries a list if the client has an older
version, and that a certificate is named by the SHA-256 of its bytes up to the signature. The rest
is a profile of this project: it is not Microsoft's form, and real clients do not read it.

    list      "RMRL", format u32 = 1, list id(16), version u32, chain length u32, entry count u32,
              entries, BCert chain of the signer, ECDSA r(32), s(32) over all bytes before it
    entry     of the revocation information list: list id(16), version u32
              of any other list: digest of a certificate(32)

Entries are in ascending order without duplicates. The chain's leaf is of type CRL signer with the
usage to sign revocation lists. The revocation information list has the newest version of each other
list; a licence's revocation information version refers to its own version.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from rightsmanager.crypto import p256
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert import (
    CertificateType,
    Chain,
    ChainVerifier,
    KeyUsage,
    parse_chain,
)
from rightsmanager.protocol.wire import GUID_LENGTH, Guid, Reader

REVOCATION_INFO: Final = Guid.from_base64("ioydTlK2p0WXkWklprR5Hw==")
"""The list of the other lists' versions."""
LISTS: Final = {
    "application": Guid.from_base64("gC4IKKPHsUCCVhnlttibJw=="),
    "pc": Guid.from_base64("Ef/RUojT3U6Ct2jqTCChbA=="),
    "device": Guid.from_base64("BOZ1zT1UnEqfCf5tJOi/kA=="),
}
"""The lists of certificates. Their ids are public; the assignment of names is this project's."""
NAMES: Final = {REVOCATION_INFO: "revocation information"} | {
    list_id: name for name, list_id in LISTS.items()
}
DIGEST_LENGTH: Final = 32

_MAGIC: Final = b"RMRL"
_FORMAT: Final = 1
_HEAD: Final = struct.Struct(">4sI16sIII")
_VERSION_ENTRY: Final = struct.Struct(">16sI")
_SIGNATURE_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class SignedList:
    """A list as received, made by `parse_list` alone."""

    raw: bytes = field(repr=False)
    list_id: Guid = field(compare=False)
    version: int = field(compare=False)
    entries: tuple[bytes, ...] = field(compare=False, repr=False)
    """The bytes of each entry."""
    chain: Chain = field(compare=False)

    @property
    def digests(self) -> tuple[bytes, ...]:
        """The digests of revoked certificates, 32 bytes each; empty in the information list."""
        return () if self.list_id == REVOCATION_INFO else self.entries

    @property
    def versions(self) -> dict[Guid, int]:
        """The newest versions of other lists; empty in a list of certificates."""
        if self.list_id != REVOCATION_INFO:
            return {}
        return {Guid(raw): version for raw, version in map(_VERSION_ENTRY.unpack, self.entries)}

    def verify(self, verifier: ChainVerifier, now: int) -> None:
        """Verify the list's signature and its signer's chain at `now`, in Unix seconds.

        Raises InvalidMessage; never DeviceCertificateRevoked.
        """
        verifier.verify(self.chain, now)
        leaf = self.chain.leaf
        key = leaf.key_with_usage(KeyUsage.SIGN_CRL)
        if leaf.type != CertificateType.CRL_SIGNER or key is None:
            raise InvalidMessage(
                f"the {NAMES[self.list_id]} list is signed by a certificate of type "
                f"{leaf.type.name}, expected a CRL signer with the usage to sign lists"
            )
        try:
            p256.verify(key, self.raw[-_SIGNATURE_LENGTH:], self.raw[:-_SIGNATURE_LENGTH])
        except InvalidMessage:
            raise InvalidMessage(
                f"the signature of the {NAMES[self.list_id]} list does not verify"
            ) from None


def parse_list(data: bytes, parse: Callable[[bytes], Chain] = parse_chain) -> SignedList:
    """Return the list, its signature not yet verified.

    `build_list` of the same parts returns the same bytes. Raises InvalidMessage.
    """
    reader = Reader(data, "revocation list")
    magic, form, raw_id, version, chain_length, count = _HEAD.unpack(
        reader.take(_HEAD.size, "head")
    )
    if (magic, form) != (_MAGIC, _FORMAT):
        raise InvalidMessage("revocation list does not begin with RMRL and format 1")
    list_id = Guid(raw_id)
    if list_id not in NAMES:
        raise InvalidMessage(f"revocation list has id {list_id.base64}, which is unknown")
    length = entry_length(list_id)
    packed = reader.take(count * length, "entries")
    chain = parse(reader.take(chain_length, "chain"))
    reader.take(_SIGNATURE_LENGTH, "signature")
    reader.done()
    entries = tuple(packed[at : at + length] for at in range(0, len(packed), length))
    _refuse_disorder(entries)
    return SignedList(data, list_id, version, entries, chain)


def build_list(
    list_id: Guid, version: int, entries: Sequence[bytes], chain: Chain, key: p256.PrivateKey
) -> bytes:
    """Return a list of entries, which are in ascending order, signed by the leaf's key."""
    head = _HEAD.pack(_MAGIC, _FORMAT, list_id.raw, version, len(chain.raw), len(entries))
    signed = b"".join((head, *entries, chain.raw))
    return signed + p256.sign(key, signed)


def version_entries(versions: Iterable[tuple[Guid, int]]) -> list[bytes]:
    """Return the entries of the information list, sorted."""
    return sorted(_VERSION_ENTRY.pack(list_id.raw, version) for list_id, version in versions)


def entry_length(list_id: Guid) -> int:
    """Return the length of an entry of a list in bytes."""
    return _VERSION_ENTRY.size if list_id == REVOCATION_INFO else DIGEST_LENGTH


def _refuse_disorder(entries: Sequence[bytes]) -> None:
    # Entries of the information list are compared by id: two versions of one list are a duplicate.
    keys = [entry[:GUID_LENGTH] if len(entry) < DIGEST_LENGTH else entry for entry in entries]
    if any(first >= second for first, second in pairwise(keys)):
        raise InvalidMessage("revocation list: its entries are not in ascending order, each once")
