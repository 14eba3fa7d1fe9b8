"""Every input form is read by `show`, by `explain` and by the device's options alike."""

import json
from pathlib import Path
from typing import Any

import pytest

from rightsmanager.cli.device.content import Content
from rightsmanager.crypto.p256_backends import choose_backend
from rightsmanager.inspection import Context, Description, describe
from rightsmanager.inspection.questions import find_question
from rightsmanager.protocol.formats.input_forms import find_all
from rightsmanager.protocol.wire import Kid
from tests.protocol.test_input_forms import FORMS, KEY_MESSAGE, KID, MPD, TEXT

CONTEXT = Context(now=1790000000, backend=choose_backend("portable"))
PUBLISHED = json.loads(
    (Path(__file__).parents[1] / "vectors" / "published_headers.json").read_text("utf-8")
)["headers"]


def content(*, file: bytes | None = None, pssh: str | None = None) -> Content:
    return Content(file, pssh, None, "AESCTR")


def shown_kids(description: Description) -> set[str]:
    own = {str(description.value)} if description.name == "KID" else set()
    return own.union(*map(shown_kids, description.children))


def shown_kid_texts(description: Description) -> set[str]:
    """Return the KIDs of headers, whether they are taken apart or shown as plain XML."""
    found = set()
    for text in shown_kids(description):
        found.add(text if "-" in text else Kid.from_base64(text).text)
    return found


@pytest.mark.parametrize("name", FORMS)
def test_every_command_reads_a_form(name: str) -> None:
    data, _ = FORMS[name]
    kid = Kid(KID)
    assert kid.text in shown_kid_texts(describe(data, CONTEXT))
    question = find_question(data)
    assert question.header is not None
    assert [entry.kid for entry in question.header.kids] == [kid]
    assert [entry.kid for entry in content(file=data).header(()).kids] == [kid]


@pytest.mark.parametrize("name", [name for name in FORMS if "base64" in name])
def test_the_option_for_boxes_reads_text(name: str) -> None:
    header = content(pssh=FORMS[name][0].decode()).header(())
    assert [entry.kid for entry in header.kids] == [Kid(KID)]


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda each: str(each["source"]))
def test_published_headers_are_read_by_every_command(published: dict[str, Any]) -> None:
    data = published["text"].encode()
    assert [each.place for each in find_all(data)] == published["places"]
    description = describe(data, CONTEXT)
    assert shown_kid_texts(description) == set(published["kids"])
    assert not description.failed
    question = find_question(data)
    assert question.header is not None
    assert question.header.version == published["version"]
    assert [each.kid.text for each in content(file=data).header(()).kids] == published["kids"]


def test_an_initiator_gives_its_custom_data() -> None:
    initiator = (
        '<PlayReadyInitiator xmlns="urn:x"><LicenseAcquisition>'
        f"<Header>{TEXT}</Header><CustomData>json=[{{}}]</CustomData>"
        "</LicenseAcquisition></PlayReadyInitiator>"
    )
    assert find_question(initiator.encode()).custom_data == "json=[{}]"


def test_a_key_message_gives_the_custom_data_of_its_challenge() -> None:
    found = find_question(KEY_MESSAGE.encode("utf-16-le"))
    assert found.header is not None
    assert not found.query


def test_only_the_first_header_is_used_and_others_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = TEXT.replace(Kid(KID).base64, Kid(bytes(16)).base64)
    file = f"<a>{TEXT}{other}</a>".encode()
    assert [entry.kid for entry in content(file=file).header(()).kids] == [Kid(KID)]
    assert capsys.readouterr().err == (
        f"only the first header is used; others have KID {Kid(bytes(16)).text}\n"
    )


def test_the_same_header_twice_needs_no_report(capsys: pytest.CaptureFixture[str]) -> None:
    content(file=MPD.encode()).header(())
    assert capsys.readouterr().err == ""
