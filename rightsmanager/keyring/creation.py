"""Makes the identities that a keyring lacks; existing ones stay as they are."""

from collections.abc import Callable
from typing import Final

from rightsmanager.crypto import p256
from rightsmanager.crypto.random import Rng, seeded_random, system_random
from rightsmanager.errors import InternalError
from rightsmanager.files import keep_file
from rightsmanager.keyring.files import METERING_FILE, KeyFiles
from rightsmanager.keyring.identities import (
    IDENTITIES,
    METERING,
    ROOT,
    WMRMSERVER,
    Certified,
    Identity,
)
from rightsmanager.protocol.formats.bcert import Chain, Key, Template, chain_under, issue
from rightsmanager.protocol.formats.bcert.objects import CertificateObject, Manufacturer, Metering
from rightsmanager.protocol.wire import GUID_LENGTH, Mid

MANUFACTURER: Final = "RightsManager test PKI"
METERING_URL: Final = "http://127.0.0.1:8080/rightsmanager.asmx"
"""The address for metering reports in a certificate if the settings name none."""
RngFor = Callable[[str], Rng]
"""Gives each identity its own source of randomness, so that a seed repeats each one's keys."""


def rng_for(seed: str | None) -> RngFor:
    """Return a source for each identity: the system's, or one that the seed repeats."""
    if seed is None:
        return lambda _name: system_random
    return lambda name: seeded_random(f"{seed}\0{name}".encode())


def create(files: KeyFiles, rng_for: RngFor, metering_url: str = "") -> None:
    """Make every identity that the data folder lacks, and its public files.

    metering_url: the address for reports in the metering certificate; empty for METERING_URL.
    Raises InternalError if the key of an issuer is needed and missing.
    """
    for identity in IDENTITIES:
        _create_identity(files, identity, rng_for(identity.name), metering_url or METERING_URL)
    _publish(files)


def _create_identity(files: KeyFiles, identity: Identity, rng: Rng, metering_url: str) -> None:
    certified = identity.certified
    if certified is not None and files.find_chain(identity.name) is not None:
        return
    if identity is ROOT and _is_root_kept_elsewhere(files):
        return
    if identity.optional and certified and files.find_key(certified.issuer) is None:
        return
    key = files.keep_key(identity.name, lambda: p256.PrivateKey.generate(rng))
    if certified is not None:
        files.keep_chain(
            identity.name,
            lambda: _certify(
                files, identity, certified, key.public, rng=rng, metering_url=metering_url
            ),
        )


def _is_root_kept_elsewhere(files: KeyFiles) -> bool:
    """Return whether the root's key was taken away, as is advised once the issuers exist."""
    return files.find_key(ROOT.name) is None and files.public_file(ROOT.name).exists()


def _certify(  # noqa: PLR0913 -- issuer, subject and contents
    files: KeyFiles,
    identity: Identity,
    certified: Certified,
    public: p256.PublicKey,
    *,
    rng: Rng,
    metering_url: str,
) -> Chain:
    issuer_key = files.find_key(certified.issuer)
    if issuer_key is None:
        raise InternalError(
            f"{identity.name} has no certificate, and the key of its issuer, "
            f"{files.key_file(certified.issuer)}, is missing"
        )
    template = Template(
        type=certified.type,
        security_level=certified.security_level,
        certificate_id=rng(GUID_LENGTH),
        client_id=rng(GUID_LENGTH),
        keys=(Key(public, certified.usages),),
        manufacturer=Manufacturer(MANUFACTURER, identity.name, "1"),
        objects=_objects(identity, rng, metering_url),
    )
    return chain_under(issue(template, issuer_key), files.find_chain(certified.issuer))


def _objects(identity: Identity, rng: Rng, metering_url: str) -> tuple[CertificateObject, ...]:
    return (Metering(Mid(rng(GUID_LENGTH)), metering_url),) if identity is METERING else ()


def _publish(files: KeyFiles) -> None:
    for identity in (WMRMSERVER, ROOT):
        key = files.find_key(identity.name)
        if key is not None:
            public = key.public.raw
            keep_file(files.public_file(identity.name), lambda: public)  # noqa: B023 -- called at once
    metering = files.find_chain(METERING.name)
    if metering is not None:
        keep_file(files.public / METERING_FILE, lambda: metering.raw)
