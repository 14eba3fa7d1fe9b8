"""Decisions: licences, or a fault that the request asked for."""

from dataclasses import replace

import pytest

from rightsmanager.errors import (
    DeviceCertificateRevoked,
    Refusal,
    ServiceSpecific,
    StatusCode,
)
from rightsmanager.policy.decision import (
    NO_DOMAIN,
    SPECIAL_CHAINED,
    SPECIAL_DOMAIN,
    SPECIAL_ROOT,
    Decision,
    DefaultDomain,
    LicenseQuery,
    decide,
)
from rightsmanager.policy.grants import Policy, default_grants
from rightsmanager.policy.reflection import Client, client_info
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.wire import AccountId, ServiceId, TransactionId
from tests.policy.sample import KIDS, header
from tests.second import certificates as cert
from tests.second import world

CLIENT = Client(parse_chain(world.DEVICE_CHAIN), "10.0.16384.10011", 1506866400)
ASKED = LicenseQuery(header(*KIDS), "", None, CLIENT, "http://drm.example/rightsmanager.asmx")
SERVICE, ACCOUNT = ServiceId(b"our service id 1"), AccountId(b"account id 00001")
OTHER = AccountId(b"account id 00002")
DOMAIN = DefaultDomain(SERVICE, ACCOUNT)
TID = "3033E8F0-FB1B-4170-AD5C-60549AAB2C79"


def decided(query: str = "", custom_data: str | None = None, of: LicenseQuery = ASKED) -> Decision:
    return decide(replace(of, query=query, custom_data=custom_data), Policy())


def requested_fault(query: str) -> Refusal:
    decision = decided(query)
    assert decision.grants == ()
    assert decision.refusal is not None
    return decision.refusal


@pytest.mark.parametrize("custom_data", [None, "", "a token", "[{'sl':3000}]"])
def test_without_parameters_it_is_the_default(custom_data: str | None) -> None:
    expected = Decision(default_grants(ASKED.header, Policy()))
    assert expected == decided("", custom_data)


def test_custom_data_and_url_give_the_same_decision() -> None:
    assert decided("", "json=[{'sl':2000}]") == decided("cfg=(sl:2000)")


def test_a_licence_above_the_devices_level_is_refused() -> None:
    with pytest.raises(ServiceSpecific, match=r"needs security level 3000, .* has 2000"):
        decided("cfg=(sl:3000)")


@pytest.mark.parametrize("name", ["readright", "executeright", "copyright"])
@pytest.mark.parametrize("features", [(), (2, 13)])
def test_only_clients_without_playready_3_features_get_old_rights(
    name: str, features: tuple[int, ...]
) -> None:
    leaf = cert.Subject(cert.DEVICE, world.DEVICE_KEYS, features=features)
    client = replace(CLIENT, chain=parse_chain(world.device_chain(leaf)))
    asked = replace(ASKED, client=client)
    if features:
        with pytest.raises(ServiceSpecific, match=f"{name} is 'true', expected false"):
            decided(f"cfg=({name}:true)", of=asked)
    else:
        assert len(decided(f"cfg=({name}:true)", of=asked).grants) == 3


@pytest.mark.parametrize("status", list(StatusCode))
@pytest.mark.parametrize("form", ["cfg=(errorcode:{})", "ErrorCode={}"])
@pytest.mark.parametrize("spelling", ["0x{:08x}", "{:08X}"])
def test_every_error_code_is_returned_on_request(
    status: StatusCode, form: str, spelling: str
) -> None:
    refusal = requested_fault(form.format(spelling.format(status)))
    assert refusal.status == status
    assert refusal.text.startswith(f"errorcode {status.hex} was asked for: ")


def test_some_codes_have_details() -> None:
    details = {
        status: (refusal.custom_data, refusal.redirect_url)
        for status in StatusCode
        if (refusal := requested_fault(f"cfg=(errorcode:{status.hex})"))
    }
    assert details.pop(StatusCode.PROTOCOL_REDIRECT) == (None, ASKED.url)
    assert details.pop(StatusCode.SERVICE_SPECIFIC) == ("errorcode 0x8004c604 was asked for", None)
    assert details.pop(StatusCode.DEVICE_LIMIT_REACHED) == (ASKED.url, None)
    assert set(details.values()) == {(None, None)}


def test_revoked_returns_the_fault_of_a_revoked_device() -> None:
    assert isinstance(requested_fault("cfg=(revoked:true)"), DeviceCertificateRevoked)
    assert decided("cfg=(revoked:false)").refusal is None


@pytest.mark.parametrize(
    "query",
    [
        "cfg=(msg:clientinfo)",
        "cfg=(clientinfo)",
        "cfg=(clientinfo:true)",
        "cfg=(),(msg:clientinfo)",
    ],
)
def test_client_info_is_returned_in_custom_data(query: str) -> None:
    refusal = requested_fault(query)
    assert refusal.status == StatusCode.SERVICE_SPECIFIC
    assert refusal.custom_data == client_info(CLIENT)


def test_a_transaction_id_applies_to_the_whole_reply() -> None:
    assert decided(f"cfg=(tid:{TID})").transaction_id == TransactionId.from_text(TID)
    groups = [f"(kid:{kid},tid:{TID})" for kid in KIDS[:2]]
    assert decided(f"cfg={','.join(groups)}").transaction_id == TransactionId.from_text(TID)


def test_two_transaction_ids_are_refused() -> None:
    other = TID.replace("3033", "3034")
    with pytest.raises(ServiceSpecific, match="expected the same one in every group"):
        decided(f"cfg=(kid:{KIDS[0]},tid:{TID}),(kid:{KIDS[1]},tid:{other})")


def test_one_key_of_old_test_content_gets_root_and_leaf_for_five_minutes() -> None:
    asked = replace(ASKED, header=header(KIDS[0], SPECIAL_CHAINED))
    found = decided(of=asked).grants
    assert [(each.kid, each.is_root, each.root_kid, each.policy.end(1000)) for each in found] == [
        (SPECIAL_ROOT, True, None, 1300),
        (KIDS[0], False, None, None),
        (SPECIAL_CHAINED, False, SPECIAL_ROOT, 1300),
    ]
    (plain,) = decided("cfg=()", of=replace(ASKED, header=header(SPECIAL_CHAINED))).grants
    assert plain.root_kid is None


def test_another_key_of_old_test_content_is_bound_to_the_default_account() -> None:
    asked = replace(ASKED, header=header(KIDS[0], SPECIAL_DOMAIN))
    found = decide(asked, Policy(), DOMAIN).grants
    assert [(each.kid, each.account_id) for each in found] == [
        (KIDS[0], None),
        (SPECIAL_DOMAIN, ACCOUNT),
    ]
    (plain,) = decide(replace(asked, query=f"cfg=(kid:{KIDS[0]})"), Policy(), DOMAIN).grants
    assert plain.account_id is None
    with pytest.raises(ServiceSpecific, match="expected accountid or a default account"):
        decided(of=replace(ASKED, header=header(SPECIAL_DOMAIN)))


@pytest.mark.parametrize("query", ["", "cfg=(sl:150)"])
def test_content_with_the_servers_ds_id_is_bound_to_the_default_account(query: str) -> None:
    ours = replace(ASKED.header, ds_id=SERVICE)
    asked = replace(ASKED, header=ours, query=query)
    assert {each.account_id for each in decide(asked, Policy(), DOMAIN).grants} == {ACCOUNT}
    named = replace(asked, query=f"cfg=(accountid:{OTHER.text})")
    assert {each.account_id for each in decide(named, Policy(), DOMAIN).grants} == {OTHER}
    for domain in (NO_DOMAIN, DefaultDomain(SERVICE, None), DefaultDomain(ServiceId(bytes(16)))):
        assert {each.account_id for each in decide(asked, Policy(), domain).grants} == {None}
