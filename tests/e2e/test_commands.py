"""Commands for devices, licences and content keys, each as its own process."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from rightsmanager.cli import rightsmanager
from rightsmanager.protocol.formats.pssh import Pssh, build_object, build_pssh, object_of
from rightsmanager.protocol.formats.wrmheader import (
    Algid,
    Header,
    HeaderKid,
    Version,
    canonical_header,
)
from rightsmanager.protocol.wire import Kid
from tests.protocol.test_input_forms import FORMS
from tests.protocol.test_input_forms import KID as FORMS_KID

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Client, Command, HeaderOf, Server

FIRST, SECOND = "4Rplb+TbNES8tGkNFWTEHA==", "7987aj+eE0uBlXi0N73AQw=="
OTHER = "AmfjCTOPbEOl3WD/5mcecA=="
Acquire = Callable[..., Result]
"""Runs `device acquire` with extra arguments."""


@pytest.fixture(scope="module")
def device(server: Server, program: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a device made by the command."""
    folder = tmp_path_factory.mktemp("device") / "made"
    made = program("device", "new", "--data", str(server.data), str(folder))
    assert (made.status, made.errors) == (0, "")
    assert made.output == f"The device is in {folder}.\n"
    return folder


@pytest.fixture
def acquire(device: Path, server: Server) -> Acquire:
    """Return `device acquire` run in this process, because that is faster."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(
            rightsmanager,
            ["device", "acquire", "--device", str(device), "--url", server.url, *arguments],
        )

    return run


def text(kid: str) -> str:
    return Kid.from_base64(kid).text


@pytest.mark.parametrize(
    ("arguments", "kids", "key_type"),
    [
        ((), (FIRST,), "AES_CTR"),
        (("--header-version", "4.1"), (FIRST,), "AES_CTR"),
        (("--header-version", "4.2.0.0"), (FIRST, SECOND), "AES_CTR"),
        (("--header-version", "4.3.0.0", "--algid", "AESCBC"), (FIRST, SECOND), "AES_CBC"),
    ],
    ids=["4.0", "4.1", "4.2", "4.3"],
)
def test_a_licence_has_the_content_key_of_the_test_key_seed(
    device: Path,
    server: Server,
    program: Command,
    test_keys: dict[str, str],
    *,
    arguments: tuple[str, ...],
    kids: tuple[str, ...],
    key_type: str,
) -> None:
    wanted = [word for kid in kids for word in ("--kid", kid)]
    ran = program(
        *("device", "acquire", "--device", str(device), "--url", server.url, "--json"),
        *(*wanted, *arguments),
    )
    assert (ran.status, ran.errors) == (0, "")
    expected = [
        {
            "kid": text(kid),
            "content_key": test_keys[kid],
            "key_type": key_type,
            "persistent": False,
            "security_level": 150,
            "state": "good",
            "rights": ["play"],
            "begin": None,
            "end": None,
            "expire_after_first_play": None,
            "removal_date": None,
            "metering_id": None,
            "secure_stop": None,
            "output_levels": None,
        }
        for kid in kids
    ]
    assert ran.json["signed"] is True
    assert ran.json["custom_data"] is None
    rights_ids = [int(license_.pop("rights_id"), 16) for license_ in ran.json["licenses"]]
    issued = {license_.pop("issued") for license_ in ran.json["licenses"]}
    assert expected == ran.json["licenses"]
    assert len(issued) == 1
    assert rights_ids == [(rights_ids[0] + n) % 2**128 for n in range(len(kids))]


def test_without_json_it_is_a_table(acquire: Acquire, test_keys: dict[str, str]) -> None:
    result = acquire("--kid", text(FIRST), "--kid", SECOND)
    head, first, second, end = (line.rstrip() for line in result.output.splitlines())
    assert head.split("  ")[0] == "KID"
    assert first.split() == [text(FIRST), test_keys[FIRST], "AES_CTR", "no", "150", "good"]
    assert second.split() == [text(SECOND), test_keys[SECOND], "AES_CTR", "no", "150", "good"]
    assert end == "2 licences, the reply signed; every check passed"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16"])
def test_a_header_comes_from_a_file(
    acquire: Acquire, tmp_path: Path, header_of: HeaderOf, test_keys: dict[str, str], encoding: str
) -> None:
    file = tmp_path / "header"
    file.write_bytes(canonical_header(header_of(OTHER)).encode(encoding))
    assert test_keys[OTHER] in acquire("--header", str(file)).output


@pytest.mark.parametrize("is_box", [True, False])
def test_a_pssh_box_or_a_playready_object_names_the_keys(
    acquire: Acquire, header_of: HeaderOf, test_keys: dict[str, str], *, is_box: bool
) -> None:
    wrapped = object_of(header_of(FIRST, OTHER, version="4.2.0.0"))
    data = build_pssh(Pssh(wrapped)) if is_box else build_object(wrapped)
    output = acquire("--pssh", b64encode(data).decode()).output
    assert test_keys[FIRST] in output
    assert test_keys[OTHER] in output


@pytest.mark.parametrize("form", ["object", "boxes", "MP4", "playlist", "manifest", "xxd"])
def test_a_header_is_found_in_a_file_of_any_form(
    acquire: Acquire, tmp_path: Path, form: str
) -> None:
    file = tmp_path / "content"
    file.write_bytes(FORMS[form][0])
    result = acquire("--header", str(file))
    assert result.exit_code == 0, result.output
    assert Kid(FORMS_KID).text in result.output


def test_a_checksum_of_another_key_says_what_helps(acquire: Acquire, tmp_path: Path) -> None:
    file = tmp_path / "header"
    wrong = HeaderKid(Kid.from_base64(FIRST), Algid.AESCTR, bytes(8))
    file.write_text(canonical_header(Header(Version.V4_0, (wrong,))), "utf-8")
    result = acquire("--header", str(file))
    reason = result.output + str(result.exception)
    assert result.exit_code == 1
    assert "WRMHEADER CHECKSUM" in reason
    assert "rightsmanager content add" in reason
    assert "0x8004" not in reason


def test_other_custom_data_is_ignored(acquire: Acquire, test_keys: dict[str, str]) -> None:
    result = acquire("--kid", FIRST, "--custom-data", 'a <b> & "c"\r\n\tü\N{PILE OF POO}')
    assert test_keys[FIRST] in result.output


def test_every_worker_uses_a_stored_content_key_at_once(
    server: Server, client: Client, header_of: HeaderOf
) -> None:
    kid, key = Kid(bytes(range(16))), "00112233445566778899aabbccddeeff"
    header = header_of(kid.base64, version="4.3.0.0", algid="AESCBC")

    def answers() -> set[tuple[str, int]]:
        with ThreadPoolExecutor(8) as threads:
            found = threads.map(lambda _: client.acquire(server.url, header).licenses, range(16))
        return {(license_.content_key.hex(), license_.key_type) for (license_,) in found}

    def content(*arguments: str) -> str:
        ran = CliRunner().invoke(
            rightsmanager,
            ["content", *arguments, "--data", str(server.data)],
            env=server.environment,
        )
        assert (ran.exit_code, ran.stderr) == (0, "")
        return ran.stdout

    (before,) = answers()
    assert content("add", kid.text, key, "--type", "aescbc") == f"{kid.text} added\n"
    assert answers() == {(key, 5)}
    listed = content("list", "--json")
    assert kid.base64 in listed
    assert key not in listed
    assert content("remove", kid.base64) == f"{kid.text} removed\n"
    assert answers() == {before}


def test_the_type_of_a_stored_key_counts_where_the_header_has_none(
    server: Server, acquire: Acquire, tmp_path: Path
) -> None:
    kid = Kid(bytes(range(1, 17)))
    run = CliRunner().invoke
    added = run(
        rightsmanager,
        ["content", "add", "--data", str(server.data), "--type", "aescbc", kid.text, "A" * 32],
        env=server.environment,
    )
    assert added.exit_code == 0
    file = tmp_path / "header.xml"
    file.write_text(
        '<WRMHEADER xmlns="http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader" '
        f'version="4.3.0.0"><DATA><PROTECTINFO><KIDS><KID VALUE="{kid.base64}"></KID></KIDS>'
        "</PROTECTINFO></DATA></WRMHEADER>"
    )
    assert "AES_CBC" in acquire("--header", str(file)).output
