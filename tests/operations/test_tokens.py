"""Tokens are stored hashed, have a state, and record their use once an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rightsmanager.admin.refusals import Conflict, NotFound
from rightsmanager.admin.tokens import (
    MAX_LIFETIME_SECONDS,
    USE_SECONDS,
    NewToken,
    Role,
    TokenKeeper,
    TokenState,
    digest_of,
)
from rightsmanager.crypto.random import seeded_random
from rightsmanager.errors import ServiceSpecific
from rightsmanager.store.paging import Cut

if TYPE_CHECKING:
    from rightsmanager.store.database import Store


class Clock:
    now = 1790000000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keeper(store: Store, clock: Clock) -> TokenKeeper:
    return TokenKeeper(store, clock, seeded_random(b"tokens"))


def used_at(keeper: TokenKeeper, made: NewToken) -> float | None:
    found = keeper.find(made.token_id).used_at
    return None if found is None else found.timestamp()


def test_a_token_is_stored_by_its_digest_alone(keeper: TokenKeeper, store: Store) -> None:
    made = keeper.create("one", Role.READ)
    with store.reading() as found:
        (stored,) = found.tokens.find_all()
    assert stored.digest == digest_of(made.token)
    assert made.token not in repr(stored)
    assert made.token not in repr(made)
    assert len({keeper.create("two", Role.READ).token for _ in range(10)}) == 10


def test_a_token_is_valid_until_it_ends(keeper: TokenKeeper, clock: Clock) -> None:
    forever, short = keeper.create("a", Role.OPERATE), keeper.create("b", Role.READ, 60)
    assert keeper.check(forever.token)
    assert keeper.check(short.token)
    clock.now += 60
    assert keeper.check(forever.token)
    assert keeper.check(short.token) is None
    assert keeper.find(short.token_id).state is TokenState.EXPIRED
    assert keeper.revoke(forever.token_id).state is TokenState.REVOKED
    assert keeper.check(forever.token) is None
    with pytest.raises(Conflict, match="is revoked already"):
        keeper.revoke(forever.token_id)
    for missing in ("", "0" * 16, "x" * 1000):
        with pytest.raises(NotFound, match="there is no token"):
            keeper.revoke(missing)


def test_another_token_with_the_same_id_is_wrong(keeper: TokenKeeper, store: Store) -> None:
    made = keeper.create("one", Role.READ)
    with store.reading() as found:
        stored = found.tokens.find(made.token_id)
    assert stored is not None
    for wrong in (made.token[:-1], f"{made.token} ", stored.token_id, stored.digest.hex(), ""):
        assert keeper.check(wrong) is None


def test_the_last_use_is_recorded_once_an_hour(keeper: TokenKeeper, clock: Clock) -> None:
    made, start = keeper.create("one", Role.READ), clock.now
    assert used_at(keeper, made) is None
    for seconds, recorded in ((0, 0), (USE_SECONDS, 0), (USE_SECONDS + 1, USE_SECONDS + 1)):
        clock.now = start + seconds
        keeper.check(made.token)
        assert used_at(keeper, made) == start + recorded
    clock.now += USE_SECONDS + 1
    assert keeper.find_valid(made.token_id) is not None
    assert used_at(keeper, made) == start + USE_SECONDS + 1


def test_pages_have_each_token_once_while_others_are_added(
    keeper: TokenKeeper, clock: Clock
) -> None:
    made = {keeper.create(f"token {number}", Role.READ).token_id for number in range(7)}
    seen: list[str] = []
    cut = Cut(2)
    while True:
        page = keeper.find_page(cut)
        seen += [each.token_id for each in page.items]
        if page.next is None:
            break
        clock.now += 1
        keeper.create("added", Role.READ)
        cut = Cut(2, page.next)
    assert len(seen) == len(set(seen))
    assert set(seen) >= made


@pytest.mark.parametrize("name", ["", "x" * 65, "a\0b"])
def test_an_unusable_name_is_refused(keeper: TokenKeeper, name: str) -> None:
    with pytest.raises(ServiceSpecific, match="expected 1 to 64, all printable"):
        keeper.create(name, Role.READ)


@pytest.mark.parametrize("seconds", [0, -1, MAX_LIFETIME_SECONDS + 1])
def test_an_unusable_lifetime_is_refused(keeper: TokenKeeper, seconds: int) -> None:
    with pytest.raises(ServiceSpecific, match="the lifetime is"):
        keeper.create("one", Role.READ, seconds)
