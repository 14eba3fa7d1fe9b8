"""The encrypted part of a challenge and its signer: invalid ones are refused."""

from dataclasses import replace

import pytest

from rightsmanager.crypto.p256_backends import available_backends
from rightsmanager.errors import InvalidMessage
from tests.operations.subject import Opener, opener, private_key, public_key
from tests.second import certificates as cert
from tests.second import challenge as second
from tests.second import curve, world

WISH = second.Wish(second.header_40(bytes(range(32, 48))))
PLAINTEXT = second.data(world.DEVICE_CHAIN).encode()
SECRET = second.MESSAGE_X.to_bytes(32, "big")
WRAPPED, CIPHERTEXT = second.cipher_values(PLAINTEXT, world.CLIENT.server)
ENCRYPTED = second.encrypted_data(WRAPPED, CIPHERTEXT)


@pytest.fixture(params=available_backends(), ids=lambda backend: str(backend.name), scope="module")
def subject(request: pytest.FixtureRequest) -> Opener:
    return opener(request.param)


def sent(encrypted: str) -> bytes:
    return second.sealed(world.CLIENT, second.license_acquisition(WISH, encrypted))


def with_values(wrapped: bytes = WRAPPED, ciphertext: bytes = CIPHERTEXT) -> bytes:
    return sent(second.encrypted_data(wrapped, ciphertext))


OFF_CURVE = bytes(63) + b"\1"
C1, C2 = WRAPPED[:64], WRAPPED[64:]
SHARED = curve.finite(curve.multiply(world.SERVER, curve.point_from(C1)))


@pytest.mark.parametrize(
    ("wrapped", "text"),
    [
        (OFF_CURVE + C2, "C1 is not a point"),
        (C1 + OFF_CURVE, "C2 is not a point"),
        (bytes(64) + C2, "C1 is not a point"),
        (C1 + bytes(64), "C2 is not a point"),
        (b"\xff" * 64 + C2, "C1 is not a point"),
        (C1[:32] + C1[:32] + C2, "C1 is not a point"),
        (C2[32:] + C2[:32] + C2, "C1 is not a point"),
        (C1 + curve.P.to_bytes(32, "big") + C2[32:], "C2 is not a point"),
        (C1 + curve.point_bytes(SHARED), "infinity"),
        (C2 + C1, "EncryptedData does not open"),
        (b"", "CipherValue has 0 bytes, expected 128"),
        (WRAPPED[:-1], "CipherValue has 127 bytes, expected 128"),
        (b"\4" + WRAPPED, "CipherValue has 129 bytes, expected 128"),
    ],
)
def test_a_ciphertext_without_a_point_or_message_is_refused(
    subject: Opener, wrapped: bytes, text: str
) -> None:
    with pytest.raises(InvalidMessage, match=text):
        subject.open(with_values(wrapped))


def test_any_message_point_is_accepted(subject: Opener) -> None:
    for x in (curve.G[0], SHARED[0], second.MESSAGE_X):
        wrapped, ciphertext = second.cipher_values(PLAINTEXT, world.CLIENT.server, x)
        assert subject.open(with_values(wrapped, ciphertext)).signer.raw == world.DEVICE_CHAIN


def padded(end: bytes) -> bytes:
    """Return a ciphertext of a whole block with that end."""
    return SECRET[:16] + second.cbc(SECRET, bytes(16 - len(end)) + end)


@pytest.mark.parametrize(
    ("ciphertext", "text"),
    [
        (b"", "EncryptedData does not open"),
        (SECRET[:15], "EncryptedData does not open"),
        (SECRET[:16], "empty"),
        (SECRET[16:] + CIPHERTEXT[16:], "EncryptedData does not open"),
        (bytes(16) + CIPHERTEXT[16:], "EncryptedData does not open"),
        (CIPHERTEXT[:16] + CIPHERTEXT, "PKCS#7|not well-formed"),
        (CIPHERTEXT[:-1], "multiple of 16"),
        (CIPHERTEXT + b"\0", "multiple of 16"),
        (padded(b"\0"), "PKCS#7"),
        (padded(b"\x11"), "PKCS#7"),
        (padded(b"\1\2"), "PKCS#7"),
        (padded(b"\xff" * 16), "PKCS#7"),
        (padded(b"\x10" * 16), "not well-formed"),
    ],
)
def test_a_ciphertext_that_does_not_decrypt_is_refused(
    subject: Opener, ciphertext: bytes, text: str
) -> None:
    with pytest.raises(InvalidMessage, match=text):
        subject.open(with_values(ciphertext=ciphertext))


@pytest.mark.parametrize("value", [WRAPPED, CIPHERTEXT])
@pytest.mark.parametrize("text", ["?", "A", "=", "AAAA====", "A\u00c4AA"])
def test_a_cipher_value_that_is_not_base64_is_refused(
    subject: Opener, value: bytes, text: str
) -> None:
    with pytest.raises(InvalidMessage, match="CipherValue is not"):
        subject.open(sent(ENCRYPTED.replace(second.b64(value), text)))


@pytest.mark.parametrize("name", ["", "wmrmserver", "WMRMServer2", "WMRM Server", "A" * 100])
def test_another_key_name_is_refused(subject: Opener, name: str) -> None:
    with pytest.raises(InvalidMessage, match="KeyName is"):
        subject.open(sent(second.encrypted_data(WRAPPED, CIPHERTEXT, name)))


@pytest.mark.parametrize("key_name", [" WMRMServer\n", "\tWMRMServer "])
def test_white_space_around_a_key_name_is_ignored(subject: Opener, key_name: str) -> None:
    subject.open(sent(second.encrypted_data(WRAPPED, CIPHERTEXT, key_name)))


@pytest.mark.parametrize("algorithm", [second.X + "aes128-cbc", second.P + "#ecc256"])
@pytest.mark.parametrize("other", ["", "x", second.X + "tripledes-cbc"])
def test_every_other_algorithm_of_encryption_is_refused(
    subject: Opener, algorithm: str, other: str
) -> None:
    for attribute in (f'Algorithm="{other}"', "", f'algorithm="{algorithm}"'):
        encrypted = ENCRYPTED.replace(f'Algorithm="{algorithm}"', attribute)
        with pytest.raises(InvalidMessage, match="EncryptionMethod has Algorithm"):
            subject.open(sent(encrypted))


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize(
    "element", ["EncryptionMethod", "KeyInfo", "EncryptedKey", "KeyName", "CipherData"]
)
def test_every_element_of_encrypted_data_is_required_once(
    subject: Opener, element: str, count: int
) -> None:
    start = ENCRYPTED.index(f"<{element}")
    closing = f"</{element}>"
    last = {"KeyInfo": ENCRYPTED.rindex, "EncryptedKey": ENCRYPTED.rindex}
    end = last.get(element, ENCRYPTED.index)(closing) + len(closing)
    encrypted = ENCRYPTED[:start] + count * ENCRYPTED[start:end] + ENCRYPTED[end:]
    with pytest.raises(InvalidMessage, match=f"elements? {element}"):
        subject.open(sent(encrypted))


def test_a_challenge_to_an_old_key_of_the_server_still_opens(subject: Opener) -> None:
    keys = (private_key(world.OTHER), private_key(world.SERVER))
    challenge = sent(ENCRYPTED)
    assert replace(subject, keys=keys).open(challenge).signer.raw == world.DEVICE_CHAIN
    with pytest.raises(InvalidMessage, match="EncryptedData does not open"):
        replace(subject, keys=keys[:1]).open(challenge)


# --- the plaintext ------------------------------------------------------------------------------

DATA = PLAINTEXT.decode()
CHAIN = DATA[DATA.index("<CertificateChain>") : DATA.index("</CertificateChains>")]


@pytest.mark.parametrize(
    ("plaintext", "text"),
    [
        ("", "not well-formed"),
        ("x", "not well-formed"),
        (DATA + DATA, "not well-formed"),
        (DATA[:-1], "not well-formed"),
        ("<!DOCTYPE Data>" + DATA, "document type declaration"),
        (DATA.replace("<Data>", f'<Data xmlns="{second.P}">'), "EncryptedData holds an element"),
        (DATA.replace("Data>", "Date>"), "EncryptedData holds an element 'Date'"),
        (DATA.replace("CertificateChains>", "Chains>"), "no element CertificateChains"),
        (DATA.replace("CertificateChain>", "Chain>"), "has 0 CertificateChain, expected 1 to"),
        (DATA.replace(CHAIN, ""), "has 0 CertificateChain, expected 1 to"),
        (DATA.replace(CHAIN, f"<!-- {CHAIN} -->"), "has 0 CertificateChain, expected 1 to"),
        (DATA.replace(CHAIN, f"</CertificateChains><CertificateChains>{CHAIN}"), "several"),
        (DATA.replace(CHAIN, "<CertificateChain></CertificateChain>"), "chain: 0 bytes"),
        (DATA.replace(CHAIN, "<CertificateChain>?</CertificateChain>"), "CertificateChain is not"),
        (DATA.replace(CHAIN, "<CertificateChain>AAAA</CertificateChain>"), "chain: 3 bytes"),
        (DATA.replace("Q0hBSQ", "<a></a>Q0hBSQ"), "has child nodes"),
        (DATA.replace("Q0hBSQ", "<!-- -->Q0hBSQ"), "has child nodes"),
        (DATA.replace("</Data>", "<Features></Features></Data>"), "several elements Features"),
        (DATA.replace("<REE>", "<REE></REE><REE>"), "several elements REE"),
    ],
)
def test_a_plaintext_that_is_not_the_clients_data_is_refused(
    subject: Opener, plaintext: str, text: str
) -> None:
    with pytest.raises(InvalidMessage, match=text):
        subject.open(second.with_plaintext(world.CLIENT, WISH, plaintext.encode()))


def test_features_may_be_missing_and_unknown(subject: Opener) -> None:
    start, end = DATA.index("<Features>"), DATA.index("</Data>")
    for features, names, ree in (
        ("", (), ()),
        ("<Features></Features>", (), ()),
        ('<Features><Feature Name="A"/><Feature/><Other/><!-- --></Features>', ("A", ""), ()),
        ("<Features><REE><A/><!-- --><B/></REE></Features>", (), ("A", "B")),
    ):
        plaintext = (DATA[:start] + features + DATA[end:]).encode()
        opened = subject.open(second.with_plaintext(world.CLIENT, WISH, plaintext))
        assert (names, ree) == (opened.client.features, opened.client.ree_features)


# --- chains and the signer ----------------------------------------------------------------------

DOMAIN_CHAIN = cert.chain(
    cert.issue(cert.Subject(cert.DOMAIN, ((world.OTHER, (cert.ENCRYPT,)),)), world.ROOT)
)
OTHER_DEVICE = world.device_chain(
    cert.Subject(cert.DEVICE, ((world.OTHER, (cert.SIGN, cert.ENCRYPT)),))
)


def chains(*found: bytes, client: second.Client = world.CLIENT) -> bytes:
    return second.with_plaintext(client, WISH, second.data(*found).encode())


def test_the_signer_is_found_among_several_chains_wherever_it_stands(subject: Opener) -> None:
    for order in (
        (world.DEVICE_CHAIN, OTHER_DEVICE),
        (OTHER_DEVICE, world.DEVICE_CHAIN),
        (OTHER_DEVICE, world.DEVICE_CHAIN, OTHER_DEVICE),
    ):
        opened = subject.open(chains(*order))
        assert order == tuple(chain.raw for chain in opened.client.chains)
        assert opened.signer.raw == world.DEVICE_CHAIN


def test_each_of_several_chains_is_verified(subject: Opener) -> None:
    foreign = world.device_chain(
        cert.Subject(cert.DEVICE, ((world.OTHER, (cert.SIGN,)),)),
        world.issuer(world.DEVICE_ISSUER, cert.ISSUE_DEVICE, by=world.OTHER),
    )
    with pytest.raises(InvalidMessage, match="not a trust anchor"):
        subject.open(chains(world.DEVICE_CHAIN, foreign))


@pytest.mark.parametrize(
    "client",
    [
        replace(world.CLIENT, signing=world.OTHER),
        replace(world.CLIENT, signing=world.DEVICE_ENCRYPTION),
        replace(world.CLIENT, signing=world.DEVICE_ISSUER),
        replace(world.CLIENT, signing=world.SIGNER),
    ],
)
def test_a_signer_that_is_not_the_signing_key_of_a_leaf_is_refused(
    subject: Opener, client: second.Client
) -> None:
    with pytest.raises(InvalidMessage, match="not the signing key of the leaf"):
        subject.open(second.challenge(client, WISH))


def test_a_named_signer_that_did_not_sign_is_refused(subject: Opener) -> None:
    la = second.element(world.CLIENT, WISH)
    signature = second.signature(
        second.signed_info(la), world.OTHER, curve.public(world.DEVICE_SIGNING)
    )
    with pytest.raises(InvalidMessage, match="SignatureValue does not verify"):
        subject.open(second.envelope(la, signature))


ISSUER = world.issuer(world.DEVICE_ISSUER, cert.ISSUE_DEVICE)
DEVICE = cert.Subject(cert.DEVICE, world.DEVICE_KEYS)
LEAF = cert.issue(DEVICE, world.DEVICE_ISSUER)


def altered(certificate: bytes, at: int) -> bytes:
    return certificate[:at] + bytes((certificate[at] ^ 1,)) + certificate[at + 1 :]


@pytest.mark.parametrize(
    ("chain", "text"),
    [
        (world.device_chain(replace(DEVICE, expiry=world.NOW - 1)), "expired"),
        (world.device_chain(replace(DEVICE, expiry=0)), "expired"),
        (world.device_chain(replace(DEVICE, level=3001)), "security level 3001"),
        (
            world.device_chain(DEVICE, world.issuer(world.DEVICE_ISSUER, cert.ISSUE_METERING)),
            "with the usages",
        ),
        (
            world.device_chain(
                DEVICE, world.issuer(world.DEVICE_ISSUER, cert.ISSUE_DEVICE, by=world.OTHER)
            ),
            "not a trust anchor",
        ),
        (world.device_chain(DEVICE, ISSUER, by=world.OTHER), "not one of its issuer's"),
        (cert.chain(LEAF), "not a trust anchor"),
        (cert.chain(LEAF, LEAF, ISSUER), "expected an issuer"),
        (cert.chain(ISSUER, LEAF), "not the signing key of the leaf"),
        (cert.chain(altered(LEAF, 30), ISSUER), "signature does not verify"),
        (cert.chain(LEAF, altered(ISSUER, 30)), "signature does not verify"),
        (cert.chain(LEAF, *[ISSUER] * 6), "count is 7"),
        (cert.chain(), "count is 0"),
        (cert.chain(LEAF, ISSUER) + b"\0", "length is"),
    ],
)
def test_an_invalid_chain_is_refused(subject: Opener, chain: bytes, text: str) -> None:
    with pytest.raises(InvalidMessage, match=text):
        subject.open(chains(chain))


def test_a_certificate_is_valid_in_its_last_second(subject: Opener) -> None:
    subject.open(chains(world.device_chain(replace(DEVICE, expiry=world.NOW))))


def test_a_chain_that_was_refused_is_refused_again(subject: Opener) -> None:
    challenge = chains(world.device_chain(replace(DEVICE, level=3001)))
    for _ in range(2):
        with pytest.raises(InvalidMessage, match="security level"):
            subject.open(challenge)


def test_only_chains_under_the_root_verify(subject: Opener) -> None:
    with pytest.raises(InvalidMessage, match="not a trust anchor"):
        replace(subject, anchor=public_key(world.OTHER)).open(sent(ENCRYPTED))
