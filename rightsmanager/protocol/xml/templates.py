"""The exact text in which clients and this server write encryption and signature elements.

`xmlsec` fills the templates; `fastpath` turns them into a pattern. The parser accepts any other
spelling of the same elements.
"""

from typing import Final

from rightsmanager.protocol.wire import PROTOCOLS, XMLDSIG, XMLENC

SIGNED_ID: Final = "SignedData"
C14N: Final = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
ECDSA_SHA256: Final = PROTOCOLS + "#ecdsa-sha256"
SHA256: Final = PROTOCOLS + "#sha256"
ECC256: Final = PROTOCOLS + "#ecc256"
AES128_CBC: Final = XMLENC + "aes128-cbc"
ELEMENT_TYPE: Final = XMLENC + "Element"

ENCRYPTED_DATA: Final = (
    f'<EncryptedData xmlns="{XMLENC}" Type="{ELEMENT_TYPE}">'
    f'<EncryptionMethod Algorithm="{AES128_CBC}"></EncryptionMethod>'
    f'<KeyInfo xmlns="{XMLDSIG}"><EncryptedKey xmlns="{XMLENC}">'
    f'<EncryptionMethod Algorithm="{ECC256}"></EncryptionMethod>'
    f'<KeyInfo xmlns="{XMLDSIG}"><KeyName>%s</KeyName></KeyInfo>'
    "<CipherData><CipherValue>%s</CipherValue></CipherData></EncryptedKey></KeyInfo>"
    "<CipherData><CipherValue>%s</CipherValue></CipherData></EncryptedData>"
)
"""KeyName, wrapped key, ciphertext."""
SIGNED_INFO: Final = (
    f'<SignedInfo xmlns="{XMLDSIG}">'
    f'<CanonicalizationMethod Algorithm="{C14N}"></CanonicalizationMethod>'
    f'<SignatureMethod Algorithm="{ECDSA_SHA256}"></SignatureMethod>'
    f'<Reference URI="#{SIGNED_ID}"><DigestMethod Algorithm="{SHA256}"></DigestMethod>'
    "<DigestValue>%s</DigestValue></Reference></SignedInfo>"
)
"""DigestValue."""
KEY_INFO: Final = (
    f'<KeyInfo xmlns="{XMLDSIG}"><KeyValue><ECCKeyValue><PublicKey>%s</PublicKey>'
    "</ECCKeyValue></KeyValue></KeyInfo>"
)
"""PublicKey."""
SIGNATURE: Final = (
    f'<Signature xmlns="{XMLDSIG}">%s<SignatureValue>%s</SignatureValue>%s</Signature>'
)
"""SignedInfo, SignatureValue, KeyInfo or nothing."""
