"""Metering ids: each with a key of its own, shared through the store, retired and never lost."""

from itertools import count

import pytest

from rightsmanager.admin.metering_ids import MeteringIds
from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import InternalError, InvalidMessage, ServiceSpecific
from rightsmanager.keyring import MeteringIdentity
from rightsmanager.operations.metering_keys import MeteringKeys
from rightsmanager.protocol.formats.bcert import (
    CertificateType,
    Key,
    KeyUsage,
    Template,
    chain_under,
    issue,
    parse_chain,
)
from rightsmanager.protocol.formats.bcert.objects import Metering
from rightsmanager.protocol.messages.metering import read_metering_certificate
from rightsmanager.protocol.wire import Mid
from rightsmanager.store.database import Store
from tests.operations.subject import STORAGE_KEY, private_key

ISSUER = private_key(2001)
URL = "http://127.0.0.1/reports"
OWN_MID = Mid(bytes(15) + b"\1")
NOW = 1790000000
OWN_KEY = 3000
_keys = count(OWN_KEY)


def certify(mid: Mid, url: str) -> MeteringIdentity:
    key = private_key(next(_keys))
    template = Template(
        type=CertificateType.METERING,
        security_level=3000,
        certificate_id=bytes(16),
        keys=(Key(key.public, (KeyUsage.ENCRYPT_KEY,)),),
        objects=(Metering(mid, url),),
    )
    return MeteringIdentity(
        key, read_metering_certificate(chain_under(issue(template, ISSUER), None))
    )


OWN = certify(OWN_MID, URL)


def metering_ids(store: Store) -> MeteringIds:
    return MeteringIds(OWN, STORAGE_KEY, store, lambda: NOW, seeded_random(b"metering ids"))


def metering_keys(store: Store, storage_key: bytes = STORAGE_KEY) -> MeteringKeys:
    return MeteringKeys(OWN, storage_key, store)


def create(store: Store, name: str = "music") -> Mid:
    return metering_ids(store).create(certify, name, URL)


def test_the_keyrings_own_metering_id_always_exists(store: Store) -> None:
    keys = metering_keys(store)
    assert keys.own_mid == OWN_MID
    assert keys.find_keys(OWN_MID) == (OWN.key,)
    assert keys.find_certificate(OWN_MID) == OWN.certificate.chain.raw
    (only,) = metering_ids(store).find_all()
    assert (only.mid, only.is_own, only.retired_at, only.created_at) == (OWN_MID, True, None, None)


def test_every_process_knows_a_created_metering_id_at_once(store: Store) -> None:
    keys = metering_keys(store)
    with pytest.raises(InvalidMessage, match="is unknown to this server"):
        keys.find_keys(Mid(bytes(16)))
    mid = create(store)
    (key,) = keys.find_keys(mid)
    certificate = read_metering_certificate(parse_chain(keys.find_certificate(mid)))
    assert (certificate.mid, certificate.url, certificate.key) == (mid, URL, key.public)
    assert keys.by_name(mid.base64) == (key,)
    found = metering_ids(store).find(mid)
    assert (found.name, found.created_at, found.is_own) == ("music", NOW, False)


def test_each_has_a_key_of_its_own_and_they_are_listed_oldest_first(store: Store) -> None:
    mids = [metering_ids(store).create(certify, name, URL, Mid(raw * 16)) for name, raw in MADE]
    keys = metering_keys(store)
    assert len({keys.find_keys(mid)[0].raw for mid in mids}) == len(mids)
    assert [each.mid for each in metering_ids(store).find_all()] == [OWN_MID, *mids]


MADE = [("one", b"\1"), ("two", b"\2"), ("three", b"\3")]


def test_a_retired_metering_id_decrypts_but_is_not_issued(store: Store) -> None:
    mid = create(store)
    metering_ids(store).retire(mid)
    for keys in (metering_keys(store), metering_keys(store)):
        assert isinstance(keys.find_keys(mid)[0], PrivateKey)
        with pytest.raises(ServiceSpecific, match="is retired, expected one in use"):
            keys.find_certificate(mid)
    assert metering_ids(store).find(mid).retired_at == NOW


def test_impossible_changes_are_refused(store: Store) -> None:
    mid, unknown = create(store), Mid(bytes(16))
    metering_ids(store).retire(mid)
    for told, attempt in (
        ("is retired already", lambda: metering_ids(store).retire(mid)),
        ("is unknown", lambda: metering_ids(store).retire(unknown)),
        ("the keyring's own, which stays", lambda: metering_ids(store).retire(OWN_MID)),
        ("is unknown", lambda: metering_ids(store).find(unknown)),
        ("is unknown to this server", lambda: metering_keys(store).find_certificate(unknown)),
        ("is there already", lambda: metering_ids(store).create(certify, "", URL, mid)),
        ("is there already", lambda: metering_ids(store).create(certify, "", URL, OWN_MID)),
    ):
        with pytest.raises(ServiceSpecific, match=told):
            attempt()
    assert len(metering_ids(store).find_all()) == 2


def test_its_private_key_is_encrypted_in_the_store(store: Store) -> None:
    mid = create(store)
    (key,) = metering_keys(store).find_keys(mid)
    with store.reading() as found:
        stored = found.metering_ids.find(mid)
    assert stored is not None
    assert len(stored.ciphertext) == 60
    assert key.raw not in stored.ciphertext
    with pytest.raises(InternalError, match="does not open"):
        metering_keys(store, bytes(32)).find_keys(mid)
