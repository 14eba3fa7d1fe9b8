"""The server's identities: roots, issuers, server and metering keys and certificates.

`identities` is the table of them, `files` stores them and never overwrites one, `creation` makes
the missing ones, and `loading` reads them into one frozen Keyring. `https` keeps the certificate of
the server's address, which PlayReady does not know.
"""

from rightsmanager.keyring.certification import (
    CertifiedDomain,
    CertifiedKeys,
    ClientModel,
    certify_device,
    certify_domain,
    certify_metering,
    certify_public_keys,
)
from rightsmanager.keyring.creation import create, rng_for
from rightsmanager.keyring.https import HttpsFiles, create_https, read_certificate
from rightsmanager.keyring.loading import (
    DomainIssuer,
    Keyring,
    KeyringSources,
    ListSigner,
    MeteringIdentity,
    load,
    load_list_signer,
)

__all__ = [
    "CertifiedDomain",
    "CertifiedKeys",
    "ClientModel",
    "DomainIssuer",
    "HttpsFiles",
    "Keyring",
    "KeyringSources",
    "ListSigner",
    "MeteringIdentity",
    "certify_device",
    "certify_domain",
    "certify_metering",
    "certify_public_keys",
    "create",
    "create_https",
    "load",
    "load_list_signer",
    "read_certificate",
    "rng_for",
]
