"""Grants of requested licences, and refusals by name, value and expectation."""

from typing import Any

import pytest

from rightsmanager.errors import ServiceSpecific
from rightsmanager.policy.defaults import Clocks, LicenseDefaults
from rightsmanager.policy.granting import Granted, grant_licenses
from rightsmanager.policy.grants import (
    ExtendedRestriction,
    Grant,
    Policy,
    Protection,
    describe,
)
from rightsmanager.policy.query import parse_query
from rightsmanager.protocol.formats.wrmheader import Algid, Header
from rightsmanager.protocol.formats.xmr.objects import KeyType
from rightsmanager.protocol.wire import AccountId, Guid, Kid, Mid
from tests.policy.sample import KIDS, header

KEY = bytes.fromhex("12341234123412341234123412341237")
NOW = 1790000000
ACCOUNT = AccountId(b"account id 00001")
ROOT = Kid.from_text("3C6F3C13-6207-4916-867C-8252B3993638")


def granted(query: str, of: Header | None = None, default: Policy | None = None) -> Granted:
    defaults = LicenseDefaults(default or Policy())
    return grant_licenses(parse_query(query), of or header(), defaults, Clocks(NOW, NOW))


def grants(query: str, of: Header | None = None, default: Policy | None = None) -> list[Grant]:
    return list(granted(query, of, default).grants)


def refusal(query: str, of: Header | None = None, default: Policy | None = None) -> str:
    with pytest.raises(ServiceSpecific) as caught:
        grants(query, of, default)
    return caught.value.text


# --- keys -----------------------------------------------------------------------------------------


def test_key_seed_and_key_type_come_from_the_request() -> None:
    (grant,) = grants("cfg=(kid:header,contentkey:EjQSNBI0EjQSNBI0EjQSNw==,ckt:aescbc)")
    assert (grant.kid, grant.content_key, grant.key_type) == (KIDS[0], KEY, KeyType.AES_CBC)
    (grant,) = grants("cfg=(keyseed:XVBovsmzhP9gRIZxWfFta3VVRPzVEWmJsazEJ46I)")
    assert grant.key_seed is not None
    assert grant.key_seed.hex() == "5d5068bec9b384ff6044867159f16d6b755544fcd5116989b1acc4278e88"
    assert KEY.hex() not in repr(grant)


@pytest.mark.parametrize(
    ("ckt", "key_type"),
    [
        ("aes128bitctr", KeyType.AES_CTR),
        ("aesctr", KeyType.AES_CTR),
        ("AES128BitCBC", KeyType.AES_CBC),
        ("aescbc", KeyType.AES_CBC),
    ],
)
def test_key_types_have_several_names(ckt: str, key_type: KeyType) -> None:
    assert [grant.key_type for grant in grants(f"cfg=(ckt:{ckt})")] == [key_type]


@pytest.mark.parametrize(
    ("algid", "key_type"),
    [(Algid.AESCTR, KeyType.AES_CTR), (Algid.AESCBC, KeyType.AES_CBC), (None, None)],
)
def test_the_default_key_type_is_the_headers(algid: Algid | None, key_type: KeyType | None) -> None:
    of = header(algid=algid)
    assert [grant.key_type for grant in grants("cfg=(sl:150)", of)] == [key_type]
    assert [grant.key_type for grant in grants(f"cfg=(kid:{KIDS[0]})", of)] == [key_type]


# --- which licences -------------------------------------------------------------------------------


def test_a_group_without_a_kid_gives_a_licence_for_each_key_of_the_header() -> None:
    for query in ("cfg=(sl:2000)", "cfg=(kid:header,sl:2000)"):
        found = grants(query, header(*KIDS))
        assert list(KIDS) == [grant.kid for grant in found]
        assert {grant.policy for grant in found} == {Policy(security_level=2000)}


def test_each_group_is_a_licence_of_its_own() -> None:
    found = grants(f"cfg=(kid:{KIDS[1]},sl:3000),(kid:{KIDS[0].base64},sl:2000)", header(*KIDS))
    assert [(grant.kid, grant.policy.security_level) for grant in found] == [
        (KIDS[1], 3000),
        (KIDS[0], 2000),
    ]


def test_a_header_that_requests_no_licence_gets_none() -> None:
    asked = Header(header().version, header().kids, license_requested=False)
    assert grants("cfg=(sl:150)", asked) == []


def test_a_kid_that_is_not_in_the_header_is_refused() -> None:
    text = refusal(f"cfg=(kid:{KIDS[2]},isroot:false)", header(*KIDS[:2]))
    assert text == f"kid is {KIDS[2]}, expected header or one of the header's: {KIDS[0]}, {KIDS[1]}"


@pytest.mark.parametrize(
    "query",
    [
        "cfg=(),()",
        f"cfg=(kid:header),(kid:{KIDS[0]})",
        "cfg=(kid:header),(kid:header,persist:true)",
        "cfg=(isroot:true),(isroot:true,persist:true)",
        f"cfg=(accountid:{ACCOUNT}),(kid:{KIDS[0]},accountid:{ACCOUNT})",
    ],
)
def test_two_licences_for_one_key_are_refused(query: str) -> None:
    text = refusal(query)
    assert text.startswith(f"kid {KIDS[0]} is requested twice, expected one licence for each KID")


@pytest.mark.parametrize(
    "query",
    [
        f"cfg=(kid:{KIDS[0]}),(isroot:true)",
        f"cfg=(rootid:{KIDS[0]},kid:header),(isroot:true,kid:{KIDS[0]})",
        f"cfg=(kid:header),(accountid:{ACCOUNT})",
    ],
)
def test_a_kid_may_have_licences_as_root_and_leaf_and_for_each_binding(query: str) -> None:
    found = grants(query)
    assert [grant.kid for grant in found] == [KIDS[0], KIDS[0]]
    assert sorted(found, key=lambda grant: not grant.is_root) == found


# --- root and leaf --------------------------------------------------------------------------------


def test_a_root_comes_before_its_leaf() -> None:
    root, leaf = grants(f"cfg=(rootid:{ROOT},kid:header),(isroot:true,kid:{ROOT},persist:true)")
    assert (root.kid, root.is_root, root.root_kid, root.policy.persistent) == (
        ROOT,
        True,
        None,
        True,
    )
    assert (leaf.kid, leaf.is_root, leaf.root_kid, leaf.policy.persistent) == (
        KIDS[0],
        False,
        ROOT,
        False,
    )


def test_a_root_may_be_asked_for_alone() -> None:
    assert [(each.kid, each.is_root) for each in grants(f"cfg=(isroot:true,kid:{ROOT})")] == [
        (ROOT, True)
    ]


def test_a_leaf_may_be_asked_for_alone() -> None:
    (leaf,) = grants(f"cfg=(rootid:{ROOT},kid:header)")
    assert (leaf.root_kid, leaf.is_root) == (ROOT, False)


# --- combinations ---------------------------------------------------------------------------------

MID = "mid:a1b2c3d4-e5f6-0718-8899-aabbccddeeff"


@pytest.mark.parametrize(
    ("asked", "first", "second"),
    [
        ("removaldate:20300101,graceperiod:60", "removaldate", "graceperiod '60'"),
        (
            "removaldate:20300101,extendedrestrictions:((type:400))",
            "removaldate '20300101'",
            "extendedrestrictions",
        ),
        (f"usedomains:true,accountid:{ROOT}", "usedomains 'true'", "accountid"),
        ("removaldate:20300101,begindate:20200101", "removaldate '20300101'", "begindate '2020"),
        ("removaldate:20300101,expiration:20290101", "removaldate", "expiration '20290101'"),
        ("removaldate:20300101,firstexp:60", "removaldate", "firstplayexpiration '60'"),
        (f"removaldate:20300101,{MID}", "removaldate", "mid 'a1b2c3d4"),
        ("persist:true,securestop:true", "persist 'true'", "securestop 'true'"),
        ("persist:true,simple:true", "persist 'true'", "simple 'true'"),
        (f"isroot:true,rootid:{ROOT}", "isroot 'true'", "rootid '3c6f"),
    ],
)
def test_forbidden_combinations_are_refused_by_both_names(
    asked: str, first: str, second: str
) -> None:
    text = refusal(f"cfg=({asked})")
    assert text.startswith(first)
    assert second in text
    assert "expected one of them: " in text


@pytest.mark.parametrize(
    "asked",
    [
        "persist:false,securestop:true",
        "persist:true,securestop:false",
        "isroot:false,simple:true,persist:false",
        "removaldate:20300101,realtime:true,persist:true",
        "begindate:20200101,expiration:20200102",
        "playright:false,allowunknownsd:false",
    ],
)
def test_other_combinations_are_granted(asked: str) -> None:
    assert len(grants(f"cfg=({asked})")) == 1


@pytest.mark.parametrize(
    ("asked", "default", "text"),
    [
        (
            "securestop:true",
            Policy(persistent=True),
            "securestop 'true', expected with persist:f",
        ),
        ("removaldate:20300101", Policy(valid_for=60), "removaldate '20300101', expected none"),
        ("removaldate:20300101", Policy(), "removaldate '20300101', expected with persist:true"),
        (
            "removaldate:20300101,persist:false",
            Policy(persistent=True),
            "removaldate '20300101', expected with persist:true",
        ),
        (
            "begindate:20200102,expiration:20200101",
            Policy(),
            "expiration '20200101', expected a date after",
        ),
        ("begindate:20200101,expiration:20200101", Policy(), "expected a date after"),
        ("playright:false,ucvopl:300", Policy(), "ucvopl is '300', expected with playright:true"),
        ("maxres:1x1", Policy(play=False), "maxres is '1x1', expected with playright:true"),
        (
            "playright:false,extendedrestrictions:((type:400))",
            Policy(),
            "extendedrestrictions is given, expected with playright",
        ),
    ],
)
def test_parameters_without_effect_or_with_contradictions_are_refused(
    asked: str, default: Policy, text: str
) -> None:
    assert text in refusal(f"cfg=({asked})", default=default)


# --- what is recorded -----------------------------------------------------------------------------


def test_shorthands_and_long_forms_are_granted_once() -> None:
    (grant,) = grants(
        "cfg=(allowunknownhd:true,playenablers:(786627D8-C2A6-44BE-8F88-08AE255B01A7),"
        "maxres:1920x1080,dvop:(guid:9645E831-E01D-4FFF-8342-0A720E3E028F,data:AAAEOAAAB4A=))"
    )
    assert len(grant.policy.play_enablers) == 1
    assert len(grant.policy.digital_video) == 1


def test_secure_stop_has_the_servers_metering_id_by_default() -> None:
    own, other = Mid(bytes(15) + b"\1"), Mid(bytes(16))
    assert Policy(secure_stop=True).secure_stop_mid(own) == own
    assert Policy(secure_stop=True, metering=other).secure_stop_mid(own) == other
    assert Policy(metering=other).secure_stop_mid(own) is None


def test_the_record_leaves_out_rare_fields_with_their_default() -> None:
    base: dict[str, Any] = {}
    assert "begin" not in describe(Policy(**base), KeyType.AES_CTR)
    policy = Policy(
        begin=5,
        metering=Mid(bytes(16)),
        digital_video=(Protection(Guid(bytes(16)), b"\2"),),
        extended_restrictions=(ExtendedRestriction(400, b"\2"),),
    )
    text = describe(policy, KeyType.AES_CTR, is_root=True)
    zeros = "00000000-0000-0000-0000-000000000000"
    assert text.endswith(
        f',"begin":5,"metering":"{zeros}","digital_video":[{{"id":"{zeros}","data":"Ag=="}}],'
        '"extended_restrictions":[{"type":400,"data":"Ag==","must_understand":true,'
        '"best_effort":false}],"is_root":true}'
    )
    assert describe(Policy(), KeyType.AES_CTR, root_kid=ROOT).endswith(f'"root_kid":"{ROOT}"}}')
    bound = describe(Policy(), KeyType.AES_CTR, account_id=ACCOUNT)
    assert bound.endswith(f'"account_id":"{ACCOUNT}"}}')


def test_a_licence_is_bound_to_the_named_account() -> None:
    query = f"cfg=(kid:{KIDS[0]},accountid:{ACCOUNT}),(kid:{KIDS[1]})"
    found = grants(query, header(*KIDS[:2]))
    assert [grant.account_id for grant in found] == [ACCOUNT, None]


@pytest.mark.parametrize("root", [f",accountid:{ROOT}", ""])
def test_a_leaf_of_another_domain_than_its_root_is_refused(root: str) -> None:
    text = refusal(
        f"cfg=(kid:{ROOT},isroot:true{root}),(kid:{KIDS[0]},rootid:{ROOT},accountid:{ACCOUNT})"
    )
    assert f"accountid is {ACCOUNT}, expected that of the root licence {ROOT}" in text


@pytest.mark.parametrize("leaf", ["", f",accountid:{ACCOUNT}"])
def test_a_leaf_may_name_its_roots_domain_or_none(leaf: str) -> None:
    found = grants(
        f"cfg=(kid:{ROOT},isroot:true,accountid:{ACCOUNT}),(kid:{KIDS[0]},rootid:{ROOT}{leaf})"
    )
    assert len(found) == 2
