"""Capabilities of devices: ciphers and rights that are refused, parameters that are warned of."""

import pytest

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.capabilities import (
    find_capability_warnings,
    refuse_rights,
    refuse_undeclared_cbc,
)
from rightsmanager.policy.defaults import Clocks, LicenseDefaults
from rightsmanager.policy.device import Device
from rightsmanager.policy.granting import grant_licenses
from rightsmanager.policy.query import parse_query
from rightsmanager.policy.rules import AesCbc, Rules, WarningCode
from rightsmanager.protocol.formats.bcert import Feature, parse_chain
from rightsmanager.protocol.formats.xmr.objects import KeyType
from tests.policy.sample import KIDS, header
from tests.second import certificates as cert
from tests.second import world

NOW = 1790000000
PLAYREADY_3 = Feature.PLAYREADY_3
SECURE_CLOCK = Feature.SECURE_CLOCK
ANTI_ROLLBACK_CLOCK = Feature.ANTI_ROLLBACK_CLOCK


def device(*in_certificate: Feature, features: tuple[str, ...] = ()) -> Device:
    leaf = cert.Subject(cert.DEVICE, world.DEVICE_KEYS, features=tuple(map(int, in_certificate)))
    return Device("", parse_chain(world.device_chain(leaf)), features=features)


def warnings(query: str, of: Device) -> list[str]:
    requested = parse_query(query)
    grants = grant_licenses(requested, header(), LicenseDefaults(), Clocks(NOW, NOW)).grants
    found = find_capability_warnings(requested, grants, of)
    assert {each.code for each in found} <= {WarningCode.CLIENT}
    return [each.text for each in found]


@pytest.mark.parametrize("features", [(), ("AESCTR",), ("aescbc",)])
def test_a_key_for_cbc_is_refused_to_a_device_that_does_not_declare_it(
    features: tuple[str, ...],
) -> None:
    of = device(features=features)
    with pytest.raises(ServiceSpecific, match=f"KID {KIDS[0]} is for AES-CBC, expected AES-CTR"):
        refuse_undeclared_cbc(KIDS[0], KeyType.AES_CBC, of, Rules())
    refuse_undeclared_cbc(KIDS[0], KeyType.AES_CTR, of, Rules())
    refuse_undeclared_cbc(KIDS[0], KeyType.AES_CBC, of, Rules(aes_cbc=AesCbc.ANY))


def test_a_device_that_declares_cbc_gets_keys_for_it() -> None:
    declared = device(features=("X", "AESCBC"))
    refuse_undeclared_cbc(KIDS[0], KeyType.AES_CBC, declared, Rules())


@pytest.mark.parametrize("name", ["readright", "executeright", "copyright"])
def test_some_rights_are_not_for_clients_with_playready_3_features(name: str) -> None:
    newer = device(PLAYREADY_3)
    refuse_rights(parse_query(f"cfg=({name}:false,sl:150)"), newer)
    refuse_rights(parse_query(f"cfg=({name}:true)"), device())
    with pytest.raises(ServiceSpecific, match=f"{name} is 'true', expected false for a client"):
        refuse_rights(parse_query(f"cfg=(sl:150),({name}:true)"), newer)


@pytest.mark.parametrize("asked", ["realtime:true", "securestop:true", "maxres:1920x1080"])
def test_newer_parameters_are_warned_of_for_older_clients(asked: str) -> None:
    name = asked.partition(":")[0]
    (warning,) = warnings(f"cfg=({asked})", device())
    assert warning.startswith(f"{name} is only known to clients with PlayReady 3 features")
    assert warnings(f"cfg=({asked})", device(PLAYREADY_3)) == []


@pytest.mark.parametrize("asked", ["begindate:20200101", "enddate:+60", "firstexp:60"])
def test_time_limits_are_warned_of_for_devices_without_a_clock(asked: str) -> None:
    (warning,) = warnings(f"cfg=({asked})", device(PLAYREADY_3))
    assert warning == "the licence has time limits, and the device's certificate has no clock"
    for clock in (SECURE_CLOCK, ANTI_ROLLBACK_CLOCK):
        assert warnings(f"cfg=({asked})", device(clock)) == []


def test_other_parameters_cause_no_warning() -> None:
    assert warnings("cfg=(realtime:false,securestop:false,sl:150)", device()) == []
