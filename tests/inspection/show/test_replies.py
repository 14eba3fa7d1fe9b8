"""Replies: who signed them, and each licence in them; faults: what their code is called."""

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rightsmanager.crypto.aes import ecb_encrypt
from rightsmanager.crypto.p256 import PrivateKey, PublicKey, point_x_with_tail
from rightsmanager.crypto.random import seeded_random
from rightsmanager.inspection import Check, Context, Description, describe
from rightsmanager.inspection.description import Outcome
from rightsmanager.protocol.formats.bcert import (
    CertificateType,
    Key,
    KeyUsage,
    Template,
    chain_under,
    issue,
)
from rightsmanager.protocol.formats.xmr import build_signed
from rightsmanager.protocol.formats.xmr import objects as xmr
from rightsmanager.protocol.messages.domain import wrap_domain_key
from rightsmanager.protocol.messages.response import LicenseResponse, seal_license_response
from rightsmanager.protocol.wire import PROTOCOLS, Kid, encode_base64
from rightsmanager.protocol.xml.envelope import SoapVersion

Names = Callable[[Description, str], set[str]]
Find = Callable[[Description, str], Description]

VECTORS = Path(__file__).parents[2] / "vectors"
RNG = seeded_random(b"replies")
ROOT, ISSUER, SIGNER = (PrivateKey.generate(RNG) for _ in range(3))
K = "http://schemas.microsoft.com/DRM/2007/03/protocols/AcquirePackagingData/v1.0"
P = "http://schemas.microsoft.com/DRM/2007/03/protocols"
ROOT_KID, LEAF_KID = Kid(bytes(range(16))), Kid(bytes(range(16, 32)))


def signing_chain(*usages: KeyUsage) -> bytes:
    above = chain_under(
        issue(_template(CertificateType.ISSUER, ISSUER, KeyUsage.ISSUE_ALL), ROOT), None
    )
    leaf = issue(_template(CertificateType.LICENSE_SIGNER, SIGNER, *usages), ISSUER)
    return chain_under(leaf, above).raw


def _template(kind: CertificateType, key: PrivateKey, *usages: KeyUsage) -> Template:
    return Template(
        type=kind, security_level=3000, certificate_id=bytes(16), keys=(Key(key.public, usages),)
    )


CHAIN = signing_chain(KeyUsage.SIGN_LICENSE, KeyUsage.SIGN_RESPONSE)


def enveloped(body: bytes, version: SoapVersion = SoapVersion.SOAP11) -> bytes:
    return (
        f'<s:Envelope xmlns:s="{version.namespace}"><s:Body>'.encode()
        + body
        + b"</s:Body></s:Envelope>"
    )


def reply(*licenses: bytes, key: PrivateKey | None = SIGNER, chain: bytes | None = CHAIN) -> bytes:
    response = LicenseResponse(licenses, bytes(32), signing_chain=chain)
    return enveloped(seal_license_response(response, key))


def licences(context: Context) -> tuple[bytes, bytes]:
    """Return a root licence that is bound to the device, and a leaf licence under it."""
    device = context.device_keys[0].public
    x = point_x_with_tail(bytes(range(16)), RNG)
    content = context.backend.encrypt(device, x, RNG)
    root = xmr.KeyMaterial(
        (
            xmr.ContentKey(ROOT_KID, xmr.KeyType.AES_CTR, xmr.Cipher.ECC_256, content),
            xmr.DeviceKey(device.raw),
        )
    )
    leaf = xmr.KeyMaterial(
        (
            xmr.ContentKey(
                LEAF_KID,
                xmr.KeyType.AES_CTR,
                xmr.Cipher.CHAINED,
                ecb_encrypt(x[16:], bytes(32)),
            ),
            xmr.UplinkKid(ROOT_KID, bytes(16)),
        )
    )
    return build_signed(bytes(16), (root,), x[:16]), build_signed(bytes(16), (leaf,), bytes(16))


@pytest.fixture
def trusting(aided: Context) -> Context:
    return replace(aided, trust_anchors=(ROOT.public,))


def test_a_good_reply_passes_every_check(
    things: dict[str, bytes], trusting: Context, names: Names
) -> None:
    found = describe(reply(things["xmr_bound_1"], things["xmr_bound_2"]), trusting)
    assert found.name == "AcquireLicense reply"
    assert names(found, "failed") == set()
    assert names(found, "ok") >= {"digest", "signature", "links", "trust anchor", "CMAC"}


def test_an_altered_reply_fails_its_digest(
    things: dict[str, bytes], trusting: Context, names: Names
) -> None:
    altered = reply(things["xmr_bound_1"]).replace(b"<Version>1<", b"<Version>2<")
    assert names(describe(altered, trusting), "failed") == {"digest"}


@pytest.mark.parametrize(
    ("key", "chain", "reason"),
    [
        (ISSUER, CHAIN, "does not verify"),
        (SIGNER, signing_chain(KeyUsage.SIGN_LICENSE), "SIGN_RESPONSE"),
        (SIGNER, signing_chain(KeyUsage.SIGN), "SIGN_RESPONSE"),
        (SIGNER, None, "no SigningCertificateChain"),
    ],
)
def test_a_signature_by_another_key_or_without_the_usage_fails(
    key: PrivateKey, chain: bytes | None, reason: str, trusting: Context
) -> None:
    found = describe(reply(key=key, chain=chain), trusting)
    assert [
        check.name for check in found.checks if check.outcome == "failed" and reason in check.text
    ] == ["signature"]


def test_a_signer_with_the_usages_of_deployed_servers_passes(trusting: Context) -> None:
    chain = signing_chain(KeyUsage.SIGN, KeyUsage.SIGN_RESPONSE)
    found = describe(reply(key=SIGNER, chain=chain), trusting)
    assert "signature" not in {each.name for each in found.checks if each.outcome == "failed"}


def test_a_persistent_licence_needs_a_signature(
    things: dict[str, bytes], trusting: Context, names: Names
) -> None:
    unsigned = reply(things["xmr_bound_1"], key=None, chain=None)
    assert names(describe(unsigned, trusting), "failed") == {"licences"}


def test_a_leaf_licence_opens_by_the_root_of_its_reply(trusting: Context, names: Names) -> None:
    root, leaf = licences(trusting)
    found = describe(reply(leaf, root), trusting)
    assert names(found, "failed") == {"uplink"}
    assert "content key" not in names(found, "not possible")


def test_a_root_that_is_not_verified_opens_nothing(trusting: Context, names: Names) -> None:
    root, leaf = licences(trusting)
    altered = root[:8] + b"\x01" + root[9:]
    found = describe(reply(leaf, altered), trusting)
    assert names(found, "failed") == {"CMAC"}
    assert "uplink" in names(found, "not possible")


@pytest.mark.parametrize("code", ["0x8004c065", "0x8004C60D"])
@pytest.mark.parametrize("version", SoapVersion)
def test_a_faults_code_has_its_name(
    code: str, version: SoapVersion, bare: Context, find: Find
) -> None:
    body = (
        f'<f:Fault xmlns:f="{version.namespace}"><detail><Exception>'
        f"<StatusCode>{code}</StatusCode></Exception></detail></f:Fault>"
    )
    found = describe(enveloped(body.encode(), version), bare)
    assert found.name == "fault"
    assert not found.failed
    assert find(found, "StatusCode").meaning in {"device certificate revoked", "protocol redirect"}


@pytest.mark.parametrize("code", ["0x80004005", "never"])
def test_a_code_that_is_not_published_fails(code: str, bare: Context, names: Names) -> None:
    namespace = SoapVersion.SOAP11.namespace
    body = f'<f:Fault xmlns:f="{namespace}"><StatusCode>{code}</StatusCode></f:Fault>'
    assert names(describe(enveloped(body.encode()), bare), "failed") == {"status code"}


def test_content_keys_for_packagers_are_not_shown(bare: Context, find: Find) -> None:
    key = b64encode(b"a content key...").decode()
    body = (
        f'<AcquirePackagingDataResponse xmlns="{P}"><AcquirePackagingDataResult xmlns="{K}">'
        f"<KeyData>{key}</KeyData></AcquirePackagingDataResult></AcquirePackagingDataResponse>"
    )
    assert key not in repr(describe(enveloped(body.encode()), bare))
    shown = describe(enveloped(body.encode()), replace(bare, show_keys=True))
    assert find(shown, "KeyData").value == key


def test_the_chains_root_is_the_one_that_is_trusted(
    things: dict[str, bytes], aided: Context, names: Names
) -> None:
    assert "trust anchor" in names(describe(reply(things["xmr_bound_1"]), aided), "failed")
    assert isinstance(aided.trust_anchors[0], PublicKey)


def test_a_domains_key_on_its_way_opens_for_its_device(
    aided: Context, bare: Context, find: Find
) -> None:
    key = PrivateKey(bytes(31) + b"\x09")
    (device_key,) = aided.device_keys
    wrapped = wrap_domain_key(key, device_key.public, aided.backend, seeded_random(b"domain"))
    text = f'<DomainKey xmlns="{PROTOCOLS}" Revision="3">{encode_base64(wrapped)}</DomainKey>'
    reply = f'<JoinDomainResponse xmlns="{PROTOCOLS}">{text}</JoinDomainResponse>'
    found = find(describe(enveloped(reply.encode()), aided), "DomainKey")
    assert [check.outcome for check in found.checks] == [Outcome.OK]
    revision, point = found.children
    assert (revision.name, revision.value) == ("@Revision", "3")
    assert point.value == encode_base64(key.public.raw)
    assert encode_base64(key.raw) not in repr(found)
    found = find(describe(enveloped(reply.encode()), bare), "DomainKey")
    assert [check.outcome for check in found.checks] == [Outcome.NOT_POSSIBLE]
    other = replace(aided, device_keys=(key,))
    found = find(describe(enveloped(reply.encode()), other), "DomainKey")
    assert [check.outcome for check in found.checks] == [Outcome.FAILED]


def test_the_signature_of_a_deployed_server_verifies(
    bare: Context, own_check: Callable[[Description, str], Check]
) -> None:
    published = json.loads((VECTORS / "published_reply.json").read_text("utf-8"))
    found = describe(published["reply"].encode(), bare)
    assert found.name == "AcquireLicense reply"
    assert own_check(found, "signature").outcome == "ok"
    # Its XML was indented after it was signed.
    assert own_check(found, "digest").outcome == "failed"
