"""Faults act on all nine operations, by their device and their KIDs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from rightsmanager.cli import rightsmanager
from rightsmanager.crypto.random import system_random
from rightsmanager.device import Joining, Messages, StreamInformation, Wrapping, open_device
from rightsmanager.device.acquire import Acquired, Wanted, header_of_kids
from rightsmanager.device.membership import Membership
from rightsmanager.device.playing import start, stop
from rightsmanager.errors import InvalidMessage, Refusal
from rightsmanager.lab.faults.fault import PACKAGING, WITHOUT_KIDS
from rightsmanager.lab.faults.toxics import TOXICS
from rightsmanager.protocol.formats.durations import parse_duration
from rightsmanager.protocol.messages.operations import OPERATIONS
from rightsmanager.protocol.wire import PROTOCOLS, AccountId, TransactionId
from tests.lab.faults.conftest import World, new_kid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rightsmanager.device import Challenge, DeviceSession
    from rightsmanager.protocol.wire import Mid


@dataclass
class Journey:
    """A device that does each operation once, in an order in which each is possible."""

    world: World
    session: DeviceSession

    def __post_init__(self) -> None:
        self.kid = new_kid()
        self.account = AccountId(system_random(16))
        self.messages = Messages(self.session)

    def challenges(self) -> Iterator[tuple[str, Challenge]]:
        """Yield each operation's query and challenge, once those before are accepted."""
        messages, kid = self.messages, self.kid
        tid = TransactionId(system_random(16)).text
        header = header_of_kids([kid])
        yield f"cfg=(persist:true,tid:{tid})", messages.acquire_license(header)
        yield "", messages.acknowledge_license()
        service = self.world.server.context.domains.defaults.service_id
        yield "", messages.join_domain(Joining(service, self.account))
        yield "", messages.leave_domain(self.account)
        mid = self.play("cfg=(securestop:true)")
        yield "", messages.get_metering_certificate(mid)
        yield "", messages.process_secure_stop_data(mid)
        self.kid = kid
        yield "", messages.process_delete_license_data([kid])
        stream = StreamInformation(f"program {kid.text}", parse_duration("P0S", "offset"))
        yield "", messages.acquire_packaging_data([stream])
        self.play(f"cfg=(mid:{mid.text})")
        yield "", messages.process_metering_data()

    def play(self, query: str) -> Mid:
        """Play with a new licence; return the server's own metering id."""
        self.world.query, self.kid = query, new_kid()
        accepted = self.messages.accept(
            self.ask(self.messages.acquire_license(header_of_kids([self.kid])))
        )
        assert isinstance(accepted.result, Acquired)
        (license_,) = accepted.result.licenses
        journal, now = self.session.journal, self.session.now
        playback = start(license_, journal, now=now, rng=system_random)
        stop(playback.sessions, journal, now)
        return self.world.server.context.metering_keys.own_mid

    def ask(self, challenge: Challenge) -> bytes:
        """Return the body of the reply."""
        body = challenge.text(Wrapping.SOAP11)
        return self.world.ask(f"{PROTOCOLS}/{challenge.operation}", body).body


@pytest.fixture
def journey(world: World, tmp_path: Path) -> Iterator[Journey]:
    folder = tmp_path / "device"
    made = CliRunner().invoke(
        rightsmanager, ["device", "new", "--data", str(world.data), str(folder)]
    )
    assert made.exit_code == 0, made.output
    with open_device(folder, post=world.post) as session:
        yield Journey(world, session)


def test_each_operation_can_be_refused_and_damaged(world: World, journey: Journey) -> None:
    done = []
    for query, challenge in journey.challenges():
        world.query = query
        operation = challenge.operation
        done.append(operation)
        _refuse_by_name(world, journey, challenge)
        for kind in ("foreign-signer", "expired-signer", "truncated", "corrupted"):
            if operation in TOXICS[kind].operations:
                world.inject(kind, operation=operation, count=1)
                with pytest.raises(InvalidMessage):
                    journey.messages.accept(journey.ask(challenge))
        world.inject("prefixed-xml", operation=operation, count=1)
        reply = journey.ask(challenge)
        assert b"<p:" in reply
        assert journey.messages.accept(reply).operation == operation
    assert set(done) == set(OPERATIONS)


def _refuse_by_name(world: World, journey: Journey, challenge: Challenge) -> None:
    """Refuse a request by its device and KID, and leave it alone by other ones."""
    operation = challenge.operation
    named: dict[str, str] = {}
    if operation != PACKAGING:
        named["device"] = journey.session.opening.device.chain.leaf.device_id
    if operation not in WITHOUT_KIDS:
        named["kid"] = journey.kid.text
    other = {name: "00" * 32 if name == "device" else new_kid().text for name in named}
    for name, value in other.items():
        world.inject("status", status="0x8004c601", operation=operation, **{**named, name: value})
    fault = world.inject("status", status="0x8004c604", operation=operation, count=1, **named)
    with pytest.raises(Refusal) as refused:
        journey.messages.accept(journey.ask(challenge))
    assert refused.value.status == 0x8004C604
    assert world.used(fault) == 1


def test_an_unreadable_challenge_matches_no_device(world: World, journey: Journey) -> None:
    _, challenge = next(journey.challenges())
    device = journey.session.opening.device.chain.leaf.device_id
    fault = world.inject("status", status="0x8004c604", device=device)
    body = challenge.text(Wrapping.SOAP11).replace(b"<ClientTime>", b"<ClientTime>1")
    answer = world.ask(f"{PROTOCOLS}/AcquireLicense", body)
    assert answer.status == 500
    assert world.used(fault) == 0


def test_an_older_reply_to_another_operation_is_refused(world: World, journey: Journey) -> None:
    world.inject("older-reply", operation="JoinDomain")
    service = world.server.context.domains.defaults.service_id
    first, second = (
        journey.messages.join_domain(Joining(service, AccountId(system_random(16))))
        for _ in range(2)
    )
    assert journey.messages.accept(journey.ask(first)).operation == "JoinDomain"
    with pytest.raises(InvalidMessage):
        journey.messages.accept(journey.ask(second))
    world.faults.clear()
    assert journey.messages.accept(journey.ask(second)).operation == "JoinDomain"


def test_a_device_joins_and_renews_the_domain_that_a_fault_names(
    world: World, journey: Journey
) -> None:
    """It asks once more after each, as the public record expects."""
    session, account = journey.session, journey.account
    wanted = Wanted(header_of_kids([journey.kid]))
    url = "http://127.0.0.1:8080/rightsmanager.asmx"
    for status, membership in (
        ("DOMAIN_REQUIRED", Membership(session.domains, None, joins=True)),
        ("RENEW_DOMAIN", Membership(session.domains, account)),
    ):
        world.inject(
            "status",
            operation="AcquireLicense",
            status=status,
            account=account.text,
            domain_url=url,
            count=1,
        )
        asked = len(world.injected)
        assert len(membership.acquire(url, wanted, session.client).licenses) == 1
        assert len(world.injected) == asked + 3
        assert session.domains.find(account) is not None
