"""`describe_anything` is bounded, masks secrets and keeps each failed check."""

import base64
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection import Context, as_json, describe_anything, find_checks
from rightsmanager.inspection.anything import MAX_DATA, MAX_FACTS, MAX_TEXT, shorten
from rightsmanager.inspection.description import Check, Description, Outcome
from rightsmanager.inspection.elements import describe_message_element
from rightsmanager.inspection.xmltree import MAX_SIBLINGS
from rightsmanager.protocol.xml.xmlview import Xml

CONTEXT = Context(now=1790000000, backend=choose_backend("portable"))
P = "http://schemas.microsoft.com/DRM/2007/03/protocols"
KEY = "EjQSNBI0EjQSNBI0EjQSNw=="
CFG64 = "W3siY29udGVudGtleSI6IkVqUVNOQkkwRWpRU05CSTBFalFTTnc9PSJ9XQ=="


def count(description: Description) -> int:
    return 1 + sum(map(count, description.children))


def test_a_long_report_is_bounded_in_size_and_time() -> None:
    record = f"<Record><Name>{'x' * 60}</Name><Count>1</Count></Record>"
    inner = f"<challenge>{record * 55_000}</challenge>"
    body = f'<ProcessMeteringData xmlns="{P}">{inner}</ProcessMeteringData>'
    assert len(body) > 5_500_000
    begun = time.process_time()
    description = describe_anything(body.encode(), CONTEXT)
    # 0.5 s; without the limit on siblings it was three times that.
    assert time.process_time() - begun < 10
    assert count(description) <= 2 * MAX_FACTS
    # 50,000 records, and the three of those described that are too many, with their two parts.
    assert '"50009 more"' in json.dumps(as_json(description))


def test_elements_beyond_the_limit_are_shown_if_there_is_something_to_check() -> None:
    parts = "<a/>" * MAX_SIBLINGS + "<b/><c><License>AAAA</License></c><d/>"
    body = f'<AcquireLicense xmlns="{P}"><x>{parts}</x></AcquireLicense>'
    described = describe_message_element(Xml.parse(body.encode(), "it"), CONTEXT)
    *shown, last, rest = described.children[0].children
    assert ({each.name for each in shown}, len(shown)) == ({"a"}, MAX_SIBLINGS)
    assert (last.name, last.failed) == ("c", True)
    assert (rest.name, rest.value, rest.meaning) == ("…", 2, "more elements")


def test_the_other_facts_are_counted_with_their_failed_checks() -> None:
    failed = Check("digest", Outcome.FAILED, "wrong")
    children = tuple(Description(f"fact {number}") for number in range(8))
    shown = shorten(
        Description("all", children=(*children, Description("last", checks=(failed,)))),
        mask=True,
        limit=4,
    )
    assert [each.name for each in shown.children] == ["fact 0", "fact 1", "fact 2", "…"]
    assert shown.children[-1].meaning == "6 more"
    assert find_checks(shown) == (failed,)


@pytest.mark.parametrize(
    "text",
    [f"json=[{{'contentkey':'{KEY}'}}]", f"cfg=(keyseed:{KEY})", f"cfg64={CFG64}", f"ck:{KEY}"],
)
def test_keys_in_custom_data_are_masked(text: str) -> None:
    body = f'<LA xmlns="{P}"><CustomData>{text}</CustomData></LA>'.encode()
    shown = json.dumps(as_json(describe_anything(body, CONTEXT)))
    assert KEY not in shown
    assert CFG64 not in shown


def test_keys_in_urls_are_masked_and_long_texts_are_cut() -> None:
    facts = (
        Description("LA_URL", f"http://h/rightsmanager.asmx?cfg=(contentkey:{KEY})"),
        Description("text", "x" * (MAX_TEXT + 5)),
        Description("numbers", (1, 2)),
        Description("count", 3),
    )
    url, text, numbers, number = shorten(Description("all", children=facts), mask=True).children
    assert KEY not in str(url.value)
    assert str(text.value).endswith("… 5 more characters")
    assert (numbers.value, number.value) == ((1, 2), 3)
    assert KEY in str(shorten(Description("a", children=facts), mask=False).children[0].value)


def test_too_long_data_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="expected at most"):
        describe_anything(bytes(MAX_DATA + 1), CONTEXT)


@pytest.mark.parametrize("revoked", [True, False])
def test_each_certificate_is_looked_up_in_the_revocation_lists(*, revoked: bool) -> None:
    file = Path(__file__).parents[1] / "vectors" / "acquire_license.json"
    chain = base64.b64decode(json.loads(file.read_text("utf-8"))["device"]["chain"])
    found = describe_anything(chain, replace(CONTEXT, is_revoked=lambda _: revoked))
    outcomes = {each.outcome for each in find_checks(found) if each.name == "revocation"}
    assert outcomes == {Outcome.FAILED if revoked else Outcome.OK}
    assert not [
        each for each in find_checks(describe_anything(chain, CONTEXT)) if each.name == "revocation"
    ]
