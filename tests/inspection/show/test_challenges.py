"""Each check of a challenge has its own outcome; what fails leaves the others as they are."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from rightsmanager.inspection import Context, Description, describe

Names = Callable[[Description, str], set[str]]
Find = Callable[[Description, str], Description]

FAILED = {
    1: set(),
    2: set(),
    3: set(),
    4: set(),
    5: {"signature"},
    6: {"digest"},
    7: {"decryption"},
    8: {"decryption"},
    9: {"signer"},
    10: {"trust anchor"},
    11: {"links"},
}
"""The checks that fail, by the id of the vector."""

LA = "http://schemas.microsoft.com/DRM/2007/03/protocols"
XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"


@pytest.mark.parametrize(("number", "failed"), FAILED.items())
def test_what_is_wrong_fails_and_nothing_else(
    number: int, failed: set[str], things: dict[str, bytes], aided: Context, names: Names
) -> None:
    found = describe(things[f"challenge_{number}"], aided)
    assert names(found, "failed") == failed
    assert found.failed == bool(failed)


def test_without_the_servers_key_it_stays_closed(
    things: dict[str, bytes], bare: Context, names: Names
) -> None:
    found = describe(things["challenge_1"], bare)
    assert names(found, "not possible") >= {"decryption", "signer"}
    assert names(found, "failed") == set()


def test_another_servers_key_does_not_open_it(
    things: dict[str, bytes], aided: Context, names: Names
) -> None:
    found = describe(things["challenge_1"], replace(aided, server_keys=aided.device_keys))
    assert names(found, "failed") == {"decryption"}


def test_of_several_keys_the_right_one_opens_it(
    things: dict[str, bytes], aided: Context, names: Names
) -> None:
    keys = (*aided.device_keys, *aided.server_keys)
    found = describe(things["challenge_1"], replace(aided, server_keys=keys))
    assert names(found, "failed") == set()


def test_an_element_alone_is_shown_without_signature(
    things: dict[str, bytes], aided: Context, names: Names
) -> None:
    text = things["challenge_1"]
    alone = text[text.index(b"<LA ") : text.index(b"</LA>") + 5]
    found = describe(alone, aided)
    assert found.name == "AcquireLicense challenge"
    assert str(found.meaning).startswith("without its envelope")
    assert names(found, "not possible") >= {"digest", "signature"}
    assert names(found, "failed") == set()


def test_a_version_that_is_not_the_headers_fails(aided: Context, names: Names) -> None:
    text = (
        f'<LA xmlns="{LA}" Id="SignedData"><Version>4</Version><ContentHeader>'
        '<WRMHEADER xmlns="http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader" '
        'version="4.3.0.0"><DATA></DATA></WRMHEADER></ContentHeader></LA>'
    )
    found = describe(text.encode(), aided)
    assert names(found, "failed") == {"version"}


def test_two_elements_with_the_signed_id_fail(
    things: dict[str, bytes], aided: Context, names: Names
) -> None:
    text = things["challenge_1"].replace(b"<CLIENTINFO>", b'<CLIENTINFO><x Id="SignedData"></x>')
    assert names(describe(text, aided), "failed") == {"signed", "digest"}


def test_content_keys_in_custom_data_are_not_shown(aided: Context, find: Find) -> None:
    text = (
        f'<LA xmlns="{LA}"><CustomData>json=[{{"kid":"header","contentkey":"c2VjcmV0",'
        "'CK':'c2VjcmV0',\"sl\":\"150\"}]</CustomData></LA>"
    )
    found = find(describe(text.encode(), aided), "CustomData")
    assert found.value == ('json=[{"kid":"header","contentkey":***,\'CK\':***,"sl":"150"}]')
    shown = find(describe(text.encode(), replace(aided, show_keys=True)), "CustomData")
    assert "c2VjcmV0" in str(shown.value)


@pytest.mark.parametrize(
    "inside",
    [
        "<ClientTime>99999999999999999999</ClientTime>",
        "<ClientTime>soon</ClientTime>",
        "<KID>AAAA</KID>",
        "<CertificateChain>AAAA</CertificateChain>",
        "<License>WE1SAA==</License>",
        f"<x xmlns='relative' Id='SignedData'></x><Signature xmlns='{XMLDSIG}'></Signature>",
        "<!-- a comment --><?pi ?>text &amp; text",
        "<a>" * 100 + "</a>" * 100,
        "<EncryptedData></EncryptedData>",
        "<Signature Id='SignedData'></Signature>",
        "<WRMHEADER></WRMHEADER>",
    ],
)
def test_hostile_insides_are_shown(inside: str, aided: Context) -> None:
    text = f'<LA xmlns="{LA}">{inside}</LA>'
    assert describe(text.encode(), aided).name == "AcquireLicense challenge"


@pytest.mark.parametrize(
    "name", ["JoinDomain", "ProcessMeteringData", "MeteringData", "DeleteLicenseData"]
)
def test_other_operations_are_challenges_too(name: str, bare: Context) -> None:
    found = describe(f'<{name} xmlns="{LA}"></{name}>'.encode(), bare)
    assert found.name.endswith(" challenge")
