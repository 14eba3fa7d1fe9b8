"""`content import` and `export`: whole lists, and no key without the option."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from rightsmanager.protocol.formats.keylists import KeyEntry, build_document, build_table
from rightsmanager.protocol.wire import Kid

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Run

KIDS = [Kid(bytes([number]) * 16) for number in range(4)]
KEY = bytes(range(100, 116))
ENTRIES = [
    KeyEntry(KIDS[0], KEY, "aesctr", "movie", 0, "cenc"),
    KeyEntry(KIDS[1], KEY[::-1], "aescbc", "movie", 7, "cbcs", bytes(16)),
]
SECRETS = (KEY.hex(), KEY[::-1].hex(), "ZGVmZ2hpamtsbW5vcHFycw==")


@pytest.fixture
def lists(tmp_path: Path) -> dict[str, Path]:
    files = {"cpix": tmp_path / "keys.xml", "csv": tmp_path / "keys.csv"}
    files["cpix"].write_bytes(build_document(ENTRIES))
    files["csv"].write_bytes(build_table(ENTRIES))
    return files


@pytest.mark.parametrize("form", ["cpix", "csv"])
def test_an_imported_list_is_exported_unchanged(
    run: Run, data: Path, lists: dict[str, Path], tmp_path: Path, form: str
) -> None:
    folder = ("--data", str(data))
    printed = [run("content", "import", *folder, str(lists[form])) for _ in range(2)]
    assert [each.output for each in printed] == [
        "2 added, 0 stored already\n",
        "0 added, 2 stored already\n",
    ]
    printed.append(run("content", "list", *folder))
    facts = run("content", "list", *folder, "--json").json
    assert [(each["origin"], each["program"], each["period"]) for each in facts] == [
        ("import", "movie", 0),
        ("import", "movie", 7),
    ]
    out = tmp_path / f"out.{form}"
    printed.append(run("content", "export", *folder, str(out)))
    assert printed[-1].output == f"2 in {out}\n"
    assert out.read_bytes() == lists[form].read_bytes()
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    for each in printed:
        assert [secret for secret in SECRETS if secret in each.output + each.errors] == []


def test_keys_are_printed_only_with_the_option(
    run: Run, data: Path, lists: dict[str, Path]
) -> None:
    folder = ("--data", str(data))
    run("content", "import", *folder, str(lists["csv"]))
    refused = run("content", "export", *folder, "-")
    assert (refused.status, refused.output) == (2, "")
    assert "give --keys" in refused.errors
    printed = run("content", "export", *folder, "--keys", "--as", "csv", "-")
    assert printed.output == lists["csv"].read_text()
    some = run("content", "export", *folder, "--keys", "--as", "csv", "--kid", KIDS[1].text, "-")
    assert some.output == build_table(ENTRIES[1:]).decode()


def test_an_existing_file_is_not_overwritten(run: Run, data: Path, lists: dict[str, Path]) -> None:
    folder = ("--data", str(data))
    run("content", "import", *folder, str(lists["csv"]))
    before = lists["csv"].read_bytes()
    again = run("content", "export", *folder, str(lists["csv"]))
    assert again.status == 1
    assert "exists already, expected a new file" in again.errors
    assert lists["csv"].read_bytes() == before
    nowhere = run("content", "export", *folder, str(lists["csv"] / "x"))
    assert (nowhere.status, "cannot be written" in nowhere.errors) == (1, True)


@pytest.mark.parametrize("choice", [("--program", "film"), ("--kid", KIDS[3].text)])
def test_an_empty_selection_writes_no_file(
    run: Run, data: Path, lists: dict[str, Path], tmp_path: Path, choice: tuple[str, str]
) -> None:
    folder = ("--data", str(data))
    run("content", "import", *folder, str(lists["csv"]))
    ran = run("content", "export", *folder, *choice, str(tmp_path / "none.csv"))
    assert (ran.status, "no such content key is stored" in ran.errors) == (1, True)
    assert not (tmp_path / "none.csv").exists()


def test_a_contradicting_list_stores_nothing(
    run: Run, data: Path, lists: dict[str, Path], tmp_path: Path
) -> None:
    folder = ("--data", str(data))
    run("content", "add", *folder, KIDS[1].text, KEY.hex())
    ran = run("content", "import", *folder, str(lists["cpix"]))
    assert ran.status == 1
    assert f"KID {KIDS[1].text} has a content key already" in ran.errors
    (fact,) = run("content", "list", *folder, "--json").json
    assert (fact["kid"], fact["origin"]) == (KIDS[1].text, "operator")
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("kid,key\nhello,world\n")
    assert "line 2: KID" in run("content", "import", *folder, str(wrong)).errors


def test_an_operators_key_may_belong_to_a_program(run: Run, data: Path) -> None:
    folder = ("--data", str(data))
    program = "movie \u202e[bold]"
    for kid, more in ((KIDS[0], ()), (KIDS[1], ("--period", "3"))):
        added = run("content", "add", *folder, "--program", program, *more, kid.text, KEY.hex())
        assert added.status == 0
    facts = run("content", "list", *folder, "--json").json
    assert [(each["program"], each["period"]) for each in facts] == [(program, 0), (program, 3)]
    assert "movie \\u202e[bold]" in run("content", "list", *folder).output
    taken = run("content", "add", *folder, "--program", program, KIDS[2].text, KEY.hex())
    assert (taken.status, f"which has KID {KIDS[0].text} already" in taken.errors) == (1, True)
    alone = run("content", "add", *folder, "--period", "3", KIDS[2].text, KEY.hex())
    assert (alone.status, "expected both" in alone.errors) == (1, True)
    assert len(run("content", "list", *folder, "--json").json) == 2


def test_a_program_that_is_left_out_is_printed(run: Run, data: Path, tmp_path: Path) -> None:
    keys = "".join(
        f'<ContentKey kid="{kid.text}"><Data><Secret><PlainValue>AAAAAAAAAAAAAAAAAAAAAA=='
        "</PlainValue></Secret></Data></ContentKey>"
        for kid in KIDS
    )
    file = tmp_path / "list.xml"
    file.write_text(
        '<CPIX xmlns="urn:dashif:org:cpix" contentId="movie">'
        f"<ContentKeyList>{keys}</ContentKeyList></CPIX>"
    )
    ran = run("content", "import", "--data", str(data), str(file))
    assert ran.output == f"{len(KIDS)} added, 0 stored already\n"
    for kid in KIDS:
        assert f"KID {kid.text}: program movie left out" in ran.errors
