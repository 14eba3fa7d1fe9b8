import json
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from rightsmanager.crypto import p256
from rightsmanager.crypto.p256 import PrivateKey, PublicKey, sign
from rightsmanager.errors import DeviceCertificateRevoked, InvalidMessage
from rightsmanager.protocol.formats.bcert import (
    Certificate,
    CertificateType,
    Chain,
    ChainVerifier,
    Key,
    KeyUsage,
    Template,
    build_certificate,
    build_chain,
    chain_under,
    issue,
    parse_certificate,
    parse_chain,
)
from rightsmanager.protocol.formats.bcert.objects import (
    Device,
    ExtendedData,
    HardwareId,
    Manufacturer,
)
from rightsmanager.protocol.formats.bcert.objects import Signature as SignatureObject
from rightsmanager.protocol.formats.bcert.verification import ISSUING_USAGES, POWERS
from rightsmanager.protocol.wire import encode_base64

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "bcert.json").read_text("utf-8"))
NOW = 1_790_000_000
ROOT, POLICY, REGION, MODEL, LEAF, OTHER = (PrivateKey(bytes(31) + bytes([n])) for n in range(2, 8))

DEVICE = Template(
    type=CertificateType.DEVICE,
    security_level=2000,
    certificate_id=b"device" + bytes(10),
    keys=(Key(LEAF.public, (KeyUsage.SIGN, KeyUsage.ENCRYPT_KEY)),),
    features=(4, 9, 13),
    manufacturer=Manufacturer("Maker", "Model", "1"),
    objects=(Device(),),
)


def issuer_of(key: PrivateKey, *usages: int, level: int = 3000) -> Template:
    return Template(
        type=CertificateType.ISSUER,
        security_level=level,
        certificate_id=b"issuer" + bytes(10),
        keys=(Key(key.public, usages),),
    )


def chain_of(*links: tuple[Template, PrivateKey]) -> Chain:
    """Return the chain of templates, signed by these keys, the anchor's first."""
    chain: Chain | None = None
    for template, key in links:
        chain = chain_under(issue(template, key), chain)
    assert chain is not None
    return chain


def verify(chain: Chain) -> None:
    ChainVerifier((ROOT.public,)).verify(chain, NOW)


@pytest.fixture(scope="module")
def four() -> Chain:
    """A device under three issuers, each with less power than the one above."""
    return chain_of(
        (issuer_of(POLICY, KeyUsage.ISSUE_ALL), ROOT),
        (issuer_of(REGION, KeyUsage.ISSUE_DEVICE, KeyUsage.ISSUE_DOMAIN), POLICY),
        (issuer_of(MODEL, KeyUsage.ISSUE_DEVICE), REGION),
        (DEVICE, MODEL),
    )


@pytest.mark.parametrize("vector", VECTORS["chains"], ids=lambda vector: vector["comment"])
def test_chain_of_a_second_implementation(vector: dict[str, str]) -> None:
    verifier = ChainVerifier((PublicKey(b64decode(VECTORS["trust_anchor"])),))
    chain = verifier.parse(b64decode(vector["chain"]))
    if vector["result"] == "valid":
        verifier.verify(chain, NOW)
        return
    with pytest.raises(InvalidMessage) as refusal:
        verifier.verify(chain, NOW)
    assert vector["refusal"] == refusal.value.text


def test_chain_of_four_verifies(four: Chain) -> None:
    verify(four)


def test_anchor_may_issue_any_leaf() -> None:
    verify(chain_of((DEVICE, ROOT)))


def test_chain_may_include_the_root() -> None:
    verify(chain_of((issuer_of(ROOT, KeyUsage.ISSUE_ALL), ROOT), (DEVICE, ROOT)))


def test_each_altered_byte_is_refused(four: Chain) -> None:
    verifier = ChainVerifier((ROOT.public,))
    verifier.verify(four, NOW)
    for offset in range(len(four.raw)):
        altered = bytearray(four.raw)
        altered[offset] ^= 1 << offset % 8
        with pytest.raises(InvalidMessage):
            verifier.verify(verifier.parse(bytes(altered)), NOW)


def test_only_extended_data_is_not_covered_by_a_signature() -> None:
    issued = issue(replace(DEVICE, flags=1), ROOT).objects
    extended = ExtendedData((HardwareId(b"id"),))
    drafted = parse_certificate(build_certificate((*issued, extended)))
    signature = SignatureObject(sign(ROOT, drafted.signed), ROOT.public)
    raw = build_certificate((*issued[:-1], signature, extended))
    chain = chain_under(parse_certificate(raw), None)
    body = len(chain.raw) - len(b"id")
    accepted = []
    for offset in range(len(chain.raw)):
        altered = bytearray(chain.raw)
        altered[offset] ^= 0xFF
        try:
            verify(parse_chain(bytes(altered)))
        except InvalidMessage:
            continue
        accepted.append(offset)
    head, inner = body - 16, body - 8
    assert [head, head + 1, inner, inner + 1, body, body + 1] == accepted


ISSUED_BY = [
    (CertificateType.PC, {9, 10, 4, 6}),
    (CertificateType.DEVICE, {9, 10, 4, 6}),
    (CertificateType.DOMAIN, {8, 4}),
    (CertificateType.CRL_SIGNER, {11, 4}),
    (CertificateType.SERVICE, {4}),
    (CertificateType.SILVERLIGHT, {9, 4}),
    (CertificateType.APPLICATION, {9, 10, 4, 6}),
    (CertificateType.METERING, {4, 12}),
    (CertificateType.KEY_FILE_SIGNER, {4, 13}),
    (CertificateType.SERVER, {4, 15}),
    (CertificateType.LICENSE_SIGNER, {18, 4}),
    (CertificateType.SECURE_TIME_SERVER, {4, 23}),
    (CertificateType.PROVISIONING_MODEL_AUTHORITY, {24, 4}),
]


@pytest.mark.parametrize(("kind", "expected"), ISSUED_BY)
def test_type_is_issued_by_its_usages_alone(kind: CertificateType, expected: set[int]) -> None:
    template = replace(DEVICE, type=kind, objects=())
    believed = set()
    for usage in range(26):
        chain = chain_of((issuer_of(POLICY, usage), ROOT), (template, POLICY))
        with suppress(InvalidMessage):
            verify(chain)
            believed.add(usage)
    assert expected == believed


def test_every_type_has_its_usages() -> None:
    assert set(CertificateType) == set(ISSUING_USAGES)
    assert {4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 18, 23, 24} == POWERS


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        ((4,), (4,)),
        ((4,), (6, 12)),
        ((1, 4), (4, 24)),
        ((6,), (6,)),
        ((6, 8), (6,)),
        ((6, 8), (1, 2, 8)),
        ((6,), ()),
        ((6,), (99,)),
    ],
)
def test_issuer_may_pass_on_its_powers(parent: tuple[int, ...], child: tuple[int, ...]) -> None:
    verify(chain_of((issuer_of(POLICY, *parent), ROOT), (issuer_of(REGION, *child), POLICY)))


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        ((6,), (4,)),
        ((6,), (6, 8)),
        ((8,), (6,)),
        ((6,), (9,)),
        ((), ()),
        ((1, 2), ()),
        ((19, 20), (19,)),
    ],
)
def test_issuer_passes_on_no_other_powers(parent: tuple[int, ...], child: tuple[int, ...]) -> None:
    chain = chain_of((issuer_of(POLICY, *parent), ROOT), (issuer_of(REGION, *child), POLICY))
    with pytest.raises(InvalidMessage, match="that it grants"):
        verify(chain)


def test_power_of_a_second_key_counts_too() -> None:
    greedy = replace(
        issuer_of(REGION, 6), keys=(Key(REGION.public, (6,)), Key(OTHER.public, (12,)))
    )
    with pytest.raises(InvalidMessage, match=r"all of \[6, 12\] that it grants"):
        verify(chain_of((issuer_of(POLICY, 6), ROOT), (greedy, POLICY)))


def test_usage_of_another_key_does_not_help() -> None:
    issuer = replace(
        issuer_of(POLICY, 12), keys=(Key(POLICY.public, (12,)), Key(OTHER.public, (6,)))
    )
    with pytest.raises(InvalidMessage, match=r"a key with the usages \[12\]"):
        verify(chain_of((issuer, ROOT), (DEVICE, POLICY)))
    verify(chain_of((issuer, ROOT), (DEVICE, OTHER)))


def test_key_that_is_not_the_issuers_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="a key that is not one of its issuer's"):
        verify(chain_of((issuer_of(POLICY, 4), ROOT), (DEVICE, OTHER)))


def test_certificate_of_another_type_is_not_an_issuer() -> None:
    device = replace(DEVICE, keys=(Key(POLICY.public, (KeyUsage.ISSUE_ALL,)),))
    with pytest.raises(InvalidMessage, match="type device, expected an issuer"):
        verify(chain_of((device, ROOT), (DEVICE, POLICY)))


def test_security_level_above_the_issuers_is_refused() -> None:
    weak = issuer_of(POLICY, 4, level=150)
    with pytest.raises(InvalidMessage, match="security level 2000, expected at most its issuer's"):
        verify(chain_of((weak, ROOT), (DEVICE, POLICY)))
    verify(chain_of((weak, ROOT), (replace(DEVICE, security_level=150), POLICY)))


def test_foreign_root_is_refused(four: Chain) -> None:
    verifier = ChainVerifier((OTHER.public,))
    with pytest.raises(InvalidMessage, match=r"certificate 3 .* a key that is not a trust anchor"):
        verifier.verify(four, NOW)


def test_every_anchor_is_trusted(four: Chain) -> None:
    ChainVerifier((OTHER.public, ROOT.public)).verify(four, NOW)


def forged(chain: Chain, at: int) -> Chain:
    """Return the chain with one certificate signed by another key than it names."""
    certificates = list(chain.certificates)
    found = certificates[at]
    signature = SignatureObject(sign(OTHER, found.signed), found.issuer_key)
    raw = build_certificate((*found.objects[:-1], signature))
    certificates[at] = parse_certificate(raw)
    return parse_chain(build_chain(certificates))


@pytest.mark.parametrize("at", range(4))
def test_forged_signature_is_refused(four: Chain, at: int) -> None:
    with pytest.raises(InvalidMessage, match=f"certificate {at} .*does not verify"):
        verify(forged(four, at))


@pytest.mark.parametrize(("now", "believed"), [(NOW - 1, True), (NOW, True), (NOW + 1, False)])
def test_certificate_is_valid_through_its_last_second(*, now: int, believed: bool) -> None:
    issuer = replace(issuer_of(POLICY, 4), expiry=NOW)
    verifier = ChainVerifier((ROOT.public,))
    chain = chain_of((issuer, ROOT), (DEVICE, POLICY))
    verifier.verify(chain, NOW - 10)
    if believed:
        verifier.verify(chain, now)
        return
    with pytest.raises(InvalidMessage, match=r"certificate 1 \(issuer\) .* expired at 1790000000"):
        verifier.verify(chain, now)


def test_certificate_without_end_date_never_expires(four: Chain) -> None:
    ChainVerifier((ROOT.public,)).verify(four, 0xFFFFFFFF + 1)


@pytest.mark.parametrize("at", range(4))
def test_revoked_certificate_is_named(four: Chain, at: int) -> None:
    verifier = ChainVerifier((ROOT.public,))
    verifier.verify(four, NOW)
    digest = four.certificates[at].digest
    with pytest.raises(DeviceCertificateRevoked) as refusal:
        verifier.verify(four, NOW, {digest})
    assert refusal.value.text.startswith(f"certificate {at} (")
    assert encode_base64(digest) in refusal.value.text
    verifier.verify(four, NOW, {b"other"})


class Counted:
    """Counts signature verifications."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, public: PublicKey, signature: bytes, message: bytes) -> None:
        self.count += 1
        p256.verify(public, signature, message)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted()
    monkeypatch.setattr("rightsmanager.protocol.formats.bcert.verification.verify", counted)
    return counted


def test_cached_chain_is_neither_parsed_nor_verified_again(four: Chain, verified: Counted) -> None:
    verifier = ChainVerifier((ROOT.public,))
    first = verifier.parse(four.raw)
    verifier.verify(first, NOW)
    assert verified.count == 4
    again = verifier.parse(bytes(bytearray(four.raw)))
    verifier.verify(again, NOW)
    assert again is first
    assert verified.count == 4
    assert (verifier.hits, verifier.misses) == (1, 1)


def test_new_device_costs_one_verification(four: Chain, verified: Counted) -> None:
    verifier = ChainVerifier((ROOT.public,))
    verifier.verify(four, NOW)
    device = issue(replace(DEVICE, client_id=b"C" * 16), MODEL)
    chain = verifier.parse(build_chain((device, *four.certificates[1:])))
    verifier.verify(chain, NOW)
    assert verified.count == 5
    assert all(
        known is found
        for known, found in zip(four.certificates[1:], chain.certificates[1:], strict=True)
    )


def test_refused_chain_is_not_cached(four: Chain, verified: Counted) -> None:
    verifier = ChainVerifier((ROOT.public,))
    chain = forged(four, 3)
    for attempt in (1, 2):
        with pytest.raises(InvalidMessage):
            verifier.verify(chain, NOW)
        assert attempt == verified.count
    assert len(verifier._chains) == len(verifier._certificates) == 0


def test_foreign_chain_costs_no_verification(four: Chain, verified: Counted) -> None:
    with pytest.raises(InvalidMessage):
        ChainVerifier((OTHER.public,)).verify(four, NOW)
    assert verified.count == 0


def test_caches_are_bounded(four: Chain, verified: Counted) -> None:
    verifier = ChainVerifier((ROOT.public,), cache_size=2)
    verifier.verify(four, NOW)
    for number in range(5):
        device = issue(replace(DEVICE, client_id=bytes([number] * 16)), ROOT)
        verifier.verify(chain_under(device, None), NOW)
    assert len(verifier._chains) == len(verifier._certificates) == 2
    verifier.verify(four, NOW)
    assert verified.count == 13


def test_the_cache_drops_the_oldest_chain() -> None:
    verifier = ChainVerifier((ROOT.public,), cache_size=2)
    first, second, third = (
        chain_under(issue(replace(DEVICE, client_id=bytes([number] * 16)), ROOT), None)
        for number in range(3)
    )
    for chain in (first, second, third):
        verifier.verify(chain, NOW)
    for chain in (second, third):
        assert verifier.parse(bytes(bytearray(chain.raw))) is chain
    assert verifier.parse(bytes(bytearray(first.raw))) is not first


def test_threads_may_share_a_verifier() -> None:
    verifier = ChainVerifier((ROOT.public,), cache_size=3)
    issued: list[Certificate] = [
        issue(replace(DEVICE, client_id=bytes([number] * 16)), ROOT) for number in range(8)
    ]
    raws = [chain_under(leaf, None).raw for leaf in issued] * 20
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda raw: verifier.verify(verifier.parse(raw), NOW), raws))
    assert len(verifier._chains) == 3
