"""A request that is refused leaves nothing in the store, whatever it was refused for."""

from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from rightsmanager.crypto.p256 import PrivateKey, PublicKey
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import InternalError, InvalidMessage, Refusal, ServiceSpecific
from rightsmanager.policy.grants import Policy
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.messages.challenge import ChallengeReader
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.database import Store
from tests.databases import execute
from tests.operations.subject import ask, issued, make_context
from tests.second import certificates as cert
from tests.second import challenge as second
from tests.second import world

KIDS = bytes(range(16)), bytes(range(16, 32))
WISH = second.Wish(second.header_40(KIDS[0]))
DEVICE = cert.Subject(cert.DEVICE, world.DEVICE_KEYS)
SIGN_ALONE = ((world.DEVICE_SIGNING, (cert.SIGN,)),)
ISSUE_ALL = 4


def with_leaf(leaf: cert.Subject, *above: bytes) -> bytes:
    """Return a device's challenge under another leaf."""
    client = second.with_chain(world.CLIENT, world.device_chain(leaf, *above))
    return second.challenge(client, WISH)


def issuer_of_all(level: int = 3000) -> bytes:
    return world.issuer(world.DEVICE_ISSUER, ISSUE_ALL, level=level)


NO_CLIENTS = {
    "domain": 3,
    "issuer": 4,
    "CRL signer": 5,
    "service": 6,
    "metering": 9,
    "key file signer": 10,
    "server": 11,
    "licence signer": 12,
    "secure time server": 13,
    "provisioning model authority": 14,
}


def refusal_of(store: Store, body: bytes, policy: Policy | None = None) -> Refusal:
    """Return why a request is refused; it is refused again, and nothing is stored."""
    context = make_context(store, policy=policy)
    for _ in range(2):
        with pytest.raises(Refusal) as refusal:
            ask(context, body)
    assert issued(store) == []
    return refusal.value


def test_every_vector_is_served_or_stores_nothing(
    store: Store, vectors: Callable[[str], Any]
) -> None:
    file = vectors("acquire_license")
    verifier = ChainVerifier((PublicKey(b64decode(file["trust_anchor"])),))
    context = replace(
        make_context(store),
        server_keys=(PrivateKey(b64decode(file["server_private_key"])),),
        verifier=verifier,
        reader=ChallengeReader(verifier.parse),
    )
    count = 0
    for test in file["tests"]:
        if test["result"] == "valid":
            ask(context, test["challenge"].encode())
            count += len(test["expect"]["kids"])
        else:
            with pytest.raises(InvalidMessage):
                ask(context, test["challenge"].encode())
        assert len(issued(store)) == count


@pytest.mark.parametrize("kind", NO_CLIENTS.values(), ids=NO_CLIENTS)
def test_certificates_that_are_not_a_clients_get_no_licence(store: Store, kind: int) -> None:
    refusal = refusal_of(store, with_leaf(replace(DEVICE, type=kind), issuer_of_all()))
    assert isinstance(refusal, InvalidMessage)
    assert "expected that of a client" in refusal.text


@pytest.mark.parametrize("kind", [1, 2, 7, 8], ids=["PC", "device", "Silverlight", "application"])
def test_every_kind_of_client_gets_a_licence(store: Store, kind: int) -> None:
    ask(make_context(store), with_leaf(replace(DEVICE, type=kind), issuer_of_all()))
    assert len(issued(store)) == 1


def test_a_leaf_that_nothing_can_be_encrypted_to_is_refused(store: Store) -> None:
    refusal = refusal_of(store, with_leaf(replace(DEVICE, keys=SIGN_ALONE)))
    assert isinstance(refusal, InvalidMessage)
    assert refusal.text == "the leaf certificate has no key with the usage to encrypt keys"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (with_leaf(replace(DEVICE, expiry=world.NOW - 1)), "expired"),
        (with_leaf(replace(DEVICE, level=3001)), "security level 3001"),
        (with_leaf(DEVICE, issuer_of_all(1999)), "security level 2000"),
        (
            with_leaf(DEVICE, world.issuer(world.DEVICE_ISSUER, ISSUE_ALL, by=world.OTHER)),
            "not a trust anchor",
        ),
        (with_leaf(DEVICE, world.issuer(world.DEVICE_ISSUER, cert.ISSUE_METERING)), "usages"),
        (second.challenge(replace(world.CLIENT, signing=world.OTHER), WISH), "not the signing key"),
        (second.challenge(world.CLIENT, replace(WISH, version="2")), "Version 2"),
        (second.challenge(world.CLIENT, replace(WISH, nonce=bytes(15))), "LicenseNonce"),
        (second.challenge(world.CLIENT, WISH).replace(b">1790000000<", b">1790000001<"), "altered"),
    ],
)
def test_a_refusal_names_what_is_wrong_with_a_challenge(
    store: Store, body: bytes, text: str
) -> None:
    assert text in refusal_of(store, body).text


@pytest.mark.parametrize(
    ("level", "needed"), [(150, 151), (150, 2000), (150, 3000), (2000, 3000), (1999, 2000)]
)
def test_a_licence_above_the_devices_security_level_is_refused_with_both(
    store: Store, level: int, needed: int
) -> None:
    body = with_leaf(replace(DEVICE, level=level))
    refusal = refusal_of(store, body, Policy(security_level=needed))
    assert isinstance(refusal, ServiceSpecific)
    assert refusal.status.hex == "0x8004c604"
    assert f"security level {needed}" in refusal.text
    assert f"certificate has {level}" in refusal.text


@pytest.mark.parametrize("level", [150, 2000, 3000])
def test_a_licence_of_the_devices_own_security_level_is_issued(store: Store, level: int) -> None:
    context = make_context(store, policy=Policy(security_level=level))
    ask(context, with_leaf(replace(DEVICE, level=level)))
    assert len(issued(store)) == 1


COCKTAIL_40 = second.header_40(KIDS[0], algid="COCKTAIL").replace("LEN>16", "LEN>7")
BOTH_COCKTAIL = second.header_42(*KIDS).replace('"AESCTR"', '"COCKTAIL"')


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (COCKTAIL_40, "1"),
        (second.header_41(KIDS[0], algid="COCKTAIL"), "1"),
        (second.header_42(*KIDS, algid="COCKTAIL"), "4"),
        (BOTH_COCKTAIL, "4"),
    ],
)
def test_cocktail_refuses_the_whole_request(store: Store, header: str, version: str) -> None:
    assert "COCKTAIL" in header
    refusal = refusal_of(store, second.challenge(world.CLIENT, second.Wish(header, version)))
    assert isinstance(refusal, ServiceSpecific)
    assert "COCKTAIL" in refusal.text


def test_a_stored_key_that_was_moved_to_another_kid_is_refused(
    store: Store, database_url: str
) -> None:
    context = make_context(store)
    with store.transaction() as transaction:
        for number, kid in enumerate(KIDS):
            key = bytes([number]) * 16
            sealed = context.content_keys.seal(Kid(kid), key, "aesctr", 0, seeded_random(kid))
            transaction.content_keys.record(sealed)
    rows = execute(database_url, "SELECT ciphertext FROM content_keys")
    for kid, moved in zip(KIDS, reversed(rows), strict=True):
        change = "UPDATE content_keys SET ciphertext = :moved WHERE kid = :kid"
        execute(database_url, change, moved=moved[0], kid=kid)
    refusal = refusal_of(store, second.challenge(world.CLIENT, WISH))
    assert "does not open" in refusal.text


def test_a_store_that_fails_is_the_servers_fault(store: Store, database_url: str) -> None:
    context = make_context(store)
    execute(database_url, "ALTER TABLE licenses RENAME TO away")
    with pytest.raises(InternalError, match="the store failed"):
        ask(context, second.challenge(world.CLIENT, WISH))
    execute(database_url, "ALTER TABLE away RENAME TO licenses")
    ask(context, second.challenge(world.CLIENT, WISH))
    assert len(issued(store)) == 1
