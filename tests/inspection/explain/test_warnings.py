"""Warnings: what the server gives and clients refuse, or have no use for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rightsmanager.inspection.protections import NAMES
from rightsmanager.inspection.questions import header_of
from rightsmanager.inspection.reference import EXAMPLES
from rightsmanager.inspection.warnings import KNOWN
from rightsmanager.policy.grants import OutputLevels, Policy
from rightsmanager.protocol.formats.wrmheader import Header, Version
from rightsmanager.protocol.wire import Kid

if TYPE_CHECKING:
    from tests.inspection.explain.conftest import Explaining

STRANGE = "11111111-2222-3333-4444-555555555555"
ACP = "c3fd11c6-f8b7-4d20-b008-1db17d61f2da"
MAXIMUM = "9645e831-e01d-4fff-8342-0a720e3e028f"
HD = "786627d8-c2a6-44be-8f88-08ae255b01a7"
PLAYREADY_3 = (
    "{} is true: for a client with PlayReady 3 features the request is refused with 0x8004c604"
)
WARNED = {
    "cfg=(enddate:20200131)": "expiration is 20200131, which is past: clients refuse the licence",
    "cfg=(begindate:20400101)": "begindate is 20400101, which is to come: clients refuse it until "
    "then",
    "cfg=(begindate:20200101)": "begindate is 20200101, which is past: it has no effect",
    "cfg=(removaldate:20200131,persist:true)": "removaldate is 20200131, which is past: devices "
    "may drop the licence at once",
    "cfg=(ucvopl:200)": "ucvopl is 200, published are 100, 250, 270 and 300: clients pass the "
    "content to any output",
    "cfg=(cvopl:300)": "cvopl is 300, published are 400 and 500: clients do not pass the content",
    "cfg=(avopl:301)": "avopl is 301, published are 100, 150 and 200: clients do not pass the "
    "content",
    "cfg=()&token=abc": "'token' has no effect",
    "token=abc": "'token' has no effect",
    "cfg=(realtime:true)": "realtime has no effect: the licence does not end",
    "cfg=(graceperiod:5)": "graceperiod has no effect: the licence neither begins nor ends",
    "cfg=(playright:false)": "the licence grants no right: playright is false, and there is no "
    "other",
    f"cfg={EXAMPLES['contentkey'][:-1]},{EXAMPLES['keyseed'][1:]}": "keyseed has no effect: "
    "contentkey is given too",
    "cfg=(copyright:true)": PLAYREADY_3.format("copyright"),
    "cfg=(executeright:true)": PLAYREADY_3.format("executeright"),
    "cfg=(readright:true)": PLAYREADY_3.format("readright"),
    "cfg=(sl:2000,maxres:1x1,revoked:true)": "sl and maxres without effect: revoked answers with a "
    "fault",
    "cfg=(errorcode:8004c600,clientinfo)": "clientinfo without effect: errorcode answers with a "
    "fault",
    f"cfg=(dvop:(guid:{STRANGE}))": f"dvop {STRANGE} is not published: clients that do not know it "
    "refuse the licence",
    f"cfg=(playenablers:({STRANGE}))": f"playenablers {STRANGE} is not published: it has no effect "
    "on most clients",
    f"cfg=(daop:(guid:{HD}))": f"daop {HD} is unknown outputs, high definition, clients look for "
    "it in playenablers",
    f"cfg=(playenablers:({ACP}))": f"playenablers {ACP} is automatic gain control and color "
    "stripe, clients look for it in avop",
    f"cfg=(accountid:{STRANGE})": f"accountid is {STRANGE}: the device must be a member and send "
    "the certificate of the domain's newest revision, else it is refused with 0x8004c605, "
    "0x8004c606 or 0x8004c60a",
    f"cfg=(rootid:{STRANGE})": f"rootid is {STRANGE}, which is not asked for: the device must have "
    "had that root licence before",
    f"cfg=(avop:(guid:{ACP},data:AA==))": f"avop {ACP} has 1 bytes of data, clients expect 4: "
    "automatic gain control and color stripe",
    f"cfg=(dvop:(guid:{MAXIMUM}))": f"dvop {MAXIMUM} has 0 bytes of data, clients expect 8: "
    "maximum resolution",
}
QUIET = set(EXAMPLES) - {
    "accountid",
    "usedomains",
    "begindate",
    "copyright",
    "executeright",
    "readright",
    # Their examples have time limits alone, or a protection without its output level.
    "dvop",
    "expiration",
    "firstplayexpiration",
    "graceperiod",
    "realtime",
}
HDCP = "abb2c6f1-e663-4625-a945-972d17b231e7"
TYPE_1 = f"dvop:(guid:{HDCP},data:AAAAAQ==)"
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
TWO_KIDS = tuple(f"0000000{number}-0000-0000-0000-000000000000" for number in (1, 2))
TROUBLES = {
    "cfg=(sl:2000,persist:false,firstexp:60)": "without realtime:true clients may check the end",
    "cfg=(expiration:20400101,persist:true)": "expiration without begindate: publications",
    f"cfg=({TYPE_1},ucvopl:270)": "requires HDCP type 1, and ucvopl is 270",
    f"cfg=(rootid:{STRANGE},persist:true,firstexp:60)": "has time limits: publications recommend",
    f"cfg=(kid:{TWO_KIDS[0]},sl:3000,contentkey:{KEY}),(kid:{TWO_KIDS[1]},contentkey:{KEY})": (
        "have one content key, but not one security level"
    ),
}
UNTROUBLED = (
    "cfg=(persist:false,realtime:true,firstexp:60)",
    "cfg=(persist:true,firstexp:60)",
    "cfg=(begindate:20200101,expiration:20400101,persist:true)",
    f"cfg=({TYPE_1},ucvopl:300)",
    f"cfg=(kid:{TWO_KIDS[0]},contentkey:{KEY}),(kid:{TWO_KIDS[1]},contentkey:{KEY})",
)


@pytest.mark.parametrize("query", TROUBLES)
def test_published_troubles_are_warned_of(explained: Explaining, query: str) -> None:
    warnings = explained(query).warnings
    assert [each for each in warnings if TROUBLES[query] in each]


@pytest.mark.parametrize("query", UNTROUBLED)
def test_requests_without_trouble_cause_no_warning(explained: Explaining, query: str) -> None:
    assert explained(query).warnings == ()


@pytest.mark.parametrize("query", WARNED)
def test_it_is_warned_of_what_does_not_do(explained: Explaining, query: str) -> None:
    explanation = explained(query)
    assert explanation.warnings == (WARNED[query],)
    assert not explanation.refused


@pytest.mark.parametrize("name", sorted(QUIET))
def test_the_examples_of_the_documentation_do(explained: Explaining, name: str) -> None:
    assert explained(f"cfg={EXAMPLES[name]}").warnings == ()


@pytest.mark.parametrize(
    "query",
    [
        "cfg=(avop:(guid:2098DE8D-7DDD-4BAB-96C6-32EBB6FABEA3))",
        "cfg=(playenablers:(AE092501-A9E3-46F6-AFBE-628577DCDF55))",
    ],
)
def test_protections_and_enablers_of_published_samples_cause_no_warning(
    explained: Explaining, query: str
) -> None:
    assert explained(query).warnings == ()


def test_a_level_above_the_assumed_devices_is_warned_of(explained: Explaining) -> None:
    text = "the licence for each KID of the header needs security level 3000, the device's "
    explanation = explained("cfg=(sl:3000)", device_level=2000)
    assert explanation.problems == (f"{text}certificate has 2000",)
    kids = [f"0000000{number}-0000-0000-0000-000000000000" for number in (1, 2)]
    partly = explained(f"cfg=(kid:{kids[0]},sl:3000),(kid:{kids[1]})", device_level=2000)
    (warning,) = partly.warnings
    assert warning.startswith(f"the licence for KID {kids[0]} needs security level 3000, the ")
    assert len(partly.licenses) == 1
    assert explained("cfg=(sl:3000)", device_level=3000).warnings == ()
    assert explained("cfg=(sl:3000)").warnings == ()


def test_a_default_that_clients_do_not_know_is_warned_of(explained: Explaining) -> None:
    default = Policy(security_level=151, output_levels=OutputLevels(analog_video=7))
    assert explained(default=default).warnings == (
        "sl is 151 by default, clients know 150, 2000 or 3000",
        "avopl is 7, published are 100, 150 and 200: clients pass the content to any output",
    )


def test_a_begin_after_the_default_end_is_warned_of(explained: Explaining) -> None:
    (warning,) = explained("cfg=(begindate:20400101)", Policy(valid_for=3600)).warnings
    assert warning == (
        "begindate is 20400101, and by default the licence ends 20260921151320: clients refuse it"
    ), warning


def test_custom_data_without_effect_is_warned_of(explained: Explaining) -> None:
    (other,) = explained(custom_data="token").warnings
    assert other == "CustomData asks nothing: it is not JSON and does not begin with json="
    (both,) = explained("cfg=()", custom_data="json=[{}]").warnings
    assert both == "CustomData has no effect: the URL asks too, and what it asks wins"
    assert explained(custom_data="json=[{}]").warnings == ()


def test_a_header_that_asks_for_no_licence_is_warned_of(explained: Explaining) -> None:
    asking = header_of((Kid(bytes(16)),))
    silent = Header(Version.V4_3, asking.kids, license_requested=False)
    explanation = explained("cfg=(sl:2000)", header=silent)
    assert explanation.licenses == ()
    (warning,) = explanation.warnings
    assert warning == "the header asks for no licence: its LICENSEREQUESTED is false"


def test_a_warning_is_printed_once(explained: Explaining) -> None:
    kids = header_of(tuple(Kid(bytes([number]) * 16) for number in range(5)))
    assert len(explained("cfg=(realtime:true)", header=kids).warnings) == 1


def test_what_is_published_is_what_show_has_names_for() -> None:
    assert set().union(*KNOWN.values()) == set(NAMES)
