"""`rightsmanager packager`, and a client by WSDL, against a server."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import zeep
from click.testing import CliRunner

from rightsmanager.cli import rightsmanager
from rightsmanager.device.packaging import acquire_packaging_data
from rightsmanager.errors import InvalidMessage, Refusal, ServiceSpecific
from rightsmanager.protocol.formats.durations import parse_duration
from rightsmanager.protocol.formats.pssh import parse_object
from rightsmanager.protocol.messages.packaging import StreamInformation
from rightsmanager.protocol.wire import decode_base64
from tests.databases import on_sqlite
from tests.second import packager

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Client, Server, Start

pytestmark = on_sqlite
TOKEN = "a-token-of-the-tests"
STREAM = StreamInformation("wrong", parse_duration("P0S", "offset"))


def run(*arguments: str, stdin: str = "") -> Any:  # noqa: ANN401 -- click's result
    return CliRunner().invoke(rightsmanager, ["packager", *arguments], input=stdin)


def test_keys_of_programs_are_printed(server: Server, client: Client) -> None:
    printed = run("--url", server.url, "--json", "command one", "command two")
    assert printed.exit_code == 0, printed.output
    facts = json.loads(printed.output)
    assert [(fact["program"], fact["offset"], fact["interval"]) for fact in facts] == [
        ("command one", "P0S", None),
        ("command two", "P0S", None),
    ]
    table = run("--url", server.url, "command one").output
    assert facts[0]["kid"] in table
    assert facts[0]["content_key"] in table
    header = parse_object(decode_base64(facts[1]["object"], "object")).header
    (license_,) = client.acquire(server.url, header).licenses
    assert license_.content_key.hex() == facts[1]["content_key"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--offset", "soon", "a"), "--offset is 'soon', expected a duration"),
        (("--interval", "P1Y", "a"), "years and months have no fixed length"),
        (("",), "ProgramIdentifier has 0 characters"),
    ],
)
def test_failures_are_reported(server: Server, arguments: tuple[str, ...], told: str) -> None:
    ran = run("--url", server.url, *arguments)
    assert ran.exit_code == 1
    assert isinstance(ran.exception, Refusal)
    assert told in ran.exception.text


def test_a_token_is_sent(start: Start, tmp_path: Path) -> None:
    server = start(
        tmp_path / "data",
        RIGHTSMANAGER_PACKAGING__ACCESS="token",
        RIGHTSMANAGER_PACKAGING__TOKEN=TOKEN,
        RIGHTSMANAGER_PACKAGING__KEY_PERIOD_SECONDS="60",
    )
    url = ("--url", server.url, "--offset", "PT50S", "--interval", "PT1M", "--json", "live")
    for refused in (run(*url), run("--token", "x", *url)):
        assert isinstance(refused.exception, ServiceSpecific)
    for given in (run("--token", TOKEN, *url), run("--token", "-", *url, stdin=f"{TOKEN}\n")):
        facts = json.loads(given.output)
        assert [(fact["offset"], fact["interval"]) for fact in facts] == [
            ("PT50S", "PT10S"),
            ("PT60S", "PT50S"),
        ]


def test_an_answer_whose_object_is_of_another_key_is_refused(server: Server) -> None:
    def asked(program: str) -> bytes:
        return server.post(packager.ask(packager.stream(program))).body

    def swapping(tag: bytes) -> bytes:
        one, two = (asked(each).partition(b"<" + tag) for each in ("wrong", "right"))
        end = b"</" + tag
        return one[0] + one[1] + two[2].partition(end)[0] + end + one[2].partition(end)[2]

    for tag, told in ((b"Data>", "is for another"), (b"KeyData>", "CHECKSUM")):
        answer = swapping(tag)
        with pytest.raises(InvalidMessage, match=told):
            acquire_packaging_data(server.url, [STREAM], lambda *_, body=answer: body)


@pytest.mark.parametrize("port", ["RightsManagerSoap", "RightsManagerSoap12"])
def test_a_client_by_wsdl_is_served(server: Server, port: str) -> None:
    client = zeep.Client(server.url + "?wsdl")  # type: ignore[no-untyped-call]
    (protection,) = client.bind("RightsManager", port).AcquirePackagingData(
        challenge={
            "ProtectionSystems": {"ProtectionSystemId": [packager.PLAYREADY, packager.WIDEVINE]},
            "StreamProtectionRequests": {
                "StreamInformation": [
                    {
                        "ProgramIdentifier": "by & WSDL",
                        "OffsetFromProgramStart": timedelta(seconds=5),
                        "RequestInterval": timedelta(minutes=1),
                    }
                ]
            },
        }
    )["StreamProtection"]
    assert protection["ProgramIdentifier"] == "by & WSDL"
    assert protection["RequestInterval"] == timedelta(minutes=1)
    data = protection["ProtectionSystemData"]["ProtectionSystem"][0]["Data"]
    taken = packager.Packaged(packager.read_object(data).kid, protection["KeyData"], data)
    assert str(taken.kid) == protection["KeyId"]
    assert packager.read_object(data).checksum == packager.checksum(taken)
