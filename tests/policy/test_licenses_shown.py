"""`show` finds the objects of the requested parameters in the licence."""

from collections.abc import Iterator
from typing import Any

import pytest

from rightsmanager.crypto.random import seeded_random
from rightsmanager.inspection import Context, Description, describe
from rightsmanager.operations.license_seal import ClearKey, bind
from rightsmanager.policy.defaults import Clocks, LicenseDefaults
from rightsmanager.policy.granting import grant_licenses
from rightsmanager.policy.licenses import policy_objects
from rightsmanager.policy.query import parse_query
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.formats.xmr import build_license, parse_license
from rightsmanager.protocol.formats.xmr.objects import KeyType
from tests.operations.subject import PORTABLE, private_key, public_key
from tests.policy.sample import KIDS, OWN_MID, VECTORS, header
from tests.second import world

AFTER_KEYS = 5
"""Around the policies: the first object, key material, content key, device key, signature."""


INNER = {"0190", "0192"}
"""The types of the restrictions in extended rights."""


def licence(query: str) -> bytes:
    requested_licenses = parse_query(query) or ((),)
    now = VECTORS["issued_at"]
    (grant,) = grant_licenses(
        requested_licenses, header(), LicenseDefaults(), Clocks(now, now)
    ).grants
    clear = ClearKey(KIDS[0], KeyType.AES_CTR, bytes(16))
    sealed = bind(clear, public_key(world.DEVICE_ENCRYPTION), PORTABLE, seeded_random(b"shown"))
    objects = (*policy_objects(grant.policy, VECTORS["issued_at"], OWN_MID), sealed.material)
    return xmr.build_signed(bytes(16), objects, sealed.integrity_key)


def shown(query: str, now: int = VECTORS["issued_at"]) -> Description:
    keys = (private_key(world.DEVICE_ENCRYPTION),)
    return describe(licence(query), Context(now=now, backend=PORTABLE, device_keys=keys))


def walk(description: Description) -> Iterator[Description]:
    yield description
    for child in description.children:
        yield from walk(child)


def expected(line: str) -> str:
    flags, kind, *_ = line.split()
    return f"object 0x{kind}, flags 0x{flags}"


@pytest.mark.parametrize("test", VECTORS["tests"], ids=lambda test: test["query"][:60])
def test_show_finds_the_requested_objects(test: dict[str, Any]) -> None:
    found = [
        " ".join(meaning.split()[:4])
        for each in walk(shown(test["query"]))
        if (meaning := each.meaning or "").startswith("object 0x")
    ]
    # The content of an extended right is bytes to readers that do not know its type.
    objects = [
        line
        for line in test["objects"]
        if test["parameter"] != "extendedright" or line[5:9] not in INNER
    ]
    assert [expected(line) for line in objects] == found[1 : 1 - AFTER_KEYS]


@pytest.mark.parametrize("test", VECTORS["tests"], ids=lambda test: test["query"][:60])
def test_no_check_but_that_of_time_fails(test: dict[str, Any]) -> None:
    failed = {
        check.name for check in shown(test["query"]).all_checks() if check.outcome.value == "failed"
    }
    assert failed <= {"time"}


@pytest.mark.parametrize("test", VECTORS["tests"], ids=lambda test: test["query"][:60])
def test_a_parsed_licence_is_built_byte_for_byte(test: dict[str, Any]) -> None:
    data = licence(test["query"])
    assert build_license(parse_license(data)) == data


@pytest.mark.parametrize(
    ("query", "meaning"),
    [
        ("cfg=(maxres:1920x1080)", "1920x1080"),
        ("cfg=(dvop:(guid:9645E831-E01D-4FFF-8342-0A720E3E028F,data:AAAEOAAAB4A=))", "1920x1080"),
        ("cfg=(playenablers:(5ABF0F0D-DC29-4B82-9982-FD8E57525BFC))", "AirPlay"),
        (
            "cfg=(allowunknownsd:true)",
            "unknown outputs, standard definition",
        ),
    ],
)
def test_short_forms_equal_their_long_forms(query: str, meaning: str) -> None:
    assert any(meaning in f"{each.value} {each.meaning}" for each in walk(shown(query)))
