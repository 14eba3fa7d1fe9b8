"""The objects of a licence for each parameter, byte for byte, in the order of the format."""

from typing import Any

import pytest

from rightsmanager.policy.defaults import Clocks, LicenseDefaults
from rightsmanager.policy.granting import grant_licenses
from rightsmanager.policy.grants import Policy
from rightsmanager.policy.licenses import policy_objects
from rightsmanager.policy.parameters import PARAMETERS
from rightsmanager.policy.query import (
    Spelling,
    parse_custom_data,
    parse_query,
    parse_request,
    write,
)
from rightsmanager.protocol.formats.xmr.table import build_objects
from tests.policy.sample import OWN_MID, VECTORS, header

TESTS = VECTORS["tests"]
NO_OBJECT = {"accountid", "rootid", "usedomains", "errorcode", "revoked", "msg", "clientinfo"}
"""Parameters without an object in the policy of a licence."""


def expected(test: dict[str, Any]) -> bytes:
    return bytes.fromhex("".join(test["objects"]))


def objects(query: str, custom_data: str | None = None, default: Policy | None = None) -> bytes:
    requested_licenses = parse_request(query, custom_data).licenses or ((),)
    defaults, now = LicenseDefaults(default or Policy()), VECTORS["issued_at"]
    (grant,) = grant_licenses(requested_licenses, header(), defaults, Clocks(now, now)).grants
    return build_objects(policy_objects(grant.policy, now, OWN_MID))


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test["query"][:60])
def test_a_licence_has_the_objects_of_its_parameters(test: dict[str, Any]) -> None:
    assert expected(test).hex(" ") == objects(test["query"]).hex(" ")


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test["query"][:60])
def test_the_objects_are_the_same_in_each_other_spelling(test: dict[str, Any]) -> None:
    requested_licenses = parse_query(test["query"]) or ((),)
    for spelling in (Spelling.CFG, Spelling.CFG64):
        assert expected(test) == objects(write(requested_licenses, spelling))
    assert expected(test) == objects("", write(requested_licenses, Spelling.JSON))


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test["query"][:60])
def test_every_spelling_reads_what_it_wrote(test: dict[str, Any]) -> None:
    requested_licenses = parse_query(test["query"])
    if requested_licenses:
        assert requested_licenses == parse_query(write(requested_licenses, Spelling.CFG))
        assert requested_licenses == parse_query(write(requested_licenses, Spelling.CFG64))
        assert requested_licenses == parse_custom_data(write(requested_licenses, Spelling.JSON))


def test_every_parameter_has_a_vector() -> None:
    tested = {test["parameter"] for test in TESTS}
    assert {parameter.name for parameter in PARAMETERS} - NO_OBJECT <= tested


def test_the_servers_defaults_apply_to_other_parameters() -> None:
    default = Policy(security_level=2000, persistent=True, valid_for=60, begin=5)
    asked = objects("cfg=(sl:150,simple:true)", default=default)
    end = VECTORS["issued_at"] + 60
    assert b"\0\x34\0\0\0\x0a\0\x96" in asked
    assert b"\0\x0d\0\0\0\x0a\0\x01" in asked
    assert bytes.fromhex("00010012 00000010 00000005") + end.to_bytes(4) in asked


def test_a_requested_expiration_replaces_the_default_one() -> None:
    asked = objects("cfg=(expiration:20300102030405)", default=Policy(valid_for=60))
    assert bytes.fromhex("00010012 00000010 00000000 70dd5525") in asked
