"""Certificates and headers: each check is its own, and damage stays where it is."""

from collections.abc import Callable
from dataclasses import replace

from rightsmanager.crypto.keyseed import TEST_KEY_SEED, content_key
from rightsmanager.crypto.p256 import PrivateKey
from rightsmanager.inspection import Context, Description, describe
from rightsmanager.protocol.formats.bcert import CertificateType, Key, KeyUsage, Template, issue
from rightsmanager.protocol.formats.pssh import Pssh, build_pssh, object_of
from rightsmanager.protocol.formats.wrmheader import Algid, Header, HeaderKid, Version, checksum
from rightsmanager.protocol.wire import Kid

Names = Callable[[Description, str], set[str]]
Find = Callable[[Description, str], Description]

KEY = PrivateKey(bytes(31) + b"\x05")
KID = Kid(bytes(range(16)))


def certificate(expiry: int) -> bytes:
    template = Template(
        type=CertificateType.DEVICE,
        security_level=2000,
        certificate_id=bytes(16),
        keys=(Key(KEY.public, (KeyUsage.SIGN, 99)),),
        expiry=expiry,
    )
    return issue(template, KEY).raw


def test_an_expired_certificate_fails_its_expiry_alone(bare: Context, names: Names) -> None:
    found = describe(certificate(bare.now - 1), bare)
    assert names(found, "failed") == {"expiry"}
    assert names(describe(certificate(bare.now), bare), "failed") == set()


def test_usages_have_their_names(bare: Context, find: Find) -> None:
    usages = find(describe(certificate(bare.now), bare), "usages")
    assert (usages.value, usages.meaning) == ((1, 99), "sign, unknown")


def test_an_altered_certificate_fails_its_signature(
    things: dict[str, bytes], aided: Context, names: Names
) -> None:
    altered = things["chain"].replace((2000).to_bytes(4), (150).to_bytes(4), 1)
    assert names(describe(altered, aided), "failed") == {"signature", "links"}


def test_a_digest_of_another_key_fails(
    things: dict[str, bytes], aided: Context, names: Names, find: Find
) -> None:
    chain = things["chain"]
    digest = find(describe(chain, aided), "certificate 0").children
    assert digest
    start = 20 + 16 + 8 + 16 + 12
    altered = chain[:start] + bytes(32) + chain[start + 32 :]
    found = names(describe(altered, aided), "failed")
    assert found == {"form", "key digest", "signature"}


def test_a_cut_chain_shows_what_is_there(things: dict[str, bytes], bare: Context) -> None:
    for length in range(4, len(things["chain"])):
        assert describe(things["chain"][:length], bare).failed


def header(sum_of: bytes | None, kid: Kid = KID) -> Header:
    value = None if sum_of is None else checksum(Algid.AESCTR, sum_of, kid)
    return Header(Version.V4_2, (HeaderKid(kid, Algid.AESCTR, value),))


def box(of: Header, *kids: Kid) -> bytes:
    return build_pssh(Pssh(object_of(of), kids, 1))


def test_a_checksum_of_the_test_key_seed_is_named(bare: Context, find: Find) -> None:
    data = box(header(content_key(TEST_KEY_SEED, KID.raw)), KID)
    assert [check.text for check in find(describe(data, bare), "KID").checks] == [
        "matches the Test Key Seed"
    ]


def test_another_checksum_is_open_until_the_key_is_known(bare: Context, names: Names) -> None:
    data = box(header(bytes(16)), KID)
    assert names(describe(data, bare), "not possible") == {"checksum"}
    right = replace(bare, content_keys={KID: bytes(16)})
    wrong = replace(bare, content_keys={KID: bytes(15) + b"\x01"})
    assert names(describe(data, right), "failed") == set()
    assert names(describe(data, wrong), "failed") == {"checksum"}


def test_a_box_with_other_kids_than_its_header_fails(bare: Context, names: Names) -> None:
    assert names(describe(box(header(None), Kid(bytes(16))), bare), "failed") == {"KIDs"}
    assert names(describe(box(header(None), KID), bare), "failed") == set()
