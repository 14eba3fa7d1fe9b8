"""Revocation lists: read, written, and verified only for a signer of lists."""

import hashlib
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.crypto.p256 import PrivateKey, PublicKey
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert import ChainVerifier, parse_chain
from rightsmanager.protocol.formats.revocation import (
    LISTS,
    NAMES,
    REVOCATION_INFO,
    build_list,
    parse_list,
    version_entries,
)
from rightsmanager.protocol.wire import Guid
from tests.second import certificates as cert
from tests.second import curve, world

CRL_SIGNER, SIGN_CRL, ISSUE_CRL = 5, 3, 11
LIST_ISSUER, LIST_SIGNER = 2001, 2002
DEVICE_LIST = LISTS["device"]
DIGESTS = [bytes([number]) * 32 for number in (1, 2, 9)]
KEY = PrivateKey(LIST_SIGNER.to_bytes(32, "big"))


def signer_chain(kind: int = CRL_SIGNER, usage: int = SIGN_CRL, issue: int = ISSUE_CRL) -> bytes:
    leaf = cert.Subject(kind, ((LIST_SIGNER, (usage,)),), level=3000)
    return cert.chain(cert.issue(leaf, LIST_ISSUER), world.issuer(LIST_ISSUER, issue))


CHAIN = parse_chain(signer_chain())


def verifier(root: int = world.ROOT) -> ChainVerifier:
    return ChainVerifier([PublicKey(curve.point_bytes(curve.public(root)))])


def a_list() -> bytes:
    return build_list(DEVICE_LIST, 7, DIGESTS, CHAIN, KEY)


def test_the_ids_of_the_lists_are_the_published_ones() -> None:
    assert {each.base64 for each in NAMES} == {
        "ioydTlK2p0WXkWklprR5Hw==",
        "gC4IKKPHsUCCVhnlttibJw==",
        "Ef/RUojT3U6Ct2jqTCChbA==",
        "BOZ1zT1UnEqfCf5tJOi/kA==",
    }


def test_a_list_is_written_field_by_field() -> None:
    head = struct.pack(">4sI16sIII", b"RMRL", 1, DEVICE_LIST.raw, 7, len(CHAIN.raw), len(DIGESTS))
    signed = head + b"".join(DIGESTS) + CHAIN.raw
    data = a_list()
    assert data[:-64] == signed
    assert curve.signed_by(curve.public(LIST_SIGNER), data[-64:], signed)


def test_a_list_of_certificates_has_their_digests() -> None:
    found = parse_list(a_list())
    assert (found.list_id, found.version) == (DEVICE_LIST, 7)
    assert found.digests == tuple(DIGESTS)
    assert found.versions == {}


def test_the_revocation_information_has_the_versions_of_the_others() -> None:
    versions = {DEVICE_LIST: 7, LISTS["pc"]: 1}
    data = build_list(REVOCATION_INFO, 8, version_entries(versions.items()), CHAIN, KEY)
    found = parse_list(data)
    assert found.versions == versions
    assert found.digests == ()


@given(
    digests=st.sets(st.binary(min_size=32, max_size=32), max_size=5),
    version=st.integers(0, 2**32 - 1),
    list_id=st.sampled_from(list(LISTS.values())),
)
def test_a_built_list_parses_to_the_same(digests: set[bytes], version: int, list_id: Guid) -> None:
    data = build_list(list_id, version, sorted(digests), CHAIN, KEY)
    found = parse_list(data)
    assert found.raw == data
    assert (found.list_id, found.version, found.entries) == (
        list_id,
        version,
        tuple(sorted(digests)),
    )
    found.verify(verifier(), world.NOW)


@given(st.data())
def test_every_altered_byte_is_refused(data: st.DataObject) -> None:
    original = a_list()
    at = data.draw(st.integers(0, len(original) - 1))
    bit = data.draw(st.integers(0, 7))
    altered = original[:at] + bytes([original[at] ^ 1 << bit]) + original[at + 1 :]
    with pytest.raises(InvalidMessage):
        parse_list(altered).verify(verifier(), world.NOW)


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(tail: bytes) -> None:
    for data in (tail, a_list()[:36] + tail, a_list() + tail[:1] + b"x"):
        with pytest.raises(InvalidMessage):
            parse_list(data)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (build_list(DEVICE_LIST, 1, DIGESTS[::-1], CHAIN, KEY), "not in ascending order"),
        (build_list(DEVICE_LIST, 1, DIGESTS[:1] * 2, CHAIN, KEY), "not in ascending order"),
        (
            build_list(
                REVOCATION_INFO,
                1,
                version_entries([(DEVICE_LIST, 1), (DEVICE_LIST, 2)]),
                CHAIN,
                KEY,
            ),
            "not in ascending order",
        ),
        (build_list(Guid(bytes(16)), 1, (), CHAIN, KEY), "which is unknown"),
        (a_list()[:-1], "needs 64 bytes"),
        (a_list() + b"\0", "1 bytes follow"),
        (b"RMRX" + a_list()[4:], "does not begin with RMRL"),
    ],
)
def test_an_invalid_list_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(InvalidMessage, match=text):
        parse_list(data)


def wrong_key() -> bytes:
    return build_list(DEVICE_LIST, 7, DIGESTS, CHAIN, PrivateKey(bytes(31) + b"\5"))


def wrong_chain(**changes: int) -> Callable[[], bytes]:
    chain = parse_chain(signer_chain(**changes))
    return lambda: build_list(DEVICE_LIST, 7, DIGESTS, chain, KEY)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (wrong_key, "the signature of the device list does not verify"),
        (wrong_chain(usage=1), "expected a CRL signer with the usage"),
        (wrong_chain(kind=12, issue=18), "expected a CRL signer with the usage"),
        (wrong_chain(issue=6), "is issued by a key with the usages"),
    ],
)
def test_a_list_of_another_signer_does_not_verify(make: Callable[[], bytes], text: str) -> None:
    with pytest.raises(InvalidMessage, match=text):
        parse_list(make()).verify(verifier(), world.NOW)


def test_a_signer_under_another_root_does_not_verify() -> None:
    with pytest.raises(InvalidMessage, match="not a trust anchor"):
        parse_list(a_list()).verify(verifier(1999), world.NOW)


def test_a_certificate_is_named_by_its_bytes_up_to_the_signature() -> None:
    leaf = CHAIN.leaf
    assert hashlib.sha256(leaf.raw[: leaf.signed_length]).digest() == leaf.digest
