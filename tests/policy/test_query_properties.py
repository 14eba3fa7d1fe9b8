"""Properties of the spellings: each reads what it and the others wrote."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.policy.parameter import Parameter
from rightsmanager.policy.parameters import BY_NAME, PARAMETERS
from rightsmanager.policy.query import Spelling, parse_custom_data, parse_query, write
from rightsmanager.policy.requested_licenses import RequestedLicense
from rightsmanager.policy.value_types import DATE, ValueType
from rightsmanager.protocol.wire import NEVER, Guid
from tests.policy.sample import VECTORS

SAMPLES: RequestedLicense = tuple(
    {
        (parameter.name, str(value)): (parameter, value)
        for test in VECTORS["tests"]
        for requested in parse_query(test["query"])
        for parameter, value in requested
    }.values()
)
"""A few values of every parameter."""


def once(pairs: list[tuple[Parameter, Any]]) -> RequestedLicense:
    """Return the pairs without repetitions of parameters that must not be repeated."""
    found: dict[int | str, tuple[Parameter, Any]] = {}
    for place, (parameter, value) in enumerate(pairs):
        found.setdefault(place if parameter.repeats else parameter.name, (parameter, value))
    return tuple(found.values())


LICENSES = st.lists(st.sampled_from(SAMPLES), max_size=12).map(once)


def grouped(requested: RequestedLicense) -> RequestedLicense:
    """Return the licence with repeated parameters next to each other, as JSON has them."""
    names = list(dict.fromkeys(parameter.name for parameter, _ in requested))
    return tuple(sorted(requested, key=lambda pair: names.index(pair[0].name)))


@given(st.lists(LICENSES, min_size=1, max_size=4).map(tuple))
def test_every_spelling_reads_what_it_wrote(
    requested_licenses: tuple[RequestedLicense, ...],
) -> None:
    assert requested_licenses == parse_query(write(requested_licenses, Spelling.CFG))
    as_json = tuple(map(grouped, requested_licenses))
    assert as_json == parse_query(write(requested_licenses, Spelling.CFG64))
    assert as_json == parse_custom_data(write(requested_licenses, Spelling.JSON))


def both_lifetimes(pairs: RequestedLicense) -> list[tuple[tuple[object, object], str]]:
    persist, simple = (BY_NAME["persist"], True), (BY_NAME["simple"], True)
    return [
        (persist, write(((persist, *pairs),), Spelling.LEGACY)),
        (simple, write((pairs,), Spelling.LEGACY)),
    ]


@given(LICENSES)
def test_the_legacy_spelling_reads_what_it_wrote(requested: RequestedLicense) -> None:
    lifetimes = {"persist", "simple"}
    pairs = tuple(
        pair for pair in requested if pair[0].legacy is not None and pair[0].name not in lifetimes
    )
    for lifetime, query in both_lifetimes(pairs):
        assert ((lifetime, *pairs),) == (parse_query(query) or ((lifetime,),))


@given(st.integers(0, NEVER - 1))
def test_every_second_is_written_and_read(second: int) -> None:
    assert DATE.legacy is not None
    assert DATE.read(DATE.write(second)) == second
    assert DATE.legacy.read(DATE.legacy.write(second)) == second


@given(st.binary(min_size=16, max_size=16).map(Guid))
def test_every_guid_is_read_in_both_spellings(guid: Guid) -> None:
    kind: ValueType = BY_NAME["tid"].value_type
    assert kind.read(guid.base64) == kind.read(guid.text) == kind.read(f"{{{guid.text.upper()}}}")


def test_there_are_samples_of_nearly_all_parameters() -> None:
    sampled = {parameter.name for parameter, _ in SAMPLES}
    missing = {parameter.name for parameter in PARAMETERS} - sampled
    assert missing == {
        "rootid",
        "accountid",
        "usedomains",
        "errorcode",
        "revoked",
        "msg",
        "clientinfo",
    }
