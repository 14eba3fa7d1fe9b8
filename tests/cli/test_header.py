"""`header make` and `show`: every version and form, with given, stored and derived keys."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.crypto.keyseed import TEST_KEY_SEED, content_key
from rightsmanager.protocol.formats.pssh import EMBEDDED_LICENSE_STORE, parse_object, parse_pssh
from rightsmanager.protocol.formats.wrmheader import Algid, Header, Version, checksum, parse_header
from rightsmanager.protocol.wire import Kid, ServiceId

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

KID = Kid(bytes(range(16)))
OTHER = Kid(bytes(16))
KEY = bytes(range(100, 116))
URL = "https://example.com/rightsmanager.asmx?a=<b>&c"


Make = Callable[..., tuple[Header, dict[str, Any]]]
"""Makes a header; returns the bytes of its three forms, and the output."""


@pytest.fixture
def made(run: Run, data: Path) -> Make:
    def make(*arguments: str) -> tuple[Header, dict[str, Any]]:
        ran = run("header", "make", "--data", str(data), "--json", *arguments)
        assert ran.status == 0, ran.errors
        assert KEY.hex() not in ran.output
        facts = ran.json
        header = parse_header(facts["wrmheader"])
        assert parse_object(b64decode(facts["object"])).header == header
        box = parse_pssh(b64decode(facts["pssh"]))
        assert box.object.header == header
        assert box.kids == (tuple(key.kid for key in header.kids) if box.version else ())
        assert [each["kid"] for each in facts["kids"]] == [each.kid.text for each in header.kids]
        return header, facts

    return make


@pytest.mark.parametrize("version", list(Version))
@pytest.mark.parametrize("short", [True, False])
def test_every_version_is_made(made: Make, version: Version, *, short: bool) -> None:
    spelling = version.value[:3] if short else version.value
    header, facts = made("--version", spelling, f"{KID.text}:{KEY.hex()}")
    assert (header.version, facts["version"]) == (version, version.value)
    assert header.kids[0].checksum == checksum(Algid.AESCTR, KEY, KID)


@pytest.mark.parametrize(
    ("arguments", "version"),
    [
        ((KID.text,), Version.V4_0),
        (("--algid", "COCKTAIL", KID.text), Version.V4_0),
        ((KID.text, OTHER.base64), Version.V4_2),
        (("--algid", "AESCBC", KID.text), Version.V4_3),
        (("--algid", "none", KID.text), Version.V4_3),
        (("--no-license-requested", KID.text), Version.V4_3),
    ],
)
def test_the_oldest_version_that_can_say_it_is_made(
    made: Make, arguments: tuple[str, ...], version: Version
) -> None:
    assert made(*arguments)[0].version == version


def test_a_checksum_is_of_the_given_key_else_the_stored_one_else_the_seeds(
    made: Make, run: Run, data: Path
) -> None:
    third = Kid(bytes([3]) * 16)
    assert run("content", "add", "--data", str(data), OTHER.text, KEY.hex()).status == 0
    header, _ = made(f"{KID.text}:{KEY.hex()}", OTHER.text, third.text)
    assert [each.checksum for each in header.kids] == [
        checksum(Algid.AESCTR, KEY, KID),
        checksum(Algid.AESCTR, KEY, OTHER),
        checksum(Algid.AESCTR, content_key(TEST_KEY_SEED, third.raw), third),
    ]
    header, facts = made("--no-checksum", OTHER.text)
    assert (header.kids[0].checksum, facts["kids"][0]["checksum"]) == (None, None)


def test_the_type_of_a_stored_key_gives_the_algid(made: Make, run: Run, data: Path) -> None:
    run("content", "add", "--data", str(data), "--type", "aescbc", OTHER.text, KEY.hex())
    header, _ = made(OTHER.text)
    assert header.version == Version.V4_3
    assert [(each.algid, each.checksum is None) for each in header.kids] == [(Algid.AESCBC, True)]
    mixed = run("header", "make", "--data", str(data), OTHER.text, f"{KID.text}:{KEY.hex()}")
    assert mixed.status == 1
    assert "has the ALGIDs AESCBC and AESCTR, expected the same for all KIDs" in mixed.errors


def test_the_header_has_the_values_of_the_options(made: Make) -> None:
    header, _ = made(
        *("--la-url", URL, "--lui-url", "https://example.com/", "--ds-id", KID.text),
        *("--custom-attributes", "<a b='1'/>", "--decryptor-setup", "ONDEMAND"),
        *("--no-license-requested", "--pssh-version", "1", KID.text),
    )
    assert (header.la_url, header.lui_url) == (URL, "https://example.com/")
    assert header.ds_id == ServiceId(KID.raw)
    assert header.custom_attributes == '<CUSTOMATTRIBUTES><a b="1"></a></CUSTOMATTRIBUTES>'
    assert (header.decryptor_setup, header.license_requested) == ("ONDEMAND", False)


def test_each_form_is_printed_and_written(run: Run, data: Path, tmp_path: Path) -> None:
    make = ("header", "make", "--data", str(data), f"{KID.text}:{KEY.hex()}")
    facts = run(*make, "--json").json
    assert run(*make).output == facts["pssh"] + "\n"
    for form in ("wrmheader", "object", "pssh"):
        file = tmp_path / form
        assert run(*make, "--as", form).output == facts[form] + "\n"
        assert run(*make, "--as", form, "--output", str(file)).output == ""
        expected = facts[form].encode() if form == "wrmheader" else b64decode(facts[form])
        assert file.read_bytes() == expected
        shown = run("header", "show", "--data", str(data), "--json", str(file))
        assert (shown.status, KID.text in shown.output) == (0, True)
    nowhere = run(*make, "--output", str(tmp_path / "none" / "x"))
    assert (nowhere.status, "cannot be written" in nowhere.errors) == (1, True)


def test_without_a_data_folder_keys_are_the_seeds(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIGHTSMANAGER_DATA", str(tmp_path / "none"))
    make = ("header", "make", "--json", KID.text)
    (key,) = parse_header(json.loads(run(*make).output)["wrmheader"]).kids
    assert key.checksum == checksum(Algid.AESCTR, content_key(TEST_KEY_SEED, KID.raw), KID)
    assert not (tmp_path / "none").exists()


def test_without_a_seed_a_key_must_be_given_where_one_is_needed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIGHTSMANAGER_LICENSE__KEY_SEED", "")
    monkeypatch.setenv("RIGHTSMANAGER_DATA", str(tmp_path / "none"))
    make = ("header", "make")
    refused = run(*make, KID.text)
    assert (refused.status, refused.output) == (1, "")
    assert f"KID {KID.text} has no content key: there is no key seed" in refused.errors
    assert run(*make, f"{KID.text}:{KEY.hex()}").status == 0
    assert run(*make, "--algid", "AESCBC", KID.text).status == 0
    assert run(*make, "--algid", "AESCTR", "--no-checksum", KID.text).status == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ((), 2, "Missing argument 'KID[:KEY]...'"),
        (("hello",), 2, "KID is 'hello', expected a GUID"),
        ((f"{KID.text}:{KEY.hex()[:-2]}",), 2, "the content key"),
        (("--version", "5.0", KID.text), 2, "'5.0' is not one of"),
        (("--version", "4.0", KID.text, OTHER.text), 1, "WRMHEADER 4.0.0.0 has 2 KIDs"),
        (("--version", "4.2", "--algid", "AESCBC", KID.text), 1, "has ALGID AESCBC, expected"),
        (("--version", "4.2", "--algid", "none", KID.text), 1, "has ALGID absent, expected"),
        (("--version", "4.2", "--no-license-requested", KID.text), 1, "expected version 4.3.0.0"),
        ((KID.text, KID.text), 1, "has a KID twice"),
        (("--custom-attributes", "<a>", KID.text), 1, "CUSTOMATTRIBUTES is not well-formed"),
        (("--la-url", "http://a/\x01", KID.text), 1, "WRMHEADER is not well-formed"),
        (("--la-url", "http://a/" + "a" * 8000, KID.text), 1, "expected at most 15360"),
        (("--ds-id", "x", KID.text), 2, "DomainServiceID is 'x', expected a GUID"),
    ],
)
def test_an_impossible_header_is_reported_in_one_line(
    run: Run, data: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    ran = run("header", "make", "--data", str(data), *arguments)
    assert (ran.status, ran.output) == (status, "")
    assert message in ran.errors.splitlines()[-1]
    assert KEY.hex()[:-2] not in ran.errors


@pytest.mark.parametrize(
    ("options", "version"),
    [
        (("--decryptor-setup", "ONDEMAND"), Version.V4_2),
        (("--decryptor-setup", "ONDEMAND", "--version", "4.1"), Version.V4_1),
        (("--no-license-requested",), Version.V4_3),
    ],
)
def test_a_header_may_have_no_kids(made: Make, options: tuple[str, ...], version: Version) -> None:
    header, facts = made(*options)
    assert (header.version, header.kids, facts["kids"]) == (version, (), [])


def test_a_header_of_4_0_needs_a_kid(run: Run, data: Path) -> None:
    arguments = ("header", "make", "--data", str(data), "--version", "4.0")
    refused = run(*arguments, "--decryptor-setup", "ONDEMAND")
    assert "WRMHEADER 4.0.0.0 has 0 KIDs, expected one" in refused.errors
    assert run(*arguments).status == 2


def test_an_empty_licence_store_may_be_added(
    made: Make, run: Run, data: Path, tmp_path: Path
) -> None:
    header, facts = made("--license-store", "10240", KID.text)
    box = parse_pssh(b64decode(facts["pssh"]))
    for wrapped in (parse_object(b64decode(facts["object"])), box.object):
        assert wrapped.header == header
        assert wrapped.find(EMBEDDED_LICENSE_STORE) == bytes(10240)
    file = tmp_path / "object"
    file.write_text(facts["object"])
    shown = run("show", str(file))
    assert (shown.status, "embedded licence store" in shown.output) == (0, True)
    too_long = run("header", "make", "--data", str(data), "--license-store", "15360", KID.text)
    assert "expected at most 15360" in too_long.errors
