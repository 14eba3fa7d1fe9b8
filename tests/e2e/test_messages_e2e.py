"""Challenges as files, posted by other clients, and their replies accepted, for all operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import zeep
from lxml import etree

from rightsmanager.crypto.random import system_random
from rightsmanager.device import Messages, Wrapping, open_device
from rightsmanager.device.acquire import Acquired, header_of_kids
from rightsmanager.errors import InvalidMessage, ServiceSpecific
from rightsmanager.protocol.messages.operations import OPERATIONS
from rightsmanager.protocol.wire import PROTOCOLS, AccountId, Kid, TransactionId
from tests.e2e.devices import CommandedDevice, make_device, text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import Server

KID = "4Rplb+TbNES8tGkNFWTEHA=="
ABSENT = "00000000-0000-0000-0000-000000000001"
TYPES = {"soap11": "text/xml; charset=utf-8", "soap12": "application/soap+xml; charset=utf-8"}


@dataclass(frozen=True)
class Exchange:
    """Posts the challenges of a device from files, as a client of another make would."""

    server: Server
    device: CommandedDevice
    folder: Path

    def post(self, operation: str, *arguments: str, query: str = "", form: str = "soap11") -> Path:
        """Return the file of the reply to a new challenge."""
        challenge, reply = self.folder / "challenge.xml", self.folder / f"{operation}.xml"
        output = ("--output", str(challenge), f"--{form}")
        self.device.run("challenge", operation, *arguments, *output)
        target = f"/rightsmanager.asmx{query and f'?{query}'}"
        answer = self.server.post(challenge.read_bytes(), target, Content_Type=TYPES[form])
        assert answer.status == 200, answer.body
        reply.write_bytes(answer.body)
        return reply

    def exchange(
        self, operation: str, *arguments: str, query: str = "", form: str = "soap11"
    ) -> dict[str, object]:
        """Return the facts of an accepted reply."""
        reply = self.post(operation, *arguments, query=query, form=form)
        accepted: dict[str, object] = self.device.json("accept", str(reply))
        assert accepted["operation"] == operation
        return accepted


@pytest.fixture
def exchange(server: Server, tmp_path: Path) -> Exchange:
    return Exchange(server, make_device(server.data, tmp_path / "device"), tmp_path)


@pytest.mark.parametrize("form", ["soap11", "soap12"])
def test_every_operation_is_done_by_files(exchange: Exchange, form: str) -> None:
    account_id, tid = AccountId(system_random(16)).text, TransactionId(system_random(16)).text
    account = ("--account", account_id)
    service = exchange.device.json("join", "--url", exchange.server.url, *account)["service_id"]
    exchange.device.run("leave", *account)
    query = f"cfg=(persist:true,tid:{tid})"

    acquired = exchange.exchange("AcquireLicense", "--kid", KID, query=query, form=form)
    assert acquired["transaction_id"] == tid
    acknowledged = exchange.exchange("AcknowledgeLicense", form=form)
    assert acknowledged["kids"] == [text(KID)]

    joined = exchange.exchange("JoinDomain", "--service", str(service), *account, form=form)
    assert joined["account_id"] == account_id
    assert len(exchange.device.json("domains")) == 1
    exchange.exchange("LeaveDomain", *account, form=form)
    assert exchange.device.json("domains") == []

    other = "7987aj+eE0uBlXi0N73AQw=="
    stopping = f"{exchange.server.url}?cfg=(securestop:true)"
    played = exchange.device.json("play", other, "--url", stopping)
    mid = ("--mid", str(played["secure_stop"]))
    exchange.exchange("GetMeteringCertificate", *mid, form=form)
    stopped = exchange.exchange("ProcessSecureStopData", *mid, form=form)
    assert stopped["accepted"] == played["sessions"]

    exchange.exchange(
        "AcquireLicense", "--kid", KID, query=f"cfg=(persist:true,mid:{mid[1]})", form=form
    )
    exchange.device.run("play", KID, "--times", "3")
    assert exchange.exchange("ProcessMeteringData", form=form)["count"] == 3

    deleted = exchange.exchange("ProcessDeleteLicenseData", "--kid", KID, form=form)
    assert deleted["kids"] == [text(KID)]
    packaged = exchange.exchange("AcquirePackagingData", "--program", "news", form=form)
    assert packaged["keys"]

    shown = exchange.device.json("show")
    pending = [value for name, value in shown.items() if name.endswith("_to_report")]
    assert (shown["licenses"], pending) == (0, [0, 0, 0])


def test_the_table_of_commands_has_every_operation(exchange: Exchange) -> None:
    ran = exchange.device.invoke("challenge", "Nonsense", "--output", "-")
    assert ran.exit_code == 2
    assert all(name in ran.stderr for name in OPERATIONS)


def test_a_reply_is_accepted_once(exchange: Exchange) -> None:
    reply = exchange.post("AcquireLicense", "--kid", KID)
    exchange.device.run("accept", str(reply))
    with pytest.raises(InvalidMessage, match="to no challenge of this device"):
        exchange.device.run("accept", str(reply))


def test_another_devices_reply_is_refused(exchange: Exchange, tmp_path: Path) -> None:
    reply = exchange.post("AcquireLicense", "--kid", KID)
    other = make_device(exchange.server.data, tmp_path / "other")
    with pytest.raises(InvalidMessage, match="to no challenge of this device"):
        other.run("accept", str(reply))


def test_replies_may_be_accepted_in_any_order(exchange: Exchange, tmp_path: Path) -> None:
    first = exchange.post("AcquireLicense", "--kid", KID).rename(tmp_path / "first.xml")
    second = exchange.post("AcquireLicense", "--kid", KID)
    for reply in (second, first):
        (license_,) = exchange.device.json("accept", str(reply))["licenses"]
        assert license_["kid"] == text(KID)


def test_an_altered_reply_is_refused_and_may_still_be_accepted(exchange: Exchange) -> None:
    reply = exchange.post("AcquireLicense", "--kid", KID, query="cfg=(persist:true)")
    whole = reply.read_bytes()
    reply.write_bytes(whole.replace(b"<Version>1</Version>", b"<Version>2</Version>"))
    with pytest.raises(InvalidMessage):
        exchange.device.run("accept", str(reply))
    assert exchange.device.json("show")["licenses"] == 0
    reply.write_bytes(whole)
    exchange.device.run("accept", str(reply))
    assert exchange.device.json("show")["licenses"] == 1


def test_a_fault_is_raised_as_its_refusal(exchange: Exchange, tmp_path: Path) -> None:
    challenge = tmp_path / "challenge.xml"
    arguments = ("--kid", KID, "--soap11", "--output", str(challenge))
    exchange.device.run("challenge", "AcquireLicense", *arguments)
    answer = exchange.server.post(challenge.read_bytes(), "/rightsmanager.asmx?cfg=(sl:x)")
    assert answer.status == 500
    (tmp_path / "fault.xml").write_bytes(answer.body)
    with pytest.raises(ServiceSpecific, match="sl"):
        exchange.device.run("accept", str(tmp_path / "fault.xml"))


@pytest.mark.parametrize(
    ("operation", "arguments", "expected"),
    [
        ("AcquireLicense", (), "give one of --kid, --header and --pssh"),
        ("AcknowledgeLicense", (), "nothing to acknowledge"),
        ("AcknowledgeLicense", ("--kid", KID), "AcknowledgeLicense does not take --kid"),
        ("JoinDomain", (), "JoinDomain needs --service"),
        ("LeaveDomain", (), "LeaveDomain needs --account"),
        ("LeaveDomain", ("--account", ABSENT), "no domain of account"),
        ("GetMeteringCertificate", (), "GetMeteringCertificate needs --mid"),
        ("ProcessMeteringData", (), "no plays to report"),
        ("ProcessSecureStopData", (), "no sessions to report"),
        ("ProcessDeleteLicenseData", (), "no deletions to report"),
        ("AcquirePackagingData", (), "AcquirePackagingData needs --program"),
    ],
)
def test_a_challenge_that_cannot_be_made_says_why(
    exchange: Exchange, operation: str, arguments: tuple[str, ...], expected: str
) -> None:
    ran = exchange.device.invoke("challenge", operation, *arguments, "--output", "-")
    assert ran.exit_code != 0
    assert expected in ran.stderr + str(ran.exception)


def test_zeep_posts_a_challenge_and_its_reply_is_accepted(
    server: Server, exchange: Exchange
) -> None:
    client = zeep.Client(f"{server.url}?wsdl")  # type: ignore[no-untyped-call]
    # Without it zeep gives the elements of the challenge a prefix, and breaks the signature.
    client.set_ns_prefix(None, PROTOCOLS)  # type: ignore[no-untyped-call]
    with open_device(exchange.device.folder) as device:
        messages = Messages(device)
        challenge = messages.acquire_license(header_of_kids([Kid.from_base64(KID)]))
        element = etree.fromstring(challenge.text(Wrapping.BARE))
        reply = client.service.AcquireLicense(challenge={"_value_1": element})
        accepted = messages.accept(etree.tostring(reply))
        assert isinstance(accepted.result, Acquired)
        (license_,) = accepted.result.licenses
        assert license_.kid.base64 == KID


def test_messages_of_other_commands_are_saved(exchange: Exchange, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    tid = TransactionId(system_random(16)).text
    options = ("--url", f"{exchange.server.url}?cfg=(persist:true,tid:{tid})")
    for _ in range(2):
        exchange.device.run("acquire", "--kid", KID, *options, "--save-messages", str(saved))
    names = sorted(file.name for file in saved.iterdir())
    assert names == [
        f"{number:03d}-{operation}-{kind}.xml"
        for number, operation in enumerate(("AcquireLicense", "AcknowledgeLicense") * 2, 1)
        for kind in ("challenge", "reply")
    ]
    for file in saved.iterdir():
        assert etree.QName(etree.fromstring(file.read_bytes())).localname == "Envelope"


@pytest.mark.parametrize(
    ("query", "state", "rights"),
    [
        ("cfg=(persist:true,begindate:20200101,expiration:20200102)", "expired", ["play"]),
        ("cfg=(persist:true,begindate:20400101)", "not yet", ["play"]),
        ("cfg=(cvopl:500,firstexp:60,realtime:true)", "good", ["play"]),
    ],
)
def test_what_a_policy_grants_is_shown(
    exchange: Exchange, query: str, state: str, rights: list[str]
) -> None:
    arguments = ("--kid", KID, "--url", f"{exchange.server.url}?{query}")
    (license_,) = exchange.device.json("acquire", *arguments)["licenses"]
    assert (license_["state"], license_["rights"]) == (state, rights)
    levels = license_["output_levels"]
    assert "opl" not in query or levels["compressed_digital_video"] == 500
    limits = (license_["begin"], license_["end"], license_["expire_after_first_play"])
    assert any(each is not None for each in limits)
    verdict = exchange.device.run("acquire", *arguments).splitlines()[-1]
    passed = "1 licence, the reply signed; every check passed"
    unusable = (
        f"1 licence, the reply signed; the reply is valid, but not usable now: 1 licence {state}"
    )
    assert verdict == (passed if state == "good" else unusable)


def test_a_url_that_is_not_asked_is_said(exchange: Exchange) -> None:
    url = f"{exchange.server.url}?cfg=(persist:true)"
    exchange.device.run("acquire", "--kid", KID, "--url", url)
    played = exchange.device.invoke("play", KID, "--url", url)
    assert played.exit_code == 0
    assert "a stored licence is played; the server of --url is not asked" in played.stderr
