"""`rightsmanager explain`: what it prints, and its exit status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from rightsmanager.cli import rightsmanager
from rightsmanager.inspection.questions import header_of
from rightsmanager.protocol.formats.wrmheader import build_header
from rightsmanager.protocol.wire import Kid

if TYPE_CHECKING:
    from pathlib import Path

KID = Kid(bytes(range(16)))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(rightsmanager, ["explain", *arguments], input=stdin)


def test_a_url_gives_licences() -> None:
    result = run("http://h/rightsmanager.asmx?cfg=(sl:2000)")
    assert result.exit_code == 0
    assert "licence 1 (non-persistent)" in result.output
    assert "level: 2000" in result.output


def test_a_warning_keeps_the_exit_status() -> None:
    result = run("cfg=(realtime:true,sl:2000)&token=x", "--security-level", "2000")
    assert result.exit_code == 0
    assert result.output.count("warning: ") == 2
    refused = run("cfg=(sl:3000)", "--security-level", "2000")
    assert refused.exit_code == 1
    assert "the licence for each KID of the header needs security level 3000" in refused.output


def test_a_refusal_is_a_line_for_each_thing() -> None:
    result = run("cfg=(sl:1,persit:true)")
    assert result.exit_code == 1
    assert result.output == (
        "explanation (refused with 0x8004c604)\n"
        "├── check request: failed: sl is '1', expected 150, 2000 or 3000\n"
        "└── check request: failed: "
        "'persit' is an unknown parameter, the nearest known name is persist\n"
    )


def test_a_requested_fault_is_printed() -> None:
    result = run("cfg=(revoked:true)")
    assert result.exit_code == 0
    assert result.output.startswith(
        "explanation (no licence)\n"
        "├── fault: revoked answers with the fault 0x8004c065, device certificate revoked\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-file"],
        [],
        ["cfg=()", "--to", "xml"],
        ["cfg=()", "--kid", "x"],
        ["cfg=()", "--header", "no-such-file"],
        ["cfg=()", "--security-level", "-1"],
    ],
)
def test_a_wrong_call_is_a_usage_error(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_kids_come_from_options_or_from_a_header(tmp_path: Path) -> None:
    file = tmp_path / "header.xml"
    file.write_text(build_header(header_of((KID,))))
    for arguments in (["--kid", KID.base64], ["--header", str(file)]):
        assert f"KID: {KID.text}" in run("cfg=(sl:2000)", *arguments).output
    assert f"KID: {KID.text}" in run(str(file)).output
    assert run("cfg=()", "--kid", KID.text, "--header", str(file)).exit_code == 2


def test_a_header_option_needs_a_header(tmp_path: Path) -> None:
    file = tmp_path / "query"
    file.write_text("cfg=()")
    assert "the file has no WRMHEADER" in run("cfg=()", "--header", str(file)).output


def test_a_file_or_standard_input_may_have_the_query(tmp_path: Path) -> None:
    file = tmp_path / "query"
    file.write_text("cfg=(sl:2000)\n")
    assert "level: 2000" in run(str(file)).output
    assert "level: 2000" in run("-", stdin="json=[{'sl':2000}]").output


def test_custom_data_is_asked_where_the_url_asks_nothing() -> None:
    arguments = ["--custom-data", "json=[{'sl':2000}]"]
    assert "level: 2000" in run("http://h/rightsmanager.asmx", *arguments).output
    assert "CustomData has no effect" in run("cfg=(sl:3000)", *arguments).output


@pytest.mark.parametrize(
    ("spelling", "text"),
    [
        ("cfg", "cfg=(simple:true,sl:2000)"),
        ("cfg64", "cfg64=W3sic2ltcGxlIjoidHJ1ZSIsInNsIjoiMjAwMCJ9XQ=="),
        ("json", 'json=[{"simple":"true","sl":"2000"}]'),
        ("legacy", "UseSimpleNonPersistentLicense=1&SecurityLevel=2000"),
    ],
)
def test_a_request_is_translated(spelling: str, text: str) -> None:
    legacy = "UseSimpleNonPersistentLicense=1&SecurityLevel=2000"
    result = run(legacy, "--to", spelling)
    assert (result.exit_code, result.output) == (0, f"{text}\n")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("cfg=(sourceid:1)", "refused: the legacy spelling has no name for sourceid\n"),
        ("cfg=(sl:1)", "refused: sl is '1', expected 150, 2000 or 3000\n"),
        ("http://h/rightsmanager.asmx", "refused: it names no parameter\n"),
    ],
)
def test_what_cannot_be_translated_is_refused(query: str, text: str) -> None:
    result = run(query, "--to", "legacy")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", text)


def test_json_has_all_of_it() -> None:
    facts = json.loads(run("cfg=(realtime:true,embedding:1)", "--json").output)
    assert list(facts) == ["refused", "fault", "warnings", "licenses", "parameters", "spellings"]
    assert facts["parameters"][0]["children"][0] == {
        "name": "realtime",
        "value": "true",
        "meaning": "policy.real_time, from the query",
    }
    assert facts["spellings"]["cfg"] == "cfg=(realtime:true,embedding:1)"
    assert facts["spellings"]["legacy"] is None
    assert len(facts["licenses"]) == len(facts["warnings"]) == 1
    refused = run("cfg=(sl:1)", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.output)["licenses"] == []


def test_what_is_not_named_is_the_settings(tmp_path: Path) -> None:
    (tmp_path / "rightsmanager.toml").write_text("[policy]\nsecurity_level = 3000\n")
    result = run("--data", str(tmp_path), "http://h/rightsmanager.asmx")
    assert "level: 3000" in result.output
    assert "request names no parameter: this is the server's default policy.\n" in result.output
    assert "sl: 3000 (policy.security_level, the server's default)\n" in result.output
    assert len(result.output.splitlines()) < 30


def test_a_request_without_licences_says_so(tmp_path: Path) -> None:
    file = tmp_path / "header.xml"
    text = build_header(header_of((KID,)))
    file.write_text(text.replace("<PROTECTINFO>", '<PROTECTINFO LICENSEREQUESTED="false">'))
    assert run(str(file)).output.startswith("explanation (no licence)\n")


def test_a_key_is_printed_in_a_translation_only() -> None:
    key = "EjQSNBI0EjQSNBI0EjQSNw=="
    query = f"cfg=(sl:2000,contentkey:{key})"
    for form in ([], ["--json"]):
        output = run(query, *form).output
        assert "cfg=(sl:2000,contentkey:***)" in output
        assert key not in output
        # As base64 of JSON, where the key's own base64 is within.
        assert "W3sic2wiOiIyMDAwIiwiY29udGVudGtleSI6IioqKiJ9XQ==" in output
    assert run(query, "--to", "cfg").output == f"{query}\n"
