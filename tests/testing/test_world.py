"""Worlds and their parts, over HTTP from a running server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from rightsmanager.errors import (
    DeviceCertificateRevoked,
    DomainRequired,
    InternalError,
    InvalidMessage,
    RenewDomain,
    ServiceSpecific,
)
from rightsmanager.testing import ControlFailed, connect_world

if TYPE_CHECKING:
    from rightsmanager.testing import Server, World

KID = "6f651ae1-dbe4-4434-bcb4-690d1564c41c"
OTHER = "65db19e1-36fb-44cb-bcb4-690d1564c41c"
ACCOUNT = "7a1f0b52-6a0d-4f3e-9c77-1d2f8f5b4a10"
DAY = 86400


def test_a_licence_expires_by_the_clock_alone(world: World) -> None:
    device = world.device()
    device.acquire(kid=KID, query="cfg=(persist:true,expiration:+3600)")
    device.play(KID)
    world.clock.advance(3601)
    with pytest.raises(InvalidMessage, match="expired"):
        device.play(KID)
    device.acquire(kid=KID, query="cfg=(persist:true,expiration:+3600)")
    device.play(KID)


def test_the_clock_is_set_frozen_moved_and_let_go(world: World) -> None:
    world.clock.freeze("2031-01-01T00:00:00Z")
    assert world.clock.now == datetime(2031, 1, 1, tzinfo=UTC)
    assert world.clock.read().frozen
    assert world.clock.advance("PT1H").now == datetime(2031, 1, 1, 1, tzinfo=UTC)
    license_ = world.device().acquire(kid=KID).license
    assert license_.terms.issued == int(datetime(2031, 1, 1, 1, tzinfo=UTC).timestamp())
    assert not world.clock.unfreeze().frozen
    assert world.clock.set(datetime(2040, 1, 1, tzinfo=UTC)).now.year == 2040
    assert world.clock.offset(-DAY).offset_seconds == -DAY
    assert world.clock.drift(2).drift == 2


def test_a_stream_ends_by_the_clock_alone(lab: Server) -> None:
    settings = {"streams": {"max_per_device": 1, "lifetime_seconds": 600}}
    with lab.world(settings=settings) as world:
        device = world.device()
        device.acquire(kid=KID, query="cfg=(securestop:true)")
        with pytest.raises(ServiceSpecific):
            device.acquire(kid=OTHER, query="cfg=(securestop:true)")
        world.clock.advance(601)
        assert world.streams() == ()
        device.acquire(kid=OTHER, query="cfg=(securestop:true)")
        assert len(world.streams()) == 1


def test_a_domain_is_joined_renewed_and_left(world: World) -> None:
    device, query = world.device(), f"cfg=(accountid:{ACCOUNT})"
    world.domains.create(ACCOUNT, limit=2)
    with pytest.raises(DomainRequired):
        device.acquire(kid=KID, query=query)
    device.join(ACCOUNT, name="TV")
    assert device.acquire(kid=KID, query=query, account=ACCOUNT).license.terms.domain is not None
    world.domains.renew(ACCOUNT)
    device.acquire(kid=KID, query=query, account=ACCOUNT)
    world.journal.assert_count(1, operation="AcquireLicense", outcome=RenewDomain.status.hex)
    assert [each["name"] for each in world.domains.show(ACCOUNT)["devices"]] == ["TV"]
    assert device.leave(ACCOUNT)
    with pytest.raises(InternalError, match="has no domain"):
        device.leave(ACCOUNT)
    assert world.domains.list()[0]["members"] == 0


def test_a_domain_is_renewed_by_the_clock_alone(lab: Server) -> None:
    with lab.world(settings={"domain": {"revision_days": 30}}) as world:
        device, query = world.device(), f"cfg=(accountid:{ACCOUNT})"
        world.domains.create(ACCOUNT)
        device.join(ACCOUNT)
        device.acquire(kid=KID, query=query, account=ACCOUNT)
        world.clock.advance("P30D")
        renewed = device.acquire(kid=KID, query=query, account=ACCOUNT).license.terms.domain
        assert renewed is not None
        assert renewed.revision == 2
        world.journal.assert_count(1, operation="AcquireLicense", outcome=RenewDomain.status.hex)


def test_content_keys_licences_and_headers(world: World) -> None:
    world.content.add(OTHER, bytes(range(16)))
    assert [each["kid"] for each in world.content.list()] == [OTHER]
    got = world.device().acquire(kids=[KID, OTHER])
    assert [each.content_key[:4].hex() for each in got.licenses] == ["88da852a", "00010203"]
    with pytest.raises(InternalError, match="2 licences"):
        _ = got.license
    assert {each["kid"] for each in world.licenses()} == {KID, OTHER}
    world.content.remove(OTHER)
    assert world.content.list() == ()
    with pytest.raises(InternalError, match="expected one of"):
        world.device().acquire()


def test_secure_stop_deletion_and_acknowledgement_are_reported(world: World) -> None:
    device = world.device()
    device.acquire(kid=KID, query="cfg=(securestop:true)")
    device.play(KID)
    assert len(device.report_secure_stop()[0].accepted) == 1
    assert [each["stopped"] for each in world.sessions(kid=KID)] == [True]
    tid = "0b4e1c2d-6f3a-4f0e-9d5b-3a7c8e9f1a2b"
    got = device.acquire(kid=OTHER, query=f"cfg=(persist:true,tid:{tid})")
    assert got.acknowledged is not None
    assert device.delete(OTHER)[0].kids[0].text == OTHER
    operations = [each.operation for each in world.journal.requests(device=device.id)]
    assert operations == [
        "AcquireLicense",
        "GetMeteringCertificate",
        "ProcessSecureStopData",
        "AcquireLicense",
        "AcknowledgeLicense",
        "ProcessDeleteLicenseData",
    ]


def test_the_journal_is_awaited_asserted_and_shown(world: World) -> None:
    world.device().acquire(kid=KID)
    (request,) = world.journal.wait(operation="AcquireLicense", kid=KID)
    world.journal.assert_at_least(1, operation="AcquireLicense")
    world.journal.assert_at_most(1)
    with pytest.raises(AssertionError, match="1"):
        world.journal.assert_count(2, operation="AcquireLicense")
    with pytest.raises(AssertionError):
        world.journal.wait(operation="JoinDomain", timeout_seconds=0.05)
    shown = world.journal.show(request)
    assert b"<LicenseNonce>" in shown.sent
    assert shown.decoded_request is not None
    assert shown.decoded_request.checks["signature"] == "ok"
    assert next(shown.decoded_request.find_all("CLIENTVERSION")).value is not None
    assert f"AcquireLicense  ok  {KID}" in world.journal.text()
    world.journal.clear()
    assert world.journal.text() == "no requests"


def test_a_revoked_device_is_refused(world: World) -> None:
    device = world.device()
    world.revoke(device.digest)
    with pytest.raises(DeviceCertificateRevoked):
        device.acquire(kid=KID)


def test_a_world_is_reset_in_parts_and_returns_to_a_snapshot(world: World) -> None:
    world.content.add(OTHER, "000102030405060708090a0b0c0d0e0f")
    world.snapshot("one")
    world.reset("clock")
    assert len(world.content.list()) == 1
    world.reset("content_keys")
    assert world.content.list() == ()
    world.restore("one")
    assert len(world.content.list()) == 1
    world.reset()
    assert world.content.list() == ()


def test_equal_seeds_give_equal_licences(lab: Server) -> None:
    got = []
    for _ in range(2):
        with lab.world(seed=42) as world:
            acquired = world.device().acquire(kid=KID)
            got.append((acquired.license.raw, acquired.response.response_id))
    assert got[0] == got[1]


def test_a_world_with_keys_of_its_own_has_other_devices(lab: Server) -> None:
    with lab.world(pki="own") as world, lab.world() as shared:
        device = world.device()
        assert len(device.acquire(kid=KID).content_key) == 16
        with pytest.raises(InvalidMessage):
            device.acquire(kid=KID, url=shared.url)


def test_a_world_of_a_server_elsewhere(lab: Server, world: World) -> None:
    again = connect_world(lab.url, world.name)
    assert again.url == world.url
    with pytest.raises(InternalError, match="no data folder"):
        again.device()
    made = connect_world(lab.url, f"{world.name}-new")
    device = world.device()
    device.close()
    assert len(made.open_device(device.session.folder).acquire(kid=KID).content_key) == 16
    made.delete()
    made.delete()
    with pytest.raises(InternalError, match="names no server"):
        connect_world("127.0.0.1:8080", "a")


def test_a_refused_request_says_why(lab: Server, world: World) -> None:
    with pytest.raises(ControlFailed) as refused:
        lab.world(world.name)
    assert refused.value.http_status == 409
    with pytest.raises(ControlFailed):
        world.faults.add("no such kind")
