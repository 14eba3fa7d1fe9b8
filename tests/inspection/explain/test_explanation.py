"""Explain tells what AcquireLicense would do."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rightsmanager.inspection import Outcome, as_json
from rightsmanager.inspection.explanation import MAX_PROBLEMS, Defaults, explain
from rightsmanager.inspection.questions import Question, header_of
from rightsmanager.inspection.reference import EXAMPLES
from rightsmanager.policy.decision import SPECIAL_DOMAIN
from rightsmanager.policy.defaults import DefaultDomain
from rightsmanager.policy.grants import Policy
from rightsmanager.policy.query import Spelling, parse_custom_data, parse_query
from rightsmanager.protocol.wire import AccountId, Guid, Kid, Mid

if TYPE_CHECKING:
    from collections.abc import Callable

    from rightsmanager.inspection import Description
    from tests.inspection.explain.conftest import Explaining

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "policy.json").read_text("utf-8"))
KIDS = tuple(Kid(bytes([number]) * 16) for number in range(1, 4))
KEY = "EjQSNBI0EjQSNBI0EjQSNw=="


def objects(description: Description) -> list[str]:
    """Give the heads of a description's objects, depth first."""
    found = []
    for child in description.children:
        if (child.meaning or "").startswith("object "):
            found.append(str(child.meaning)[:13])
            found += objects(child)
    return found


# The content of an extended right is shown as bytes: nothing says that it is objects.
DECODED = [test for test in VECTORS["tests"] if "extended:(" not in test["query"]]


@pytest.mark.parametrize("test", DECODED, ids=lambda test: test["query"][:60])
def test_the_objects_of_a_licence_are_those_of_the_vectors(test: dict[str, list[str]]) -> None:
    explanation = explain(
        Question(query=str(test["query"])),
        Defaults(own_mid=Mid.from_text(VECTORS["default_mid"])),
        int(VECTORS["issued_at"]),
    )
    (license_,) = explanation.licenses
    expected = [f"object 0x{line.split()[1]}" for line in test["objects"]]
    assert expected == objects(license_)


def test_without_a_question_it_is_the_default_policy(explained: Explaining) -> None:
    explanation = explained(default=Policy(persistent=True))
    assert [license_.meaning for license_ in explanation.licenses] == ["persistent"]
    assert (explanation.translations, explanation.warnings) == ((), ())


def test_each_kid_of_the_header_has_a_licence(explained: Explaining) -> None:
    explanation = explained("cfg=(sl:2000)", header=header_of(KIDS))
    shown = [license_.children[0].value for license_ in explanation.licenses]
    assert [kid.text for kid in KIDS] == shown


@pytest.mark.parametrize(
    ("query", "kids"),
    [
        ("", ["header"]),
        ("cfg=()", ["header"]),
        (f"cfg=(kid:{KIDS[0].text})", [KIDS[0].text]),
        (f"cfg=(kid:{KIDS[0].base64}),(kid:{KIDS[1].text})", [KIDS[0].text, KIDS[1].text]),
        (f"cfg=(rootid:{KIDS[0].text},kid:header),(isroot:true,kid:{KIDS[0].text})", None),
    ],
)
def test_without_a_header_content_with_the_kids_that_are_asked_for_is_assumed(
    explained: Explaining, query: str, kids: list[str] | None
) -> None:
    explanation = explained(query)
    shown = [license_.children[0].value for license_ in explanation.licenses]
    assert (kids or [KIDS[0].text, "header"]) == shown


def test_root_and_leaf_are_distinguished(
    explained: Explaining, names: Callable[[Description], list[str]]
) -> None:
    root, leaf = explained(f"cfg={EXAMPLES['rootid']}").licenses
    assert (root.name, leaf.name) == ("root licence 1", "licence 2")
    assert "chained to root" in names(leaf)
    assert "chained to root" not in names(root)


@pytest.mark.parametrize(
    ("query", "stream"),
    [
        ("", None),
        ("cfg=(securestop:true)", "opens one of the device"),
        (f"cfg=(securestop:true,accountid:{KIDS[0].text})", "opens one of the account"),
    ],
)
def test_the_objects_of_secure_stop_are_shown(
    explained: Explaining, query: str, stream: str | None
) -> None:
    (license_,) = explained(query).licenses
    told = {child.name: child.value for child in license_.children}
    assert told.get("stream") == stream
    assert ("secure stop 2 key" in told) == (stream is not None)


@pytest.mark.parametrize(
    ("query", "source"),
    [
        ("", "the one that the server has for the KID"),
        (f"cfg=(ck:{KEY})", "given in the request"),
        (f"cfg={EXAMPLES['keyseed']}", "made from the key seed in the request"),
    ],
)
def test_the_origin_of_the_content_key_is_shown_but_not_the_key(
    explained: Explaining, query: str, source: str
) -> None:
    (license_,) = explained(query).licenses
    assert license_.children[1].value == source
    assert KEY not in json.dumps(as_json(license_))


def test_all_problems_are_reported_at_once(explained: Explaining) -> None:
    explanation = explained("cfg=(sl:2001,persit:true),(kid:x,sl:2000)")
    assert explanation.problems == (
        "sl is '2001', expected 150, 2000 or 3000",
        "'persit' is an unknown parameter, the nearest known name is persist",
        "kid is 'x', expected header, a GUID or base64 of its 16 bytes",
    )
    assert explanation.refused
    assert explanation.licenses == ()


@pytest.mark.parametrize(
    ("query", "custom_data", "problem"),
    [
        ("cfg=(sl:2000", None, "cfg has its end at character 9, expected ')'"),
        ("cfg=()&cfg=()", None, "expected cfg or cfg64 alone"),
        ("cfg=(sl:150,sl:150)", None, "sl is given twice for one licence"),
        ("SecurityLevel=1", None, "SecurityLevel is '1', expected 150, 2000 or 3000"),
        ("sl=150", None, "'sl' is unknown in the legacy spelling"),
        ("", "json=[{'sl':1}]", "sl is '1', expected 150, 2000 or 3000"),
        ("", "json=[{", "json in CustomData is not JSON from character 3 on"),
        ("cfg64=AAAA", None, "cfg64 is not JSON from character 1"),
        ("cfg=(persist:true,securestop:true)", None, "is given with"),
        ("cfg=(enddate:20200101,begindate:20210101)", None, "expected a date after begindate"),
    ],
)
def test_a_refusal_has_the_servers_text(
    explained: Explaining, query: str, custom_data: str | None, problem: str
) -> None:
    (told,) = explained(query, custom_data=custom_data).problems
    assert problem in told


def test_the_number_of_problems_is_limited(explained: Explaining) -> None:
    groups = ",".join(f"(bad{number}:1)" for number in range(99))
    assert len(explained(f"cfg={groups}").problems) == MAX_PROBLEMS


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("cfg=(errorcode:8004C606)", "errorcode answers with the fault 0x8004c606, renew domain"),
        ("ErrorCode=0x8004c600", "errorcode answers with the fault 0x8004c600, internal error"),
        (
            "cfg=(revoked:true)",
            "revoked answers with the fault 0x8004c065, device certificate revoked",
        ),
        ("cfg=(msg:clientinfo)", "msg answers with the fault 0x8004c604, service specific"),
        ("cfg=(),(clientinfo)", "clientinfo answers with the fault 0x8004c604, service specific"),
    ],
)
def test_a_requested_fault_is_not_a_refusal(explained: Explaining, query: str, fault: str) -> None:
    explanation = explained(query)
    assert explanation.fault == fault
    assert (explanation.problems, explanation.licenses) == ((), ())


def test_a_false_fault_parameter_is_ignored(explained: Explaining) -> None:
    explanation = explained("cfg=(revoked:false,clientinfo:false)")
    assert explanation.fault is None
    assert len(explanation.licenses) == 1


@pytest.mark.parametrize(
    "name", [name for name in EXAMPLES if name not in {"rootid", "usedomains"}]
)
def test_each_translation_asks_the_same(explained: Explaining, name: str) -> None:
    query = f"cfg={EXAMPLES[name]}"
    for translation in explained(query).translations:
        if translation.spelling is Spelling.JSON:
            assert parse_custom_data(translation.text) == parse_query(query)
        elif translation.spelling is not Spelling.LEGACY:
            assert parse_query(translation.text) == parse_query(query)


def test_limits_of_a_spelling_are_reported(explained: Explaining) -> None:
    *possible, legacy = explained("cfg=(sourceid:1)").translations
    assert all(translation.is_possible for translation in possible)
    assert not legacy.is_possible
    assert legacy.text == "the legacy spelling has no name for sourceid"
    shown = explained("cfg=(sourceid:1)").description.children[-1].children[-1]
    assert (shown.name, shown.value, shown.meaning) == (
        "legacy",
        None,
        f"not possible: {legacy.text}",
    )


def test_the_domain_of_a_licence_is_shown(explained: Explaining) -> None:
    account = AccountId(b"account id 00001")
    (license_,) = explained(f"cfg=(accountid:{account.text})").licenses
    bound = next(each for each in license_.children if each.name == "bound to domain")
    assert bound.value == f"account {account.text}, at its newest revision"
    assert bound.meaning == account.base64


def test_old_test_content_is_explained_as_that_of_the_default_account() -> None:
    account = AccountId(b"account id 00001")
    question = Question(header=header_of((SPECIAL_DOMAIN,)))
    told = explain(question, Defaults(domain=DefaultDomain(account_id=account)), 0)
    assert [each.name for each in told.licenses[0].children][3] == "bound to domain"
    (problem,) = explain(question, Defaults(), 0).problems
    assert "expected accountid or a default account" in problem


def test_each_parameter_has_its_field_and_source(explained: Explaining) -> None:
    tree = explained("cfg=(sl:2000)", custom_data=None).description
    given = {each.name: each for each in tree.children[0].children}
    assert (given["sl"].value, given["sl"].meaning) == (
        "2000",
        "policy.security_level, from the query",
    )
    assert given["persist"].value == "false"
    assert given["persist"].meaning == "policy.persistent, the server's default"
    # What is off by default adds nothing to a licence.
    assert list(given) == ["sl", "persist", "playright", "embedding"]
    silent = explained("", Policy(play=False)).parameters[0].children
    assert ("playright", "false") in [(each.name, each.value) for each in silent]
    custom = explained(custom_data="json=[{'sl':2000}]").description.children[0].children[0]
    assert custom.meaning == "policy.security_level, from the CustomData"
    legacy, level, *_ = explained("SecurityLevel=2000").description.children[0].children
    assert legacy.meaning == "policy.persistent, the legacy spelling's default"
    assert level.meaning == "policy.security_level, from the query"


def test_defaults_of_several_values_and_of_the_end_have_their_field_too(
    explained: Explaining,
) -> None:
    enabler = Guid.from_text("786627D8-C2A6-44BE-8F88-08AE255B01A7")
    default = Policy(valid_for=3600, play_enablers=(enabler,))
    given = {each.name: each for each in explained("", default).parameters[0].children}
    assert given["expiration"].value == "+3600"
    assert given["expiration"].meaning == "policy.valid_for, the server's default"
    assert [each.value for each in given["playenablers"].children] == [enabler.text]
    assert given["playenablers"].meaning == "policy.play_enablers, the server's default"
    named = explained("cfg=(enddate:20400101)", default).parameters[0].children
    assert "policy.valid_for, the server's default" not in [each.meaning for each in named]


@pytest.mark.parametrize(
    "query",
    [
        f"cfg=(ck:{KEY})",
        f"ContentKey={KEY}",
        f"cfg={EXAMPLES['keyseed']}",
        f"cfg=(kid:{KIDS[0].text},ck:{KEY}),(kid:{KIDS[1].text},ck:{KEY},sl:3000)",
    ],
)
def test_no_key_is_in_the_tree(explained: Explaining, query: str) -> None:
    explanation = explained(query)
    tree = explanation.description
    shown = json.dumps(as_json(tree))
    for each in explanation.translations:
        assert not each.is_possible or each.masked != each.text
        assert not each.is_possible or each.text not in shown
    assert KEY not in shown
    spellings = {each.name: str(each.value) for each in tree.children[-1].children}
    assert "***" in spellings["cfg"]
    assert b"***" in b64decode(spellings["cfg64"].removeprefix("cfg64="))


@pytest.mark.parametrize(
    ("query", "kids", "outcome"),
    [
        ("", 1, "1 licence"),
        ("", 2, "2 licences"),
        ("cfg=(clientinfo)", 1, "no licence"),
        ("cfg=(sl:1)", 1, "refused with 0x8004c604"),
    ],
)
def test_the_tree_begins_with_the_outcome(
    explained: Explaining, query: str, kids: int, outcome: str
) -> None:
    assert explained(query, header=header_of(KIDS[:kids])).description.meaning == outcome


def test_problems_and_warnings_are_checks(explained: Explaining) -> None:
    assert explained("cfg=(sl:1)").description.failed
    warned = explained("cfg=(realtime:true)").description
    assert [check.outcome for check in warned.all_checks()] == [Outcome.WARNING]
    (default,) = explained("").description.all_checks()
    assert default.text == "The request names no parameter: this is the server's default policy."
    assert not warned.failed
