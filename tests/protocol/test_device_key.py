"""A certificate's keys as the server uses them: to know a device, and to bind licences to it."""

import base64
import hashlib

import pytest

from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert import KeyUsage, parse_chain
from tests.second import certificates as cert
from tests.second import world

LEAF = parse_chain(world.DEVICE_CHAIN).leaf


def test_the_device_id_is_the_hash_of_the_signing_key() -> None:
    key = LEAF.key_with_usage(KeyUsage.SIGN)
    assert key is not None
    assert LEAF.device_id == base64.b64encode(hashlib.sha256(key.raw).digest()).decode()


def test_licences_are_bound_to_the_key_with_the_usage_to_encrypt_keys() -> None:
    assert LEAF.encryption_key == LEAF.key_with_usage(KeyUsage.ENCRYPT_KEY)


def test_a_leaf_without_such_keys_is_refused() -> None:
    subject = cert.Subject(cert.DEVICE, ((world.OTHER, ()),))
    leaf = parse_chain(world.device_chain(subject)).leaf
    with pytest.raises(InvalidMessage, match="no key with the usage to sign"):
        _ = leaf.device_id
    with pytest.raises(InvalidMessage, match="no key with the usage to encrypt keys"):
        _ = leaf.encryption_key
