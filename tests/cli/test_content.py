"""`content add`, `list` and `remove`."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from rightsmanager.protocol.wire import Kid
from tests.databases import stored_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

KID = Kid(bytes(range(16)))
KEY = bytes(range(100, 116))


def test_added_keys_are_listed_and_removed_ones_are_not(run: Run, data: Path) -> None:
    folder = ("--data", str(data))
    added = run("content", "add", *folder, KID.text, KEY.hex())
    assert (added.status, added.output, added.errors) == (0, f"{KID.text} added\n", "")
    (fact,) = run("content", "list", *folder, "--json").json
    assert (fact["origin"], fact["program"], fact["period"]) == ("operator", None, None)
    assert (fact["kid"], fact["kid_base64"], fact["type"]) == (KID.text, KID.base64, "aesctr")
    assert fact["added_at"].endswith("+00:00")
    table = run("content", "list", *folder).output
    assert KID.text in table
    assert KID.base64 in table
    assert run("content", "remove", *folder, KID.base64).output == f"{KID.text} removed\n"
    assert run("content", "list", *folder, "--json").json == []


@pytest.mark.parametrize("key", [KEY.hex(), KEY.hex().upper(), b64encode(KEY).decode()])
@pytest.mark.parametrize("through_stdin", [True, False])
def test_a_key_has_several_spellings_and_is_never_printed(
    run: Run, data: Path, database_url: str, key: str, *, through_stdin: bool
) -> None:
    folder = ("--data", str(data))
    given = ("-", f"{key}\n") if through_stdin else (key, "")
    add = ("content", "add", *folder, "--type", "aescbc", KID.base64, given[0])
    printed = [run(*add, stdin=given[1])]
    assert printed[0].status == 0
    printed += [run("content", "list", *folder), run("content", "list", *folder, "--json")]
    spellings = {KEY.hex(), KEY.hex().upper(), b64encode(KEY).decode()}
    for ran in printed:
        assert [text for text in spellings if text in ran.output + ran.errors] == []
    assert KID.raw in stored_bytes(database_url)
    assert KEY not in stored_bytes(database_url)


def test_a_key_is_not_overwritten(run: Run, data: Path) -> None:
    add = ("content", "add", "--data", str(data), KID.text)
    assert run(*add, KEY.hex()).output == f"{KID.text} added\n"
    again = run(*add, KEY.hex())
    assert (again.status, again.output) == (0, f"{KID.text} stored already\n")
    other = run(*add, bytes(16).hex())
    assert (other.status, other.output) == (1, "")
    assert "has a content key already, another one or of another type" in other.errors


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("add", KID.text, "AAAA"), 1, "the content key has 4 characters, expected 32"),
        (("add", KID.text, "g" * 32), 1, "expected 32 hexadecimal digits or base64 of 16 bytes"),
        (("add", KID.text, "?"), 1, "the content key has 1 characters, expected 32 hexadecimal"),
        (("add", KID.text, ""), 1, "the content key has 0 characters"),
        (("add", "no-kid", KEY.hex()), 2, "KID"),
        (("add", KID.text), 2, "Missing argument 'KEY'"),
        (("add", "--type", "rot13", KID.text, KEY.hex()), 2, "'rot13' is not one of"),
        (("remove", KID.text), 1, "has no stored content key"),
        (("remove", "AAAA"), 2, "KID is 'AAAA', expected a GUID"),
        (("sell",), 2, "No such command 'sell'"),
    ],
)
def test_invalid_input_is_reported_in_one_line(
    run: Run, data: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    action, *rest = arguments
    ran = run("content", action, *(() if action == "sell" else ("--data", str(data))), *rest)
    assert ran.status == status
    assert ran.output == ""
    assert message in ran.errors.splitlines()[-1]
    assert KEY.hex() not in ran.errors


def test_without_a_keyring_nothing_is_added(run: Run, tmp_path: Path) -> None:
    ran = run("content", "add", "--data", str(tmp_path / "none"), KID.text, KEY.hex())
    assert ran.status == 1
    assert "with rightsmanager init --data" in ran.errors


def test_a_key_has_the_track_that_is_named(run: Run, data: Path, tmp_path: Path) -> None:
    folder = ("--data", str(data))
    run("content", "add", *folder, "--track", "UHD", KID.text, KEY.hex())
    assert run("content", "list", *folder, "--json").json[0]["track"] == "uhd"
    for ending in ("csv", "xml"):
        file = tmp_path / f"keys.{ending}"
        run("content", "export", *folder, str(file))
        run("content", "remove", *folder, KID.text)
        assert run("content", "import", *folder, str(file)).status == 0
        assert run("content", "list", *folder, "--json").json[0]["track"] == "uhd"
    conflict = run("content", "add", *folder, "--track", "hd", KID.text, KEY.hex())
    assert "has another track already: 'uhd'" in conflict.errors
    assert run("content", "track", *folder, KID.text, "--none").output.endswith("without a track\n")
    assert run("content", "list", *folder, "--json").json[0]["track"] is None
    run("content", "add", *folder, "--track", "sd", KID.text, KEY.hex())
    assert run("content", "track", *folder, KID.text, "HD").output == f"{KID.text} hd\n"
    for wrong, told in (
        ((KID.text,), "give TRACK or --none"),
        ((KID.text, "hd", "--none"), "give TRACK or --none"),
        ((KID.text, "a b"), "the track is 'a b'"),
        ((Kid(bytes(16)).text, "hd"), "has no stored content key"),
    ):
        refused = run("content", "track", *folder, *wrong)
        assert refused.status != 0
        assert told in refused.errors


def test_the_keys_of_the_next_periods_are_made(run: Run, data: Path) -> None:
    rotate = ("content", "rotate", "--data", str(data))
    made = run(*rotate, "--count", "2", "channel")
    assert [line.split()[0] for line in made.output.splitlines()] == ["period", "0", "1"]
    rotated = run(*rotate, "--json", "channel").json
    (period,) = rotated["periods"]
    assert (period["period"], period["is_new"], rotated["root"]) == (2, True, None)
    assert set(period) == {"program", "period", "kid", "is_new", "pssh"}
    below = run(*rotate, "--json", "--keys", "--root", "--periods", "1-2", "channel").json
    assert [each["is_new"] for each in below["periods"]] == [False, False]
    assert below["periods"][1]["kid"] == period["kid"]
    assert len(bytes.fromhex(below["root"]["key"])) == 16
    table = run(*rotate, "--keys", "--root", "--periods", "1", "channel").output
    assert f"{below['periods'][0]['kid']}  stored already  {below['periods'][0]['key']}" in table
    assert "root    " in table
    for wrong, told in (
        (("--periods", "3-1"), "'3-1' is not a range such as 0-9"),
        (("--periods", "0-1000"), "is not a range"),
        (("--periods", "a"), "is not a range"),
        (("--periods", "1", "--count", "1"), "give --count or --periods"),
    ):
        refused = run(*rotate, *wrong, "channel")
        assert refused.status != 0
        assert told in refused.errors


def test_explanations_know_the_track_of_a_key(run: Run, data: Path) -> None:
    folder = ("--data", str(data))
    run("content", "add", *folder, "--track", "uhd", KID.text, KEY.hex())
    asked = ("explain", *folder, "--kid", KID.text)
    assert "3000" in run(*asked, "?").output
    assert "3000" not in run(*asked, "cfg=(sl:2000)").output
    refused = run(*asked, "--security-level", "2000", "?")
    assert (refused.status, "needs security level 3000" in refused.output) == (1, True)
    assert "3000" not in run("explain", *folder, "?").output
