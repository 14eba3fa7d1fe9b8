"""Who we are: roots, issuers, server and metering keys and certificates.

`identities` is the table of what there is, `files` keeps it without ever overwriting, `creation`
makes what is missing, and `loading` reads the whole into one frozen Keyring. `https` keeps what the
server's address is proved by, which is no part of PlayReady.
"""

from rightsmanager.keyring.certification import (
    CertifiedDomain,
    CertifiedKeys,
    certify_device,
    certify_domain,
    certify_metering,
)
from rightsmanager.keyring.creation import create
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
    "DomainIssuer",
    "HttpsFiles",
    "Keyring",
    "KeyringSources",
    "ListSigner",
    "MeteringIdentity",
    "certify_device",
    "certify_domain",
    "certify_metering",
    "create",
    "create_https",
    "load",
    "load_list_signer",
    "read_certificate",
]
