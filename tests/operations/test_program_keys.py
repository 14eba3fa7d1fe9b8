"""The keys of programs: one for each key period, whatever the request names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from rightsmanager.crypto.aes import ecb_decrypt
from rightsmanager.crypto.random import system_random
from rightsmanager.errors import InvalidMessage
from rightsmanager.operations.content import ContentKeys
from rightsmanager.operations.packaging_keys import PackagingOptions
from rightsmanager.operations.program_keys import (
    MAX_KEYS,
    ContradictingKey,
    Slot,
    WantedKey,
    WantedTrack,
    issue_protected_keys,
    record_keys,
    refuse_program,
)
from rightsmanager.protocol.formats.embedded import embedded_licenses
from rightsmanager.protocol.formats.pssh import parse_object, parse_pssh
from rightsmanager.protocol.formats.xmr import parse_license
from rightsmanager.protocol.formats.xmr.objects import ContentKey, UplinkKid
from rightsmanager.protocol.wire import Kid
from rightsmanager.store.sources import PACKAGER, Source
from tests.operations.subject import STORAGE_KEY, make_context

if TYPE_CHECKING:
    from rightsmanager.operations.context import Context
    from rightsmanager.store.database import Store

URL = "http://127.0.0.1/rightsmanager.asmx"
OPTIONS = PackagingOptions()
MOVIE = Slot("movie", 0)
KEY = bytes(range(16))


def new_kid() -> Kid:
    return Kid(system_random(16))


@pytest.fixture
def context(store: Store) -> Context:
    return make_context(store, rng=system_random, content_keys=ContentKeys(STORAGE_KEY, b""))


def source(context: Context, kid: Kid) -> Source:
    with context.store.reading() as found:
        return found.sources.find(kid)


def test_a_kid_that_the_client_chose_is_kept(context: Context) -> None:
    kid = new_kid()
    wanted = WantedKey(MOVIE, kid, "cbcs", KEY, bytes(8))
    (key,) = record_keys(context, OPTIONS, [wanted])
    assert (key.kid, key.key, key.key_type) == (kid, KEY, "aescbc")
    assert source(context, kid) == Source(PACKAGER, "movie", 0, "cbcs", bytes(8))
    assert record_keys(context, OPTIONS, [WantedKey(MOVIE)]) == (key,)
    assert record_keys(context, OPTIONS, [wanted, wanted]) == (key, key)


def test_a_key_without_a_program_is_found_by_its_kid(context: Context) -> None:
    wanted = WantedKey(None, new_kid())
    (key,) = record_keys(context, OPTIONS, [wanted])
    assert record_keys(context, OPTIONS, [wanted]) == (key,)
    assert source(context, key.kid) == Source(PACKAGER)


def test_an_operators_key_is_served_for_its_kid(context: Context) -> None:
    kid = new_kid()
    with context.store.transaction() as transaction:
        transaction.content_keys.record(
            context.content_keys.seal(kid, KEY, "aesctr", 1, system_random)
        )
    (key,) = record_keys(context, OPTIONS, [WantedKey(MOVIE, kid)])
    assert key.key == KEY
    with pytest.raises(ContradictingKey, match="with its first three fields byte-swapped"):
        record_keys(context, OPTIONS, [WantedKey(Slot("other", 0), kid.swapped)])


def test_contradictions_are_refused(context: Context) -> None:
    kid = new_kid()
    record_keys(context, OPTIONS, [WantedKey(MOVIE, kid, key=KEY)])
    for wanted, told in (
        (WantedKey(MOVIE, new_kid()), f"expected {kid}, which the program has"),
        (WantedKey(MOVIE, kid.swapped), f"expected {kid}, .* byte-swapped"),
        (WantedKey(MOVIE, key=bytes(16)), "has another content key already"),
        (WantedKey(MOVIE, scheme="cbcs"), "the scheme is cbcs, expected AESCTR"),
        (WantedKey(None, kid, "cbc1"), "the scheme is cbc1, expected AESCTR"),
        (WantedKey(Slot("movie", 1), kid), "belongs to another program or key period"),
    ):
        with pytest.raises(ContradictingKey, match=told):
            record_keys(context, OPTIONS, [WantedKey(Slot("new", 0)), wanted])
    with context.store.reading() as found:
        assert found.sources.find_kid("new", 0) is None


def test_a_client_may_take_the_programs_kid_for_its_own(context: Context) -> None:
    (first,) = record_keys(context, OPTIONS, [WantedKey(MOVIE)])
    wanted = WantedKey(MOVIE, new_kid(), is_kid_replaced=True)
    assert record_keys(context, OPTIONS, [wanted]) == (first,)


def test_two_keys_that_are_one_stored_key_are_refused_and_no_other_is_created(
    context: Context,
) -> None:
    (stored,) = record_keys(context, OPTIONS, [WantedKey(MOVIE)])
    new = new_kid()
    wanted = (
        WantedKey(MOVIE, new_kid(), is_kid_replaced=True),
        WantedKey(None, stored.kid),
        WantedKey(None, new),
    )
    with pytest.raises(InvalidMessage, match="two requested keys are one stored key"):
        record_keys(context, OPTIONS, wanted)
    with context.store.reading() as found:
        assert found.content_keys.find(new) is None


def test_too_many_keys_and_invalid_programs_are_refused(context: Context) -> None:
    slots = [WantedKey(Slot("p", period)) for period in range(MAX_KEYS + 1)]
    with pytest.raises(InvalidMessage, match="for more than 1000 keys"):
        record_keys(context, OPTIONS, slots)
    for program in ("", "a\0", "a\n", "x" * 1025):
        with pytest.raises(InvalidMessage, match="printable characters"):
            refuse_program(program)


def test_protected_keys_have_an_object_and_a_box(context: Context) -> None:
    tracks = [WantedTrack(WantedKey(MOVIE), "SD"), WantedTrack(WantedKey(None, new_kid()))]
    first, second = issue_protected_keys(context, OPTIONS, tracks, URL)
    assert (first.track, first.period, first.scheme) == ("SD", 0, "cenc")
    assert second.period is None
    assert parse_pssh(first.pssh).object == parse_object(first.playready_object)
    header = parse_object(first.playready_object).header
    assert header.la_url == URL
    assert [each.kid for each in header.kids] == [first.kid]


def test_clients_that_ask_at_once_get_one_key(context: Context) -> None:
    barrier = Barrier(6)

    def ask(number: int) -> tuple[Kid, bytes]:
        barrier.wait()
        kid = new_kid() if number % 2 else None
        wanted = [WantedKey(Slot("live", 3), kid, is_kid_replaced=True)]
        (key,) = record_keys(context, OPTIONS, wanted)
        return key.kid, key.key

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(ask, range(6)))) == 1


def test_a_key_below_a_root_has_a_leaf_licence_in_its_box(context: Context) -> None:
    root, leaf, alone = (new_kid() for _ in range(3))
    tracks = [
        WantedTrack(WantedKey(Slot("channel", 0), leaf), root=root),
        WantedTrack(WantedKey(Slot("channel#root", 0), root)),
        WantedTrack(WantedKey(Slot("channel", 1), alone)),
    ]
    first, second, third = issue_protected_keys(context, OPTIONS, tracks, URL)
    objects = [parse_object(each.playready_object) for each in (first, second, third)]
    assert [each.header.la_url for each in objects] == [URL, f"{URL}?cfg=(isroot:true)", URL]
    (raw,) = embedded_licenses(objects[0])
    assert embedded_licenses(objects[1]) == embedded_licenses(objects[2]) == ()
    license_ = parse_license(raw)
    content_key, uplink = license_.find(ContentKey), license_.find(UplinkKid)
    assert content_key is not None
    assert uplink is not None
    assert (content_key.kid, uplink.root_kid) == (leaf, root)
    assert ecb_decrypt(second.key, content_key.value)[16:] == first.key
