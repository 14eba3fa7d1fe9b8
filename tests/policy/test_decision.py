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
    SPECIAL_CHAINED,
    SPECIAL_DOMAIN,
    SPECIAL_ROOT,
    Decision,
    LicenseQuery,
    apply_level,
    decide,
    default_grants,
)
from rightsmanager.policy.defaults import NO_DOMAIN, DefaultDomain, LicenseDefaults
from rightsmanager.policy.device import Device
from rightsmanager.policy.grants import Policy
from rightsmanager.policy.parameters import BY_NAME
from rightsmanager.policy.query import Spelling, parse_query, write
from rightsmanager.policy.reflection import client_info
from rightsmanager.policy.rules import (
    AboveLevel,
    OtherKids,
    RemovalDateConflicts,
    Rules,
    WarningCode,
)
from rightsmanager.protocol.formats.bcert import parse_chain
from rightsmanager.protocol.wire import AccountId, ServiceId, TransactionId
from tests.policy.sample import KIDS, header
from tests.second import certificates as cert
from tests.second import world

CLIENT = Device(
    "", parse_chain(world.DEVICE_CHAIN), client_version="10.0.16384.10011", client_time=1506866400
)
ASKED = LicenseQuery(header(*KIDS), "", None, CLIENT, "http://drm.example/rightsmanager.asmx")
SERVICE, ACCOUNT = ServiceId(b"our service id 1"), AccountId(b"account id 00001")
OTHER = AccountId(b"account id 00002")
DOMAIN = DefaultDomain(SERVICE, ACCOUNT)
NOW = 1790000000
TID = "3033E8F0-FB1B-4170-AD5C-60549AAB2C79"


def as_json(query: str) -> str:
    """Return the CustomData that requests the same as a query."""
    return write(parse_query(query), Spelling.JSON)


def decided(query: str = "", custom_data: str | None = None, of: LicenseQuery = ASKED) -> Decision:
    return decide(replace(of, query=query, custom_data=custom_data), LicenseDefaults(), NOW)


def requested_fault(query: str) -> Refusal:
    decision = decided(query)
    assert decision.grants == ()
    assert decision.refusal is not None
    return decision.refusal


@pytest.mark.parametrize("custom_data", [None, "", "a token"])
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
    asked = replace(ASKED, device=client)
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
    found = decide(asked, LicenseDefaults(domain=DOMAIN), NOW).grants
    assert [(each.kid, each.account_id) for each in found] == [
        (KIDS[0], None),
        (SPECIAL_DOMAIN, ACCOUNT),
    ]
    (plain,) = decide(
        replace(asked, query=f"cfg=(kid:{KIDS[0]})"), LicenseDefaults(domain=DOMAIN), NOW
    ).grants
    assert plain.account_id is None
    with pytest.raises(ServiceSpecific, match="expected accountid or a default account"):
        decided(of=replace(ASKED, header=header(SPECIAL_DOMAIN)))


@pytest.mark.parametrize("query", ["", "cfg=(sl:150)"])
def test_content_with_the_servers_ds_id_is_bound_to_the_default_account(query: str) -> None:
    ours = replace(ASKED.header, ds_id=SERVICE)
    asked = replace(ASKED, header=ours, query=query)
    assert accounts(asked, DOMAIN) == {ACCOUNT}
    assert accounts(replace(asked, query=f"cfg=(accountid:{OTHER.text})"), DOMAIN) == {OTHER}
    for domain in (NO_DOMAIN, DefaultDomain(SERVICE, None), DefaultDomain(ServiceId(bytes(16)))):
        assert accounts(asked, domain) == {None}


def accounts(asked: LicenseQuery, domain: DefaultDomain) -> set[AccountId | None]:
    grants = decide(asked, LicenseDefaults(domain=domain), NOW).grants
    return {each.account_id for each in grants}


@pytest.mark.parametrize("query", ["cfg=(usedomains:true)", "UseDomains=1"])
def test_a_licence_is_bound_to_the_default_account_on_request(query: str) -> None:
    asked = replace(ASKED, query=query)
    assert accounts(asked, DOMAIN) == {ACCOUNT}
    with pytest.raises(ServiceSpecific, match="expected accountid or a default account"):
        decide(asked, LicenseDefaults(), NOW)


# --- levels above the device's ----------------------------------------------------------------

TWO_LEVELS = f"cfg=(kid:{KIDS[0]},sl:3000),(kid:{KIDS[1]},sl:2000)"


def levels(query: str, rule: AboveLevel) -> Decision:
    defaults = LicenseDefaults(rules=Rules(above_level=rule))
    return decide(replace(ASKED, query=query), defaults, NOW)


@pytest.mark.parametrize(
    ("custom_data", "query"), [(None, TWO_LEVELS), (as_json(TWO_LEVELS), "")], ids=["url", "json"]
)
def test_a_licence_above_the_devices_level_is_dropped_with_a_warning(
    custom_data: str | None, query: str
) -> None:
    decision = decided(query, custom_data)
    assert [grant.kid for grant in decision.grants] == [KIDS[1]]
    (warning,) = decision.warnings
    assert warning.code is WarningCode.ABOVE_LEVEL
    assert f"KID {KIDS[0].text} needs security level 3000" in warning.text


def test_a_leaf_is_dropped_with_its_root() -> None:
    query = (
        f"cfg=(isroot:true,kid:{SPECIAL_ROOT},sl:3000),(kid:{KIDS[0]},rootid:{SPECIAL_ROOT}),"
        f"(kid:{KIDS[1]})"
    )
    assert [grant.kid for grant in decided(query).grants] == [KIDS[1]]
    with pytest.raises(ServiceSpecific, match="needs security level 3000"):
        decided(query.replace(f",(kid:{KIDS[1]})", ""))


def test_by_rule_a_licence_above_the_devices_level_is_refused_or_issued() -> None:
    with pytest.raises(ServiceSpecific, match="needs security level 3000"):
        levels(TWO_LEVELS, AboveLevel.REFUSE)
    for query in (TWO_LEVELS, "cfg=(sl:3000)"):
        decision = levels(query, AboveLevel.ISSUE)
        assert max(grant.policy.security_level for grant in decision.grants) == 3000
        assert {warning.code for warning in decision.warnings} == {WarningCode.ABOVE_LEVEL}


def test_a_decision_that_is_checked_again_has_each_warning_once() -> None:
    decision = levels(TWO_LEVELS, AboveLevel.ISSUE)
    assert apply_level(decision, 2000, Rules(above_level=AboveLevel.ISSUE)) == decision


# --- keys that the header does not have -------------------------------------------------------


def test_of_more_keys_than_the_headers_the_headers_get_licences() -> None:
    asked = replace(ASKED, header=header(KIDS[0]))
    for query in (
        f"cfg=(kid:{KIDS[0]}),(kid:{KIDS[1]}),(kid:{KIDS[2]})",
        f"cfg=(kid:header),(kid:{KIDS[1]}),(kid:{KIDS[2]})",
    ):
        for given in (
            replace(asked, query=query),
            replace(asked, custom_data=as_json(query)),
        ):
            decision = decide(given, LicenseDefaults(), NOW)
            assert [grant.kid for grant in decision.grants] == [KIDS[0]]
            assert [warning.text for warning in decision.warnings] == [
                f"KID {kid.text} gets no licence: it is not in the header" for kid in KIDS[1:]
            ]


def test_by_rule_other_keys_than_the_headers_get_licences() -> None:
    asked = replace(ASKED, header=header(KIDS[0]))
    defaults = LicenseDefaults(rules=Rules(other_kids=OtherKids.ISSUE))
    for query, kids in (
        (f"cfg=(kid:header),(kid:{KIDS[1]})", KIDS[:2]),
        (f"cfg=(kid:{KIDS[1]})", KIDS[1:2]),
    ):
        decision = decide(replace(asked, query=query), defaults, NOW)
        assert tuple(grant.kid for grant in decision.grants) == kids
        assert decision.warnings == ()


@pytest.mark.parametrize(
    "query",
    [
        f"cfg=(kid:{KIDS[1]})",
        f"cfg=(kid:{KIDS[1]}),(kid:{KIDS[2]})",
        f"cfg=(isroot:true,kid:{SPECIAL_ROOT}),(kid:{KIDS[1]},rootid:{SPECIAL_ROOT})",
    ],
)
def test_a_request_without_a_key_of_the_header_is_refused(query: str) -> None:
    asked = replace(ASKED, header=header(KIDS[0]))
    with pytest.raises(ServiceSpecific, match=f"kid is {KIDS[1]}, expected header or one of the"):
        decided(query, of=asked)


# --- the published scenario of root and leaf -----------------------------------------------------


def test_the_published_scenario_gives_root_and_leaf_of_one_kid_for_five_minutes() -> None:
    kid = SPECIAL_CHAINED.base64
    asked = replace(ASKED, header=header(SPECIAL_CHAINED))
    root, leaf = decided(f"cfg=(rootid:{kid},kid:header),(isroot:true,kid:{kid})", of=asked).grants
    assert (root.kid, root.is_root, root.root_kid) == (SPECIAL_CHAINED, True, None)
    assert (leaf.kid, leaf.is_root, leaf.root_kid) == (SPECIAL_CHAINED, False, SPECIAL_CHAINED)
    assert {grant.policy.end(NOW) for grant in (root, leaf)} == {NOW + 300}
    later = f"cfg=(rootid:{kid},kid:header,expiration:20300101),(isroot:true,kid:{kid})"
    assert decided(later, of=asked).grants[1].policy.end(NOW) == 1893456000


# --- relative dates ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["begindate", "expiration", "enddate", "removaldate"])
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("+120", 120),
        ("-120", -120),
        ("+0", 0),
        ("P1D", 86400),
        ("+PT5M", 300),
        ("-PT1H30M", -5400),
        ("pt10s", 10),
    ],
)
def test_dates_may_be_relative_to_the_time_of_the_request(
    name: str, text: str, seconds: int
) -> None:
    parameter = BY_NAME[name]
    field = parameter.sets.removeprefix("policy.")
    queries = [f"cfg=(persist:true,{name}:{text})", f"cfg=(persist:true,{name}:%2B{text[1:]})"]
    for query in queries[: 2 if text.startswith("+") else 1]:
        (grant, *_) = decided(query).grants
        assert getattr(grant.policy, field) == NOW + seconds
    assert decided("", as_json(queries[0])) == decided(queries[0])
    if parameter.legacy:
        (grant, *_) = decided(f"{parameter.legacy}={text}").grants
        assert getattr(grant.policy, field) == NOW + seconds


@pytest.mark.parametrize(
    "text", ["+", "++1", "+1h", "1", "+1.5", "P", "P1M", "P1Y", "--PT1S", "+99999999999"]
)
def test_other_relative_dates_are_refused(text: str) -> None:
    with pytest.raises(ServiceSpecific, match="expected a date"):
        decided(f"cfg=(expiration:{text})")
    with pytest.raises(ServiceSpecific, match="expected a date"):
        decided(f"Expiration={text}")


@pytest.mark.parametrize("text", ["-1790000001", "+4294967295", "-P24000D"])
def test_relative_dates_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(ServiceSpecific, match="expected a date from 1970 to 2106"):
        decided(f"cfg=(begindate:{text})")


# --- the client's clock -----------------------------------------------------------------------


@pytest.mark.parametrize("query", ["cfg=(begindate:client)", "BeginDate=Client"])
def test_a_licence_may_begin_at_the_time_of_the_clients_clock(query: str) -> None:
    (grant, *_) = decided(query).grants
    assert grant.policy.begin == CLIENT.client_time
    lost = replace(ASKED, device=replace(CLIENT, client_time=-1))
    with pytest.raises(ServiceSpecific, match="begindate is 'client', expected a date from 1970"):
        decided(query, of=lost)


@pytest.mark.parametrize("difference", [0, 60, -60])
def test_by_rule_a_clients_clock_may_differ_by_some_seconds(difference: int) -> None:
    assert clock_decided(difference, 60).grants


def clock_decided(difference: int, allowed: int) -> Decision:
    device = replace(CLIENT, client_time=NOW + difference)
    rules = Rules(max_clock_difference_seconds=allowed)
    return decide(replace(ASKED, device=device), LicenseDefaults(rules=rules), NOW)


@pytest.mark.parametrize("difference", [61, -61, 86400, -NOW])
def test_by_rule_a_clients_clock_that_differs_more_is_refused(difference: int) -> None:
    with pytest.raises(ServiceSpecific, match=rf"differs by \{difference:+d} s .* at most 60 s"):
        clock_decided(difference, 60)
    assert clock_decided(difference, 0).grants


# --- removal dates -----------------------------------------------------------------------------


def test_by_rule_a_removal_date_that_conflicts_is_a_warning() -> None:
    defaults = LicenseDefaults(rules=Rules(removal_date_conflicts=RemovalDateConflicts.WARN))
    query = "cfg=(persist:true,expiration:20300101,removaldate:20310101)"
    decision = decide(replace(ASKED, query=query), defaults, NOW)
    assert len(decision.grants) == 3
    (warning,) = decision.warnings
    assert warning.code is WarningCode.REMOVAL_DATE
    assert warning.text.startswith("removaldate '20310101' is given with expiration '20300101'")


# --- limits -------------------------------------------------------------------------------------


def limited(max_kids: int, query: str = "") -> Decision:
    defaults = LicenseDefaults(rules=Rules(max_kids=max_kids))
    return decide(replace(ASKED, query=query), defaults, NOW)


def test_more_kids_than_the_limit_are_refused() -> None:
    assert len(limited(len(KIDS)).grants) == len(KIDS)
    with pytest.raises(ServiceSpecific) as refused:
        limited(len(KIDS) - 1)
    assert refused.value.text == (
        f"the header has {len(KIDS)} KIDs, expected at most {len(KIDS) - 1} (license.max_kids)"
    )


def test_more_licences_than_the_limit_are_refused() -> None:
    groups = ",".join(f"(isroot:true,kid:{AccountId(bytes([n]) * 16).base64})" for n in range(9))
    with pytest.raises(ServiceSpecific, match=r"the request is for 9 licences, expected at most 8"):
        limited(8, f"cfg={groups}")
