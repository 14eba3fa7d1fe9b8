"""Byte-swapped KIDs are warned of, if the store knows the other KID."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.cli import rightsmanager
from rightsmanager.inspection import Context, Outcome, describe
from rightsmanager.inspection.kids import order_checks
from rightsmanager.protocol.formats.wrmheader import Header, HeaderKid, Version, build_header
from rightsmanager.protocol.formats.xmr import parse_license
from rightsmanager.protocol.formats.xmr.objects import ContentKey
from rightsmanager.protocol.wire import Kid

if TYPE_CHECKING:
    from pathlib import Path

KID = Kid(bytes(range(16)))
KEY = "00112233445566778899aabbccddeeff"
HEADER = build_header(Header(Version.V4_3, (HeaderKid(KID, None),)))


@given(st.binary(min_size=16, max_size=16))
def test_the_other_order_of_the_other_order_is_the_kid(raw: bytes) -> None:
    assert Kid(raw).swapped.swapped == Kid(raw)
    assert Kid(raw).swapped.text.replace("-", "") == raw.hex()


@pytest.mark.parametrize(
    ("stored", "warned"),
    [((), False), ((KID,), False), ((KID.swapped,), True), ((KID, KID.swapped), False)],
)
def test_only_the_other_kid_alone_is_warned_of(
    bare: Context, stored: tuple[Kid, ...], *, warned: bool
) -> None:
    context = replace(bare, is_stored=lambda kid: kid in stored)
    checks = order_checks(KID, context)
    assert [check.outcome for check in checks] == [Outcome.WARNING] * warned
    assert all(KID.swapped.text in check.text and KID.base64 in check.text for check in checks)


def test_a_licence_is_warned_of_too_and_nothing_fails(
    bare: Context, things: dict[str, bytes]
) -> None:
    license_ = things["xmr_bound_1"]
    found = parse_license(license_).find(ContentKey)
    assert found is not None
    context = replace(bare, is_stored=lambda kid: kid == found.kid.swapped)
    description = describe(license_, context)
    (check,) = (check for check in description.checks if check.name == "byte order")
    assert check.outcome is Outcome.WARNING
    assert not description.failed


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    assert run("init", "--data", str(folder)).exit_code == 0
    return folder


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(rightsmanager, list(arguments), input=stdin)


def test_the_command_asks_the_data_folders_store(data: Path) -> None:
    show = ("show", "--data", str(data), "-")
    assert "byte order" not in run(*show, stdin=HEADER).output
    assert run("content", "add", "--data", str(data), KID.swapped.text, KEY).exit_code == 0
    result = run(*show, stdin=HEADER)
    assert result.exit_code == 0
    assert f"check byte order: warning: KID {KID.text}" in result.output
    assert result.output.endswith("0 failed, 1 not possible, 1 warning\n")
    run("content", "add", "--data", str(data), KID.text, KEY)
    assert "byte order" not in run(*show, stdin=HEADER).output


def test_no_database_is_made_and_a_bad_one_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    show = ("show", "--data", str(tmp_path / "empty"), "-")
    assert run(*show, stdin=HEADER).exit_code == 0
    assert list((tmp_path / "empty").iterdir()) == []
    (tmp_path / "empty" / "rightsmanager.db").write_bytes(b"no database" * 100)
    assert run(*show, stdin=HEADER).exit_code == 0


def test_an_empty_seed_is_not_a_known_seed(tmp_path: Path) -> None:
    (tmp_path / "rightsmanager.toml").write_text('[license]\nkey_seed = ""\n')
    header = HEADER.replace("<KID ", '<KID CHECKSUM="AAAAAAAAAAA=" ALGID="AESCTR" ')
    result = run("show", "--data", str(tmp_path), "-", stdin=header)
    assert result.exit_code == 0, result.output
    assert "does not match the Test Key Seed, and no" in result.output
