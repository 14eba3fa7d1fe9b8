"""The second client is served and reads every reply with its own code.

The reader of replies checks signature, chain and CMAC, and decrypts the content key.
"""

import re
from base64 import b64decode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import pytest
from lxml import etree

from rightsmanager.crypto.p256 import Backend
from rightsmanager.crypto.p256_backends import available_backends
from rightsmanager.device.identity import Device
from rightsmanager.device.opening import LicenseOpener, open_reply
from rightsmanager.policy.grants import Policy
from rightsmanager.protocol.formats.bcert import ChainVerifier, parse_chain
from rightsmanager.protocol.formats.wrmheader import parse_header
from rightsmanager.protocol.xml.envelope import parse_envelope
from rightsmanager.store.database import Store, open_store
from tests.operations.subject import (
    ask,
    make_context,
    private_key,
    public_key,
)
from tests.second import certificates, challenge, curve, reply, server, world
from tests.second import challenge as second
from tests.second.reply import Reply, read_reply

TEST_SEED = b64decode("XVBovsmzhP9gRIZxWfFta3VVRPzVEWmJsazEJ46I")
KIDS = tuple(bytes([number] * 15 + [0]) for number in range(1, 4))
ROOT = curve.public(world.ROOT)

WISHES = {
    "4.0": second.Wish(second.header_40(KIDS[0])),
    "4.1": second.Wish(second.header_41(KIDS[0])),
    "4.2": second.Wish(second.header_42(*KIDS), "4"),
    "4.3": second.Wish(second.header_43(*KIDS, algid="AESCBC"), "5"),
}


def seeded_key(kid: bytes) -> bytes:
    """Return the content key of a KID by the published derivation, term by term."""
    a, b, c = (
        sha256(data).digest()
        for data in (
            TEST_SEED + kid,
            TEST_SEED + kid + TEST_SEED,
            TEST_SEED + kid + TEST_SEED + kid,
        )
    )
    return bytes(a[i] ^ a[i + 16] ^ b[i] ^ b[i + 16] ^ c[i] ^ c[i + 16] for i in range(16))


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    store = open_store(database_url)
    yield store
    store.close()


def in_envelope(reply: bytes) -> bytes:
    head = f'<s:Envelope xmlns:s="{second.SOAP11}"><s:Body>'
    return head.encode() + reply + b"</s:Body></s:Envelope>"


@pytest.mark.parametrize("backend", available_backends(), ids=lambda backend: backend.name)
@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
@pytest.mark.parametrize("persistent", [False, True], ids=["transient", "persistent"])
def test_a_client_receives_the_keys_of_its_header(
    store: Store, backend: Backend, wish: second.Wish, *, persistent: bool
) -> None:
    context = make_context(store, backend=backend, policy=Policy(persistent=persistent))
    read = read_reply(
        ask(context, second.challenge(world.CLIENT, wish)), world.DEVICE_ENCRYPTION, ROOT
    )
    kids = KIDS if wish.version in {"4", "5"} else KIDS[:1]
    assert read.signed
    assert [(kid, seeded_key(kid)) for kid in kids] == [
        (each.kid, each.content_key) for each in read.licenses
    ]
    assert {5 if wish.version == "5" else 1} == {each.key_type for each in read.licenses}
    assert {persistent} == {each.persistent for each in read.licenses}
    assert read.nonce == (second.NONCE if persistent else None)


def names_in_order(reply: Reply) -> bool:
    order = (
        *("Version", "Licenses", "RevInfo", "Acknowledgement"),
        *("LicenseNonce", "ResponseID", "CustomData", "SigningCertificateChain"),
    )
    return list(reply.names) == sorted(reply.names, key=order.index)


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("always", [False, True])
def test_clients_find_their_tags_in_every_reply(
    store: Store, *, persistent: bool, always: bool
) -> None:
    context = make_context(store, policy=Policy(persistent=persistent), always=always)
    text = ask(context, second.challenge(world.CLIENT, WISHES["4.2"]))
    read = read_reply(text, world.DEVICE_ENCRYPTION, ROOT)
    assert re.findall(rb"</?\w+:|xmlns:|/>|>\s+<", text) == []
    assert names_in_order(read)
    canonical = etree.tostring(etree.fromstring(read.text), method="c14n")
    assert read.text.encode() == canonical
    within = etree.fromstring(in_envelope(text)).find(f".//{{{second.P}}}LicenseResponse")
    assert within is not None
    assert canonical == etree.tostring(within, method="c14n", exclusive=True)
    assert len(read.response_id) == 32


def test_the_projects_own_device_reads_the_same_reply(store: Store) -> None:
    context = make_context(store, policy=Policy(persistent=True))
    wish = WISHES["4.2"]
    text = ask(context, second.challenge(world.CLIENT, wish))
    device = Device(
        parse_chain(world.DEVICE_CHAIN),
        private_key(world.DEVICE_SIGNING),
        private_key(world.DEVICE_ENCRYPTION),
    )
    opening = LicenseOpener(device, ChainVerifier((public_key(world.ROOT),)), context.backend)
    _, licenses = open_reply(
        parse_envelope(in_envelope(text)),
        opening,
        parse_header(wish.header),
        second.NONCE,
        world.NOW,
    )
    read = read_reply(text, world.DEVICE_ENCRYPTION, ROOT)
    assert [(each.rights_id, each.kid, each.content_key) for each in read.licenses] == [
        (each.license.rights_id, each.kid.raw, each.content_key) for each in licenses
    ]


def test_the_integer_curve_agrees_with_the_published_multiples() -> None:
    double = 0x7CF27B188D034F7E8A52380304B51AC3C08969E277F21B35A60B48FC47669978
    assert curve.finite(curve.multiply(2, curve.G))[0] == double
    assert curve.multiply(curve.N, curve.G) is None
    assert curve.multiply(curve.N - 1, curve.G) == curve.negative(curve.G)


@pytest.mark.parametrize("module", [certificates, challenge, curve, reply, server, world])
def test_the_second_implementation_imports_nothing_of_the_project(module: ModuleType) -> None:
    assert module.__file__ is not None
    assert "rightsmanager" not in Path(module.__file__).read_text("utf-8")
