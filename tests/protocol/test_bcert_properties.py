import json
from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.errors import InvalidMessage
from rightsmanager.protocol.formats.bcert import (
    CertificateType,
    ChainVerifier,
    Key,
    Template,
    build_certificate,
    build_chain,
    chain_under,
    issue,
    parse_chain,
)
from rightsmanager.protocol.formats.bcert import objects as bcert
from rightsmanager.protocol.formats.bcert.table import BY_TAG
from rightsmanager.protocol.wire import AccountId, Mid, ServiceId

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "bcert.json").read_text("utf-8"))
CHAIN = b64decode(VECTORS["chains"][0]["chain"])
ISSUER = PrivateKey(bytes(31) + b"\x05")
POINTS = [PrivateKey(bytes(31) + bytes([number])).public for number in range(1, 6)]

u32 = st.integers(0, 0xFFFFFFFF)
flags = st.integers(0, 0xFFFF)
sixteen = st.binary(min_size=16, max_size=16)
text = st.none() | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40
)
unknown = st.builds(
    bcert.Unknown,
    st.integers(0, 0xFFFF).filter(lambda tag: tag not in BY_TAG),
    st.binary(max_size=30),
    flags=flags.map(lambda value: value & ~1),
)
nested = st.one_of(
    unknown,
    st.builds(bcert.HardwareId, st.binary(max_size=20), flags=flags),
    st.builds(bcert.ExtendedDataSignature, st.binary(max_size=20), flags=flags),
)
optional = (
    st.builds(
        bcert.Domain,
        sixteen.map(ServiceId),
        sixteen.map(AccountId),
        u32,
        text,
        flags=flags,
    ),
    st.builds(bcert.Pc, u32, flags=flags),
    st.builds(bcert.Device, u32, u32, u32, flags=flags),
    st.builds(bcert.Silverlight, u32, u32, flags=flags),
    st.builds(bcert.Metering, sixteen.map(Mid), text, flags=flags),
    st.builds(bcert.ExtendedDataSigningKey, st.binary(max_size=80), flags=flags),
    st.builds(bcert.ExtendedData, st.lists(nested, max_size=3).map(tuple), flags=flags),
    st.builds(bcert.Server, u32, flags=flags),
    st.builds(bcert.SecurityVersion, u32, u32, flags=flags),
    st.builds(bcert.SecurityVersion2, u32, u32, flags=flags),
)
extras = st.lists(
    st.one_of(*optional), max_size=6, unique_by=lambda item: type(item).__name__
).flatmap(
    lambda known: st.lists(unknown, max_size=3).flatmap(
        lambda others: st.permutations([*known, *others])
    )
)
keys = st.builds(
    Key,
    st.sampled_from(POINTS),
    st.lists(st.integers(0, 30) | u32, max_size=5).map(tuple),
    u32,
)
templates = st.builds(
    Template,
    type=st.sampled_from(CertificateType),
    security_level=u32,
    certificate_id=sixteen,
    keys=st.lists(keys, min_size=1, max_size=4).map(tuple),
    client_id=sixteen,
    expiry=u32,
    flags=u32,
    features=st.lists(u32, max_size=32).map(tuple),
    manufacturer=st.none() | st.builds(bcert.Manufacturer, text, text, text, u32, flags=flags),
    objects=extras.map(tuple),
)


@given(templates)
@settings(max_examples=60)
def test_issued_certificate_matches_its_template(template: Template) -> None:
    found = issue(template, ISSUER)
    assert build_certificate(found.objects) == found.raw
    said = Template(
        type=found.type,
        security_level=found.security_level,
        certificate_id=found.certificate_id,
        keys=found.keys,
        client_id=found.client_id,
        expiry=found.expiry,
        flags=found.flags,
        features=found.features,
        manufacturer=found.manufacturer,
        objects=found.objects[1 : 1 + len(template.objects)],
    )
    assert template == said


@given(st.lists(templates, min_size=1, max_size=6))
@settings(max_examples=15)
def test_chain_is_rebuilt(chosen: list[Template]) -> None:
    chain = None
    for template in chosen:
        chain = chain_under(issue(template, ISSUER), chain)
    assert chain is not None
    assert build_chain(parse_chain(chain.raw).certificates) == chain.raw


def refused_or_the_same(data: bytes) -> None:
    try:
        chain = parse_chain(data)
    except InvalidMessage:
        return
    assert build_chain(chain.certificates) == data
    with pytest.raises(InvalidMessage):
        ChainVerifier((ISSUER.public,)).verify(chain, 0)


mutations = st.lists(
    st.tuples(st.integers(0, len(CHAIN) - 1), st.integers(0, 255)), min_size=1, max_size=4
)


@given(mutations)
def test_mutated_chain_is_refused_or_rebuilt(changes: list[tuple[int, int]]) -> None:
    data = bytearray(CHAIN)
    for offset, value in changes:
        data[offset] = value
    refused_or_the_same(bytes(data))


lengths = st.sampled_from([0, 1, 7, 8, 9, 15, 16, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])


@given(st.integers(0, len(CHAIN) // 4 - 1), lengths | u32)
def test_any_number_is_refused_or_rebuilt(word: int, value: int) -> None:
    refused_or_the_same(CHAIN[: 4 * word] + value.to_bytes(4, "big") + CHAIN[4 * word + 4 :])


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_rebuilt(data: bytes) -> None:
    refused_or_the_same(data)
    refused_or_the_same(CHAIN[:20] + data)
    refused_or_the_same(CHAIN[:36] + data)


def test_each_truncation_is_refused() -> None:
    for length in range(len(CHAIN)):
        with pytest.raises(InvalidMessage):
            parse_chain(CHAIN[:length])


@given(unknown)
@settings(max_examples=30)
def test_unknown_object_that_must_be_understood_is_refused(item: bcert.Unknown) -> None:
    template = Template(
        type=CertificateType.DEVICE,
        security_level=150,
        certificate_id=bytes(16),
        keys=(Key(POINTS[0], ()),),
        objects=(item,),
    )
    assert item in issue(template, ISSUER).objects
    demanded = replace(template, objects=(replace(item, flags=item.flags | 1),))
    with pytest.raises(InvalidMessage, match="must be understood"):
        issue(demanded, ISSUER)
