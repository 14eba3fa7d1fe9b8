"""One challenge gets the same licences once, however its query is written."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import permutations
from urllib.parse import quote

import pytest

from rightsmanager.admin.retention import purge
from rightsmanager.errors import ServiceSpecific
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.choice import Choice
from rightsmanager.hooks.facts import Facts
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.context import Context, Options
from rightsmanager.policy.defaults import LicenseDefaults
from rightsmanager.policy.grants import Grant, Policy
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.database import Store
from tests.operations.subject import ask, issued, make_context
from tests.second import challenge as second
from tests.second import curve, world
from tests.second.reply import Reply, read_reply

KIDS = (bytes([1]) * 16, bytes([2]) * 16, bytes([3]) * 16)
WISH = second.Wish(second.header_42(*KIDS), "4")
LEVELS = (150, 150, 2000)
EACH = [(second.b64(kid), level) for kid, level in zip(KIDS, LEVELS, strict=True)]
GROUPS = [f"(kid:{kid},persist:true,sl:{level})" for kid, level in EACH]


def asked(context: Context, query: str) -> Reply:
    body = second.challenge(world.CLIENT, WISH)
    reply = ask(context, body, query)
    return read_reply(reply, world.CLIENT.encryption, curve.public(world.ROOT))


def ids(reply: Reply) -> dict[bytes, bytes]:
    return {each.kid: each.rights_id for each in reply.licenses}


SPELLINGS = [
    *(f"cfg={','.join(order)}" for order in permutations(GROUPS)),
    "cfg=" + quote(",".join(GROUPS)),
    "cfg=" + ",".join(GROUPS).replace("persist:true", "PERSIST:TRUE"),
    "CFG=" + ",".join(GROUPS),
    "cfg=" + ",".join(GROUPS) + "&x=1",
    "cfg=" + ",".join(f"(sl:{level},persist:true,kid:{kid})" for kid, level in EACH),
]


def test_every_spelling_of_a_query_gets_the_licences_of_the_first(store: Store) -> None:
    context = make_context(store)
    first = ids(asked(context, SPELLINGS[0]))
    assert len(first) == len(KIDS)
    for query in SPELLINGS:
        assert ids(asked(context, query)) == first, query
    assert len(issued(store)) == len(KIDS)
    with store.reading() as found:
        assert len(found.ledger.find_all(issued(store)[0].device)) == len(KIDS)


@pytest.mark.parametrize(
    "query",
    [
        "cfg=(persist:true)",
        "cfg=(persist:true,sl:2000)",
        "cfg=(persist:true,enddate:20300101)",
        "cfg=(persist:true,enddate:20300102)",
        f"cfg={GROUPS[0]}",
        f"cfg={GROUPS[0]},{GROUPS[1]}",
    ],
)
def test_other_grants_are_another_request(store: Store, query: str) -> None:
    context = make_context(store)
    first = asked(context, f"cfg={','.join(GROUPS)}")
    other = asked(context, query)
    assert not set(ids(first).values()) & set(ids(other).values())
    assert len(issued(store)) == len(first.licenses) + len(other.licenses)


@pytest.mark.parametrize("date", ["%2B3600", "P1D"])
def test_a_later_repeat_with_relative_dates_is_a_repeat(store: Store, date: str) -> None:
    context = make_context(store)
    query = f"cfg=(persist:true,enddate:{date})"
    first = ids(asked(context, query))
    later = replace(context, clock=lambda: world.NOW + 5)
    assert ids(asked(later, query)) == first
    assert len(issued(store)) == len(KIDS)


def test_a_later_repeat_with_dates_of_a_hook_is_a_repeat(store: Store) -> None:
    now = world.NOW

    def choose(_facts: Facts, grants: tuple[Grant, ...]) -> Choice:
        return Choice(
            tuple(
                replace(each, policy=replace(each.policy, persistent=True, expiration=now + 60))
                for each in grants
            )
        )

    context = make_context(store, hooks=Hooks(HookSet(choose=choose), 5))
    first = ids(asked(context, ""))
    now += 5
    assert ids(asked(context, "")) == first
    assert len(issued(store)) == len(KIDS)


# --- license.replay = "refuse" --------------------------------------------------------------------

WINDOW = 100


def refusing(store: Store, now: int = world.NOW) -> Context:
    return make_context(
        store,
        clock=lambda: now,
        options=Options(defaults=LicenseDefaults(Policy()), replay_window_seconds=WINDOW),
    )


@pytest.mark.parametrize("query", ["", "cfg=(persist:true)", "cfg=(securestop:true)"])
def test_a_challenge_is_answered_once_in_the_window(store: Store, query: str) -> None:
    first = asked(refusing(store), query)
    before = issued(store)
    for at, again in ((0, query), (1, "cfg=(sl:2000)"), (WINDOW - 1, query)):
        with pytest.raises(ServiceSpecific, match="the challenge was answered before"):
            asked(refusing(store, world.NOW + at), again)
    assert issued(store) == before
    assert ids(asked(refusing(store, world.NOW + WINDOW), query)) == ids(first)
    with pytest.raises(ServiceSpecific):
        asked(refusing(store, world.NOW + 2 * WINDOW - 1), query)


def test_a_refused_challenge_may_be_sent_again(store: Store) -> None:
    with pytest.raises(ServiceSpecific, match="rootid"):
        asked(refusing(store), f"cfg=(kid:header,rootid:{Kid(bytes(16)).text})")
    assert asked(refusing(store), "").licenses


def test_other_devices_and_challenges_are_answered(store: Store) -> None:
    context = refusing(store)
    asked(context, "")
    other = world.client(1)
    for client, wish in ((world.CLIENT, replace(WISH, nonce=bytes(16))), (other, WISH)):
        ask(context, second.challenge(client, wish))
    assert len(issued(store)) == 3 * len(KIDS)


def test_a_challenge_that_is_sent_at_once_is_answered_once(store: Store) -> None:
    context, body = refusing(store), second.challenge(world.CLIENT, WISH)

    def is_answered(_number: int) -> bool:
        try:
            return bool(ask(context, body))
        except ServiceSpecific:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(is_answered, range(16))) == 1


def test_purge_removes_old_nonces(store: Store) -> None:
    asked(refusing(store), "")
    assert dict(purge(store, world.NOW))["nonces"] == 0
    assert dict(purge(store, world.NOW + 1))["nonces"] == 1
    assert asked(refusing(store), "").licenses
