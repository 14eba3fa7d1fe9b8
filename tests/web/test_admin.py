"""The admin API is open to the token alone, and only if there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rightsmanager.assembly import admin_token
from rightsmanager.errors import InternalError
from rightsmanager.settings import Settings, load
from rightsmanager.web.admin_access import (
    FORGET_SECONDS,
    FREE_ATTEMPTS,
    MAX_ADDRESSES,
    MAX_DELAY_SECONDS,
    AdminAccess,
    TokenDelays,
)
from rightsmanager.web.router import RouterSettings
from tests.web.conftest import ServerClient, make_front

if TYPE_CHECKING:
    from pathlib import Path

    from tests.web.conftest import Calling

HERE = "192.0.2.7"
TOKEN = "a token of some length"[:16].replace(" ", "-")


def with_file(tmp_path: Path, content: bytes) -> Settings:
    file = tmp_path / "token"
    file.write_bytes(content)
    return load(None, admin={"token_file": str(file)})


def test_an_empty_token_is_refused() -> None:
    with pytest.raises(ValueError, match="is empty"):
        AdminAccess("/admin", "")
    assert not load(None).admin.is_on


@pytest.mark.parametrize("token", ["x" * 15, "x" * 257, "x" * 15 + " ", "ä" * 16])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(token: str, tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="expected 16 to 256 visible ASCII characters"):
        load(None, admin={"token": token})
    with pytest.raises(InternalError, match=r"admin\.token_file"):
        admin_token(with_file(tmp_path, token.encode()))


def test_the_token_comes_from_one_place(tmp_path: Path) -> None:
    assert admin_token(load(None, admin={"token": TOKEN})) == TOKEN
    assert admin_token(with_file(tmp_path, f"{TOKEN}\r\nand more\n".encode())) == TOKEN
    with pytest.raises(InternalError, match="are both set"):
        load(None, admin={"token": TOKEN, "token_file": "x"})
    with pytest.raises(InternalError, match="cannot be read: No such file"):
        admin_token(load(None, admin={"token_file": str(tmp_path / "absent")}))


@pytest.mark.parametrize("path", ["", "/", "admin", "/admin/", "/a b", "//admin", "/admin?x"])
def test_the_path_is_one(path: str) -> None:
    with pytest.raises(InternalError, match=r"admin\.path"):
        load(None, admin={"path": path})


@pytest.mark.parametrize(
    ("path", "status"),
    [("/admin/domains", 401), ("/admin/x", 401), ("/admin", 404), ("/x", 404)],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PUT"])
def test_without_the_token_nothing_is_read(
    calling: Calling, method: str, path: str, status: int
) -> None:
    access = AdminAccess("/admin", TOKEN)
    call = calling(RouterSettings(admin_path="/admin"), admin=access)
    if method == "OPTIONS" and path == "/x":
        status = 204
    assert call(method, path, b"", **{"wsgi.input": None}).status == status
    assert TOKEN not in repr(access)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def delays(clock: Clock) -> TokenDelays:
    return TokenDelays(clock)


def fail(delays: TokenDelays, times: int, address: str = HERE) -> float:
    for _ in range(times):
        delays.record(address)
    return delays.remaining(address)


def test_the_delay_doubles_up_to_a_limit(delays: TokenDelays) -> None:
    assert fail(delays, FREE_ATTEMPTS) == 0
    assert [fail(delays, 1) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert fail(delays, 5000) == MAX_DELAY_SECONDS


def test_the_delay_ends_with_time_and_with_the_token(delays: TokenDelays, clock: Clock) -> None:
    assert fail(delays, FREE_ATTEMPTS + 3) == 4
    clock.now += 3.5
    assert delays.remaining(HERE) == 0.5
    clock.now += 0.5
    assert delays.remaining(HERE) == 0
    assert fail(delays, 1) == 8
    clock.now += FORGET_SECONDS
    assert fail(delays, FREE_ATTEMPTS) == 0
    assert fail(delays, 1) == 1
    delays.forget(HERE)
    assert delays.remaining(HERE) == 0
    assert delays.record(HERE) == 1


def test_addresses_are_apart_and_few(delays: TokenDelays) -> None:
    fail(delays, FREE_ATTEMPTS + 1)
    assert delays.remaining("192.0.2.8") == 0
    for number in range(MAX_ADDRESSES - 1):
        fail(delays, 1, f"198.51.{number >> 8}.{number & 255}")
    assert delays.remaining(HERE) == 1
    fail(delays, 1, "203.0.113.1")
    assert delays.remaining(HERE) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("no:address", "no:other", False),
        ("", "", True),
    ],
)
def test_a_network_of_ipv6_is_one_client(
    delays: TokenDelays, one: str, other: str, *, same: bool
) -> None:
    fail(delays, FREE_ATTEMPTS + 1, one)
    assert (delays.remaining(other) > 0) is same


class EventLog:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def info(self, event: str, **facts: object) -> None:
        self.events.append((event, facts))

    warning = info


def test_wrong_tokens_delay_the_right_one(clock: Clock, delays: TokenDelays) -> None:
    log = EventLog()
    access = AdminAccess("/admin", TOKEN, delays=delays)
    front = make_front(RouterSettings(admin_path="/admin"), admin=access, log=log)
    call = ServerClient(front)

    def attempt(token: str, remote: str = HERE) -> int:
        header = f"Bearer {token}"
        answer = call("GET", "/admin/nothing", HTTP_AUTHORIZATION=header, REMOTE_ADDR=remote)
        assert ("Retry-After" in answer.headers) is (answer.status == 429)
        assert TOKEN.encode() not in answer.body
        return answer.status

    wrong = "w" * 16
    assert [attempt(wrong) for _ in range(6)] == [401, 401, 401, 401, 429, 429]
    assert attempt(TOKEN) == 429
    assert attempt(TOKEN, "192.0.2.8") == 404
    for header in ("", "Bearer", f"Basic {TOKEN}"):
        assert call("GET", "/admin/nothing", HTTP_AUTHORIZATION=header).status == 401
    clock.now += 1
    assert attempt(TOKEN) == 404
    assert [attempt(wrong) for _ in range(4)] == [401] * 4
    refused = [facts for event, facts in log.events if event == "admin_token_refused"]
    assert [facts["attempts"] for facts in refused] == [1, 2, 3, 4, 1, 2, 3, 4]
    assert {facts["remote"] for facts in refused} == {HERE}
    assert wrong not in repr(log.events)
    assert TOKEN not in repr(log.events)
