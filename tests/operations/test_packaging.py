"""Keys for packagers: the same for the same part of a program, kept, and the licence's."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from rightsmanager.crypto.random import seeded_random, system_random
from rightsmanager.errors import InternalError, InvalidMessage, ServiceSpecific
from rightsmanager.hooks.calls import Hooks
from rightsmanager.hooks.facts import Event
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.operations.access import Access, AccessMode
from rightsmanager.operations.content import ContentKeys
from rightsmanager.operations.context import Context, Options
from rightsmanager.operations.packaging_keys import PackagingOptions
from rightsmanager.operations.request import Request
from rightsmanager.operations.table import bind_operations
from rightsmanager.policy.rules import WarningCode
from rightsmanager.protocol.formats.wrmheader import Version
from rightsmanager.protocol.wire import Kid
from rightsmanager.protocol.xml.envelope import SoapVersion, parse_envelope
from rightsmanager.soap.protocols import build_envelope
from rightsmanager.store.sources import PACKAGER, Source
from tests.operations.subject import STORAGE_KEY, make_context
from tests.second import packager

if TYPE_CHECKING:
    from rightsmanager.store.database import Store

URL = "http://127.0.0.1/context/rightsmanager.asmx"


def make(store: Store, access: Access | None = None, **changes: Any) -> Context:  # noqa: ANN401
    names = PackagingOptions.__slots__
    packaging = {name: changes.pop(name) for name in list(changes) if name in names}
    options = Options(
        packaging=PackagingOptions(**packaging),
        packaging_access=access or Access(AccessMode.LOOPBACK),
    )
    rng = changes.pop("rng", seeded_random(b"packaging context"))
    changes.setdefault("content_keys", ContentKeys(STORAGE_KEY, b""))
    return make_context(store, rng=rng, options=options, **changes)


def ask(
    context: Context, body: bytes, url: str = URL, remote: str = "::1", query: str = ""
) -> bytes:
    child = bind_operations(context)["AcquirePackagingData"](
        Request(envelope=parse_envelope(body), url=url, query=query, headers={}, remote=remote),
    )
    return b"".join(build_envelope(SoapVersion.SOAP11, child))


def kids(context: Context, *streams: str) -> list[str]:
    return [row["KeyId"] for row in packager.rows(ask(context, packager.ask(*streams)))]


def stored(store: Store) -> dict[Kid, Source]:
    with store.transaction() as transaction:
        sources = transaction.sources.find_all()
        assert {key.kid for key in transaction.content_keys.find_all()} == set(sources)
        return sources


def test_a_program_has_one_key_that_is_kept(store: Store) -> None:
    context = make(store)
    first = ask(context, packager.ask(packager.stream("movie")))
    taken = packager.take(first)
    assert ask(context, packager.ask(packager.stream("movie"))) == first
    kid = Kid(taken.kid.bytes_le)
    assert stored(store) == {kid: Source(PACKAGER, "movie", 0)}
    with store.transaction() as transaction:
        assert context.content_keys.find(transaction, kid).key == taken.key
    assert taken.kid.version == 4
    (other,) = kids(context, packager.stream("Movie"))
    assert other != str(taken.kid)


@pytest.mark.parametrize(
    ("packing", "version", "algid", "has_checksum"),
    [
        ({}, "4.0.0.0", "AESCTR", True),
        ({"header_version": Version.V4_1}, "4.1.0.0", "AESCTR", True),
        ({"header_version": Version.V4_2, "checksum": False}, "4.2.0.0", "AESCTR", False),
        ({"header_version": Version.V4_3}, "4.3.0.0", "AESCTR", True),
        ({"header_version": Version.V4_3, "key_type": "aescbc"}, "4.3.0.0", "AESCBC", False),
        ({"checksum": False}, "4.0.0.0", "AESCTR", False),
    ],
)
def test_the_object_says_what_is_set(
    store: Store, packing: dict[str, Any], version: str, algid: str, *, has_checksum: bool
) -> None:
    answer = ask(make(store, **packing), packager.ask(packager.stream("movie")))
    taken = packager.take(answer)
    assert packager.read_object(taken.object) == packager.HeaderRead(
        version=version,
        kid=taken.kid,
        algid=algid,
        checksum=packager.checksum(taken) if has_checksum else None,
        la_url=URL,
    )


def test_a_key_keeps_its_type_when_the_settings_change(store: Store) -> None:
    body = packager.ask(packager.stream("movie"))
    ask(make(store, key_type="aescbc", header_version=Version.V4_3), body)
    header = packager.read_object(packager.take(ask(make(store), body)).object)
    assert (header.version, header.algid) == ("4.3.0.0", "AESCBC")


def test_the_address_is_escaped(store: Store) -> None:
    url = "http://127.0.0.1/a&b'<c>/rightsmanager.asmx"
    answer = ask(make(store), packager.ask(packager.stream("movie")), url)
    assert packager.read_object(packager.take(answer).object).la_url == url


def test_programs_of_any_characters_come_back_as_they_were(store: Store) -> None:
    programs = [
        "\u00e9",
        "e\u0301",
        "'; DROP TABLE licenses; --",
        "\U0001f3ac",
        "\u202eabc",
        "a\tb",
    ]
    context = make(store)
    escaped = [packager.stream(each) for each in programs]
    assert len(set(kids(context, *escaped))) == len(programs)
    rows = packager.rows(ask(context, packager.ask(*escaped)))
    assert [row["ProgramIdentifier"] for row in rows] == programs
    assert {source.program for source in stored(store).values()} == set(programs)


def test_each_period_has_its_own_key(store: Store) -> None:
    context = make(store, key_period_seconds=10)
    offsets = ["P0S", "PT9.999S", "PT10S", "PT19S", "PT20S", "PT1H"]
    found = kids(context, *(packager.stream("live", offset) for offset in offsets))
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert len(set(found)) == 4
    assert {source.period for source in stored(store).values()} == {0, 1, 2, 360}
    (alone,) = kids(context, packager.stream("live", "P12S"))
    assert alone == found[2]


def test_without_periods_a_program_has_one_key(store: Store) -> None:
    context = make(store)
    wide = packager.stream("live", "PT5H", "<RequestInterval>P1D</RequestInterval>")
    found = kids(context, packager.stream("live"), wide)
    assert len(found) == 2
    assert len(set(found)) == 1


def interval(text: str) -> str:
    return f"<RequestInterval>{text}</RequestInterval>"


def test_an_interval_gets_the_key_of_each_period_that_it_reaches(store: Store) -> None:
    context = make(store, key_period_seconds=10)
    body = packager.ask(packager.stream("live", "P5S", interval("PT20.5S")))
    rows = packager.rows(ask(context, body))
    assert [(row["OffsetFromProgramStart"], row["RequestInterval"]) for row in rows] == [
        ("P5S", "PT5S"),
        ("PT10S", "PT10S"),
        ("PT20S", "PT5.5S"),
    ]
    alone = kids(context, *(packager.stream("live", f"PT{n}S") for n in (0, 15, 29)))
    assert [row["KeyId"] for row in rows] == alone


@pytest.mark.parametrize(
    ("offset", "length", "count"),
    [("P0S", "PT10S", 1), ("P0S", "PT0S", 1), ("PT9S", "PT1S", 1), ("PT9S", "PT1.001S", 2)],
)
def test_an_interval_ends_before_its_end(
    store: Store, offset: str, length: str, count: int
) -> None:
    body = packager.ask(packager.stream("live", offset, interval(length)))
    rows = packager.rows(ask(make(store, key_period_seconds=10), body))
    assert len(rows) == count
    assert rows[0]["OffsetFromProgramStart"] == offset
    assert count > 1 or rows[0]["RequestInterval"] == length


def test_too_many_keys_are_refused_and_none_is_made(store: Store) -> None:
    context = make(store, key_period_seconds=1)
    fits = packager.stream("live", "P0S", interval("PT1000S"))
    for streams in (
        [fits, packager.stream("a")],
        [packager.stream("a", "P0S", interval("P9999D"))],
    ):
        with pytest.raises(InvalidMessage, match="more than 1000 keys"):
            ask(context, packager.ask(*streams))
    assert stored(store) == {}
    assert len(kids(context, fits)) == 1000


def test_playready_is_the_first_system_and_the_others_have_nothing(store: Store) -> None:
    asked = (packager.WIDEVINE, packager.PLAYREADY, packager.COMMON)
    answer = ask(make(store), packager.ask(packager.stream("movie"), systems=asked))
    (playready, *others) = packager.systems(answer)
    assert playready[0] == packager.PLAYREADY
    assert others == [(packager.WIDEVINE, ""), (packager.COMMON, "")]
    assert packager.read_object(packager.take(answer).object).kid == packager.take(answer).kid


@pytest.mark.parametrize(
    ("systems", "told"),
    [
        ((packager.PLAYREADY, str(uuid.UUID(int=7))), f"{uuid.UUID(int=7)} is not known, expected"),
        ((packager.WIDEVINE,), "expected it: there is no data for other systems alone"),
        ((packager.COMMON, packager.WIDEVINE), "does not have 9a04f079"),
    ],
)
def test_systems_without_data_are_refused(
    store: Store, systems: tuple[str, ...], told: str
) -> None:
    with pytest.raises(InvalidMessage, match=told):
        ask(make(store), packager.ask(packager.stream("movie"), systems=systems))
    assert stored(store) == {}


def test_who_may_not_ask_gets_nothing_stored(store: Store) -> None:
    with pytest.raises(ServiceSpecific, match="expected a loopback address"):
        ask(make(store), packager.ask(packager.stream("movie")), remote="203.0.113.9")
    assert stored(store) == {}


def test_an_address_that_fits_no_object_is_refused_and_nothing_stored(store: Store) -> None:
    with pytest.raises(InvalidMessage, match="expected at most 15360"):
        ask(make(store), packager.ask(packager.stream("movie")), url="http://h/" + "&" * 4000)
    assert stored(store) == {}


def test_a_key_that_does_not_open_is_the_servers_failure(store: Store) -> None:
    ask(make(store), packager.ask(packager.stream("movie")))
    other = make(store, content_keys=ContentKeys(bytes(32), b""))
    with pytest.raises(InternalError, match="does not open"):
        ask(other, packager.ask(packager.stream("movie"), packager.stream("new")))
    assert [source.program for source in stored(store).values()] == ["movie"]


def test_a_source_whose_key_is_gone_is_the_servers_failure(store: Store) -> None:
    answer = ask(make(store), packager.ask(packager.stream("movie")))
    with store.transaction() as transaction:
        transaction.content_keys.remove(Kid(packager.take(answer).kid.bytes_le))
    with pytest.raises(InternalError, match="has no stored content key"):
        ask(make(store), packager.ask(packager.stream("movie")))


def test_of_requests_at_the_same_moment_all_get_one_key(store: Store) -> None:
    barrier = Barrier(8)

    def one(number: int) -> list[str]:
        context = make(store, rng=system_random, key_period_seconds=1)
        streams = [packager.stream("live", f"PT{n}S") for n in range(5)]
        barrier.wait()
        return kids(context, *(streams if number % 2 else reversed(streams)))[:: number % 2 or -1]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(one, range(8)))
    assert answers == [answers[0]] * 8
    assert len(stored(store)) == 5


def test_the_operator_hears_of_the_keys(store: Store) -> None:
    received: list[Event] = []
    hooks = Hooks(HookSet(on_event=received.append), 1)
    answer = ask(make(store, hooks=hooks), packager.ask(packager.stream("movie")))
    hooks._threads.shutdown()
    assert received == [
        Event("AcquirePackagingData", kids=(Kid(packager.take(answer).kid.bytes_le),))
    ]


MOVIE = packager.ask(packager.stream("movie"))


@pytest.mark.parametrize(
    ("query", "version", "algid"),
    [
        ("algid=AESCBC", "4.3.0.0", "AESCBC"),
        ("Algid=aescbc&token=x", "4.3.0.0", "AESCBC"),
        ("header_version=4.2.0.0", "4.2.0.0", "AESCTR"),
        ("header_version=4.3.0.0&algid=AESCTR", "4.3.0.0", "AESCTR"),
    ],
)
def test_the_packagers_url_may_name_the_form_of_the_key(
    store: Store, query: str, version: str, algid: str
) -> None:
    taken = packager.take(ask(make(store), MOVIE, query=query))
    read = packager.read_object(taken.object)
    assert (read.version, read.algid) == (version, algid)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("algid=cbcs", "algid is 'cbcs', expected AESCTR or AESCBC"),
        ("header_version=5", "header_version is '5', expected 4.0.0.0 or 4.1.0.0"),
    ],
)
def test_an_invalid_form_is_refused(store: Store, query: str, text: str) -> None:
    with pytest.raises(ServiceSpecific) as refused:
        ask(make(store), MOVIE, query=query)
    assert text in refused.value.text
    assert stored(store) == {}


def test_a_key_that_is_stored_for_another_algid_is_refused(store: Store) -> None:
    ask(make(store), MOVIE)
    with pytest.raises(ServiceSpecific, match="algid is AESCBC, expected AESCTR, which the stored"):
        ask(make(store), MOVIE, query="algid=AESCBC")


@pytest.mark.parametrize(("query", "count"), [("", 1), ("algid=AESCTR", 0), ("algid=AESCBC", 0)])
def test_a_packager_that_names_no_algid_is_warned_of_aes_ctr(
    store: Store, query: str, count: int
) -> None:
    request = Request(parse_envelope(MOVIE), URL, query, {}, "::1")
    bind_operations(make(store))["AcquirePackagingData"](request)
    assert [each.code for each in request.progress.warnings] == [WarningCode.ALGID] * count
