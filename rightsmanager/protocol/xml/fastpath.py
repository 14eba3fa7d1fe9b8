"""The forms that nearly all clients give their messages, alike down to the byte.

A form is what is written here, and what is recognised at once in a text; any other spelling is
parsed and walked, element by element, to the same result. Its pattern matches well-formed XML only:
every start tag with its end tag, and between them neither markup nor anything that a parser would
alter (see `find_license_form`), so that what has the form need not be parsed.
"""

import re
from typing import Final, NamedTuple

from rightsmanager.protocol.wire import HEADER, MESSAGES, PROTOCOLS, XMLDSIG, XMLENC

SIGNED_ID: Final = "SignedData"
C14N: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
ECDSA_SHA256: Final = PROTOCOLS + "#ecdsa-sha256"
SHA256: Final = PROTOCOLS + "#sha256"
ECC256: Final = PROTOCOLS + "#ecc256"
AES128_CBC: Final = XMLENC + "aes128-cbc"
ELEMENT_TYPE: Final = XMLENC + "Element"

_VALUE: Final = "([^<]*)"
_TEXT: Final = "[^<]*"


def _recognise(form: str, *values: str) -> str:
    """Return the pattern of a form, each `%s` of which is what the values say."""
    first, *others = map(re.escape, form.split("%s"))
    return first + "".join(map(str.__add__, values, others))


# --- encryption and signature ---------------------------------------------------------------------

ENCRYPTED_FORM: Final = (
    f'<EncryptedData xmlns="{XMLENC}" Type="{ELEMENT_TYPE}">'
    f'<EncryptionMethod Algorithm="{AES128_CBC}"></EncryptionMethod>'
    f'<KeyInfo xmlns="{XMLDSIG}"><EncryptedKey xmlns="{XMLENC}">'
    f'<EncryptionMethod Algorithm="{ECC256}"></EncryptionMethod>'
    f'<KeyInfo xmlns="{XMLDSIG}"><KeyName>%s</KeyName></KeyInfo>'
    "<CipherData><CipherValue>%s</CipherValue></CipherData></EncryptedKey></KeyInfo>"
    "<CipherData><CipherValue>%s</CipherValue></CipherData></EncryptedData>"
)
_ENCRYPTED: Final = _recognise(ENCRYPTED_FORM, _VALUE, _VALUE, _VALUE)
ENCRYPTED: Final = re.compile(_ENCRYPTED.encode())
"""KeyName, encrypted key, ciphertext."""

SIGNED_INFO: Final = (
    f'<SignedInfo xmlns="{XMLDSIG}">'
    f'<CanonicalizationMethod Algorithm="{C14N}"></CanonicalizationMethod>'
    f'<SignatureMethod Algorithm="{ECDSA_SHA256}"></SignatureMethod>'
    f'<Reference URI="#{SIGNED_ID}"><DigestMethod Algorithm="{SHA256}"></DigestMethod>'
    "<DigestValue>%s</DigestValue></Reference></SignedInfo>"
).encode()
KEY_INFO_FORM: Final = (
    f'<KeyInfo xmlns="{XMLDSIG}"><KeyValue><ECCKeyValue><PublicKey>%s</PublicKey>'
    "</ECCKeyValue></KeyValue></KeyInfo>"
)
SIGNATURE_FORM: Final = (
    f'<Signature xmlns="{XMLDSIG}">%s<SignatureValue>%s</SignatureValue>%s</Signature>'
)
_SIGNATURE: Final = _recognise(
    SIGNATURE_FORM,
    _recognise(SIGNED_INFO.decode(), _VALUE),
    _VALUE,
    f"(?:{_recognise(KEY_INFO_FORM, _VALUE)})?",
)
SIGNATURE: Final = re.compile(_SIGNATURE.encode())
"""DigestValue, SignatureValue, PublicKey."""


# --- the AcquireLicense challenge -----------------------------------------------------------------


class CanonicalChallenge(NamedTuple):
    """The values of a challenge, as they are written; None for an element that is not there."""

    la: bytes
    """LA itself."""
    version: bytes
    header: bytes
    """The WRMHEADER element."""
    client_version: bytes
    revocation_lists: bytes | None
    """What stands in RevocationLists, each of which REVOCATION_LIST matches."""
    custom_data: bytes | None
    nonce: bytes
    client_time: bytes
    key_name: bytes
    wrapped_key: bytes
    ciphertext: bytes
    digest: bytes
    signature: bytes
    public_key: bytes | None


def _elements(*names: str) -> str:
    return "|".join(f"<{name}>{_TEXT}</{name}>" for name in names)


_QUOTED: Final = '[^"<]*'
_HEADER_KID: Final = (
    f'<KID(?: ALGID="{_QUOTED}")?(?: CHECKSUM="{_QUOTED}")?(?: VALUE="{_QUOTED}")?(?:/>|></KID>)'
)
_PROTECT_INFO: Final = (
    f'<PROTECTINFO(?: LICENSEREQUESTED="{_QUOTED}")?>'
    f"(?:{_elements('KEYLEN', 'ALGID')}|{_HEADER_KID}|<KIDS>(?:{_HEADER_KID})*</KIDS>)*"
    "</PROTECTINFO>"
)
_DATA: Final = _elements("KID", "CHECKSUM", "LA_URL", "LUI_URL", "DS_ID", "DECRYPTORSETUP")
_WRMHEADER: Final = _recognise(
    f'<WRMHEADER xmlns="{HEADER}" version="%s"><DATA>%s</DATA></WRMHEADER>',
    _QUOTED,
    f"(?:{_PROTECT_INFO}|{_DATA})*",
)
_LIST_FORM: Final = "<RevListInfo><ListID>%s</ListID><Version>%s</Version></RevListInfo>"
REVOCATION_LIST: Final = re.compile(_recognise(_LIST_FORM, _VALUE, _VALUE).encode())
"""ListID, Version."""
_LISTS: Final = f"((?:{_recognise(_LIST_FORM, _TEXT, _TEXT)})*)"

_LA: Final = _recognise(
    f'<LA xmlns="{PROTOCOLS}" Id="{SIGNED_ID}" xml:space="preserve"><Version>%s</Version>'
    "<ContentHeader>%s</ContentHeader><CLIENTINFO><CLIENTVERSION>%s</CLIENTVERSION></CLIENTINFO>"
    "%s%s<LicenseNonce>%s</LicenseNonce><ClientTime>%s</ClientTime>%s</LA>",
    _VALUE,
    f"({_WRMHEADER})",
    _VALUE,
    f"(?:<RevocationLists>{_LISTS}</RevocationLists>)?",
    f"(?:<CustomData>{_VALUE}</CustomData>)?",
    _VALUE,
    _VALUE,
    _ENCRYPTED,
)
_LICENSE_CHALLENGE: Final = re.compile(
    _recognise(
        f'<AcquireLicense xmlns="{PROTOCOLS}"><challenge><Challenge xmlns="{MESSAGES}">%s%s'
        "</Challenge></challenge></AcquireLicense></soap:Body></soap:Envelope>",
        f"({_LA})",
        _SIGNATURE,
    ).encode()
)
_UNALTERED: Final = bytes(set(range(ord(" "), ord("~") + 1)) - {ord("&")})
"""What stands for itself in a text: neither the start of a reference nor white space that a parser
would replace, nor what XML forbids."""


def find_license_form(text: bytes, start: int) -> CanonicalChallenge | None:
    """Return the values of a challenge that has the form from its operation to the text's end.

    None for any other text, and for one that a parser would alter or refuse.
    """
    match = _LICENSE_CHALLENGE.fullmatch(text, start)
    if match is None or text.translate(None, _UNALTERED) or b"]]>" in text:
        return None
    return CanonicalChallenge._make(match.groups())
