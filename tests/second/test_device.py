"""The second implementation of a server accepts the project's own device."""

import base64

import pytest

from rightsmanager.crypto.p256 import Backend
from rightsmanager.crypto.p256_backends import available_backends
from rightsmanager.crypto.random import seeded_random
from rightsmanager.protocol.messages.challenge import (
    LicenseRequest,
    RevocationListInfo,
    seal_license_challenge,
)
from rightsmanager.protocol.wire import Guid
from tests.operations.subject import private_key, public_key
from tests.second import challenge as second
from tests.second import curve, world
from tests.second.server import Challenge, read_challenge

KID = bytes(range(16))
HEADERS = {
    1: second.header_40(KID),
    4: second.header_42(KID, bytes(16)),
    5: second.header_43(KID, bytes(16), algid="AESCBC"),
}
LIST = RevocationListInfo(Guid(bytes(range(16))), 7)


def sealed(version: int, backend: Backend, **more: object) -> Challenge:
    request = LicenseRequest(
        header=HEADERS[version],
        version=version,
        nonce=bytes(range(16)),
        client_time=1790000000,
        client_version="4.4.0.1 <&>",
        chain=world.DEVICE_CHAIN,
        **more,  # type: ignore[arg-type] # the optional fields
    )
    body = seal_license_challenge(
        request,
        private_key(world.DEVICE_SIGNING),
        public_key(world.SERVER),
        backend,
        seeded_random(b"device"),
    )
    return read_challenge(body, world.SERVER, curve.public(world.ROOT))


@pytest.mark.parametrize("backend", available_backends(), ids=lambda backend: backend.name)
@pytest.mark.parametrize("version", HEADERS)
def test_a_challenge_has_its_elements_in_order(backend: Backend, version: int) -> None:
    read = sealed(version, backend)
    assert read.names == (
        *("Version", "ContentHeader", "CLIENTINFO"),
        *("LicenseNonce", "ClientTime", "EncryptedData"),
    )
    assert read.texts["Version"] == str(version)
    assert base64.b64decode(read.texts["LicenseNonce"]) == bytes(range(16))
    assert read.texts["ClientTime"] == "1790000000"
    assert HEADERS[version] == read.header
    assert (read.features, read.ree) == (("AESCBC",), ("AESCBCS",))
    assert curve.public(world.DEVICE_ENCRYPTION) == read.encryption_key


def test_optional_elements_have_their_place() -> None:
    custom = " a <b> & \r\n\u00e4\U0001f511 "
    read = sealed(1, available_backends()[0], custom_data=custom, revocation_lists=(LIST,))
    assert read.names == (
        *("Version", "ContentHeader", "CLIENTINFO", "RevocationLists", "CustomData"),
        *("LicenseNonce", "ClientTime", "EncryptedData"),
    )
    assert read.texts["CustomData"] == custom


def test_a_client_without_features_has_an_empty_element() -> None:
    read = sealed(1, available_backends()[0], features=(), ree_features=())
    assert (read.features, read.ree) == ((), ())
