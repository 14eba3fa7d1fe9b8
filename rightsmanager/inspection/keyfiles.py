"""Key files of a data folder: public keys, private keys and revocation lists.

form        the file is well-formed
signature   the signer of a revocation list and its signature are valid
"""

from typing import Final

from rightsmanager.crypto.p256 import PrivateKey, PublicKey
from rightsmanager.crypto.pem import parse_private_key
from rightsmanager.errors import InvalidMessage
from rightsmanager.inspection.certificates import describe_chain
from rightsmanager.inspection.checks import attempt, not_possible, verified
from rightsmanager.inspection.context import Context
from rightsmanager.inspection.description import Check, Description
from rightsmanager.inspection.values import guid, public_key
from rightsmanager.protocol.formats.bcert import ChainVerifier
from rightsmanager.protocol.formats.revocation import NAMES, SignedList, parse_list
from rightsmanager.protocol.wire import fingerprint

_PEM: Final = b"-----BEGIN "
_PRIVATE: Final = b"PRIVATE KEY-----"
_ENCRYPTED: Final = b"ENCRYPTED"


def refuse_public_key(data: bytes) -> None:
    """Raise InvalidMessage unless the bytes are a point of P-256, which have no magic."""
    PublicKey(data)


def describe_public_key(data: bytes, context: Context) -> Description:
    """Return the description of a public key, as in the files `public/*.pub`."""
    key = PublicKey(data)
    anchors = context.trust_anchors
    facts = [public_key("point", key.raw)]
    if anchors:
        facts.append(Description("is a trust anchor", key in anchors))
    return Description("P-256 public key", meaning=fingerprint(key.raw), children=tuple(facts))


def refuse_private_key(data: bytes) -> None:
    """Raise InvalidMessage unless the bytes begin as a private key in PEM."""
    line = data.lstrip()[:64].splitlines()[:1]
    if not line or not (line[0].startswith(_PEM) and line[0].endswith(_PRIVATE)):
        raise InvalidMessage("it does not begin as a private key in PEM")


def describe_private_key(data: bytes, _: Context) -> Description:
    """Return the description of a private key, never any of its bytes."""
    name, meaning = "private key", "secret: keep it out of tickets and repositories"
    if _ENCRYPTED in data:
        check = not_possible("form", "it is encrypted under the keyring's passphrase")
        return Description(name, meaning=meaning, checks=(check,))
    key, form = attempt("form", "it is a private key of P-256", parse_private_key, data)
    return Description(name, meaning=meaning, children=_public_part(key), checks=(form,))


def _public_part(key: PrivateKey | None) -> tuple[Description, ...]:
    if key is None:
        return ()
    return (Description("public key", fingerprint(key.public.raw)),)


def describe_revocation_list(data: bytes, context: Context) -> Description:
    """Return the description of a revocation list of this project, damaged or not."""
    name = "revocation list"
    found, form = attempt("form", "it is well-formed", parse_list, data)
    if found is None:
        return Description(name, checks=(form,))
    return Description(
        name,
        meaning=NAMES[found.list_id],
        children=(
            guid("list id", found.list_id),
            Description("version", found.version),
            *_entries(found),
            describe_chain(found.chain.raw, context, "signer's chain"),
        ),
        checks=(form, _signature_check(found, context)),
    )


def _entries(found: SignedList) -> tuple[Description, ...]:
    return (
        *(
            Description(f"newest {NAMES.get(list_id, list_id.text)} list", version)
            for list_id, version in found.versions.items()
        ),
        *(Description("revoked certificate", digest.hex()) for digest in found.digests),
    )


def _signature_check(found: SignedList, context: Context) -> Check:
    if not context.trust_anchors:
        return not_possible("signature", "no trust anchor is given")
    return verified(
        "signature",
        "it verifies under the key of its signer, whose chain is trusted",
        found.verify,
        ChainVerifier(context.trust_anchors),
        context.now,
    )
