"""A client's challenges, of parts that a test may alter before sealing."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from tests.second import curve

P = "http://schemas.microsoft.com/DRM/2007/03/protocols"
M = P + "/messages"
H = "http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader"
D = "http://www.w3.org/2000/09/xmldsig#"
X = "http://www.w3.org/2001/04/xmlenc#"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"

NONCE = bytes(range(16))
EPHEMERAL = 0x0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF
MESSAGE_X = next(x for x in range(7 << 200, 8 << 200) if curve.point_at(x))

Alter = Callable[[str], str]


def b64(data: bytes) -> str:
    """Return base64."""
    return base64.b64encode(data).decode()


def header_40(*kids: bytes, algid: str = "AESCTR") -> str:
    """Return a header 4.0 for a KID; `bytes_le` order."""
    (kid,) = kids
    return (
        f'<WRMHEADER xmlns="{H}" version="4.0.0.0"><DATA><PROTECTINFO><KEYLEN>16</KEYLEN>'
        f"<ALGID>{algid}</ALGID></PROTECTINFO><KID>{b64(kid)}</KID></DATA></WRMHEADER>"
    )


def header_41(*kids: bytes, algid: str = "AESCTR") -> str:
    """Return a header 4.1 for a KID."""
    (kid,) = kids
    return (
        f'<WRMHEADER xmlns="{H}" version="4.1.0.0"><DATA><PROTECTINFO>'
        f'<KID ALGID="{algid}" VALUE="{b64(kid)}"></KID></PROTECTINFO></DATA></WRMHEADER>'
    )


def header_42(*kids: bytes, version: str = "4.2.0.0", algid: str | None = "AESCTR") -> str:
    """Return a header 4.2, or of a later version, for KIDs."""
    attribute = "" if algid is None else f'ALGID="{algid}" '
    entries = "".join(f'<KID {attribute}VALUE="{b64(kid)}"></KID>' for kid in kids)
    return (
        f'<WRMHEADER xmlns="{H}" version="{version}"><DATA><PROTECTINFO><KIDS>{entries}</KIDS>'
        "</PROTECTINFO></DATA></WRMHEADER>"
    )


def header_43(*kids: bytes, algid: str | None = None) -> str:
    """Return a header 4.3 for KIDs."""
    return header_42(*kids, version="4.3.0.0", algid=algid)


@dataclass(frozen=True)
class Client:
    """A device, and the server's key that it encrypts to."""

    chain: bytes
    signing: int
    encryption: int
    server: curve.Point


@dataclass(frozen=True)
class Wish:
    """The parts of a challenge, each as text."""

    header: str
    version: str = "1"
    nonce: bytes = NONCE
    time: str = "1790000000"
    client_version: str = "<CLIENTINFO><CLIENTVERSION>4.4.0.1</CLIENTVERSION></CLIENTINFO>"
    revocation: str = ""
    custom_data: str = ""


def data(*chains: bytes) -> str:
    """Return the plaintext with the client's chains."""
    elements = "".join(f"<CertificateChain> {b64(c)} </CertificateChain>" for c in chains)
    return (
        f"<Data><CertificateChains>{elements}</CertificateChains>"
        '<Features><Feature Name="AESCBC"></Feature><REE><AESCBCS></AESCBCS></REE></Features>'
        "</Data>"
    )


def cipher_values(plaintext: bytes, server: curve.Point, x: int = MESSAGE_X) -> tuple[bytes, bytes]:
    """Return the encrypted key (128 bytes), and the IV with the ciphertext."""
    secret = x.to_bytes(32, "big")
    padder = PKCS7(128).padder()
    padded = padder.update(plaintext) + padder.finalize()
    return curve.encrypt(x, server, EPHEMERAL), secret[:16] + cbc(secret, padded)


def cbc(secret: bytes, padded: bytes) -> bytes:
    """Return whole blocks encrypted under IV(16) ‖ key(16)."""
    return Cipher(algorithms.AES(secret[16:]), modes.CBC(secret[:16])).encryptor().update(padded)


def encrypted_data(wrapped: bytes, ciphertext: bytes, key_name: str = "WMRMServer") -> str:
    """Return EncryptedData."""
    return (
        f'<EncryptedData xmlns="{X}" Type="{X}Element">'
        f'<EncryptionMethod Algorithm="{X}aes128-cbc"></EncryptionMethod>'
        f'<KeyInfo xmlns="{D}"><EncryptedKey xmlns="{X}">'
        f'<EncryptionMethod Algorithm="{P}#ecc256"></EncryptionMethod>'
        f'<KeyInfo xmlns="{D}"><KeyName>{key_name}</KeyName></KeyInfo>'
        f"<CipherData><CipherValue>{b64(wrapped)}</CipherValue></CipherData>"
        f"</EncryptedKey></KeyInfo>"
        f"<CipherData><CipherValue>{b64(ciphertext)}</CipherValue></CipherData></EncryptedData>"
    )


def license_acquisition(wish: Wish, encrypted: str) -> str:
    """Return LA."""
    return (
        f'<LA xmlns="{P}" Id="SignedData" xml:space="preserve"><Version>{wish.version}</Version>'
        f"<ContentHeader>{wish.header}</ContentHeader>{wish.client_version}{wish.revocation}"
        f"{wish.custom_data}<LicenseNonce>{b64(wish.nonce)}</LicenseNonce>"
        f"<ClientTime>{wish.time}</ClientTime>{encrypted}</LA>"
    )


def signed_info(signed: str) -> str:
    """Return SignedInfo for the canonical text of an element."""
    digest = b64(hashlib.sha256(signed.encode()).digest())
    return (
        f'<SignedInfo xmlns="{D}"><CanonicalizationMethod Algorithm="{C14N}">'
        f'</CanonicalizationMethod><SignatureMethod Algorithm="{P}#ecdsa-sha256"></SignatureMethod>'
        f'<Reference URI="#SignedData"><DigestMethod Algorithm="{P}#sha256"></DigestMethod>'
        f"<DigestValue>{digest}</DigestValue></Reference></SignedInfo>"
    )


def signature(info: str, private: int, key: curve.Point | None = None) -> str:
    """Return Signature over SignedInfo, with another key in KeyInfo if given."""
    named = b64(curve.point_bytes(key or curve.public(private)))
    return (
        f'<Signature xmlns="{D}">{info}'
        f"<SignatureValue>{b64(curve.sign(private, info.encode()))}</SignatureValue>"
        f'<KeyInfo xmlns="{D}"><KeyValue><ECCKeyValue><PublicKey>{named}</PublicKey>'
        "</ECCKeyValue></KeyValue></KeyInfo></Signature>"
    )


def envelope(signed: str, signature: str, soap: str = SOAP11) -> bytes:
    """Return the whole message."""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="{soap}"><soap:Body>'
        f'<AcquireLicense xmlns="{P}"><challenge><Challenge xmlns="{M}">{signed}{signature}'
        "</Challenge></challenge></AcquireLicense></soap:Body></soap:Envelope>"
    ).encode()


def element(client: Client, wish: Wish) -> str:
    """Return LA for a client's wish, ready to be signed."""
    plaintext = data(client.chain).encode()
    return license_acquisition(wish, encrypted_data(*cipher_values(plaintext, client.server)))


def sealed(client: Client, signed: str) -> bytes:
    """Return the message around LA, signed as written."""
    return envelope(signed, signature(signed_info(signed), client.signing))


def challenge(client: Client, wish: Wish, alter: Alter = str) -> bytes:
    """Return the message of a client's wish, its LA altered before signing."""
    return sealed(client, alter(element(client, wish)))


def with_plaintext(client: Client, wish: Wish, plaintext: bytes) -> bytes:
    """Return a message with another plaintext than a client would encrypt."""
    encrypted = encrypted_data(*cipher_values(plaintext, client.server))
    return sealed(client, license_acquisition(wish, encrypted))


def with_chain(client: Client, chain: bytes) -> Client:
    """Return the client with another chain."""
    return replace(client, chain=chain)
