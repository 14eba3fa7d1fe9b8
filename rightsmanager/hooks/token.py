"""Authorisation by a signed token: a JWT in an HTTP header, the query or CustomData.

    [hooks]
    make = "rightsmanager.hooks.token:make"

The token is in the header `Authorization: Bearer TOKEN`, in the query under the name that the
option `query_name` gives, or is the CustomData of the challenge. AcquireLicense needs one, and the
operations that the option `operations` names in its place, separated by blanks.
It is signed by HMAC-SHA-256 with the secret of the data folder, which `rightsmanager request-token`
also uses. Its claims:

    exp     expiry in Unix seconds; required
    sub     the subject that it was issued to
    kids    the KIDs that it is valid for, as GUIDs; all if absent

A packager that names a program needs a token for all KIDs: which one the program has is not known
from the request.

Source: RFC 7519 (JWT), RFC 6750 (Bearer).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jwt

from rightsmanager.errors import InternalError, ServiceSpecific
from rightsmanager.hooks.facts import KEY_ENDPOINT, Facts
from rightsmanager.hooks.hook_set import HookSet
from rightsmanager.policy.grants import Grant
from rightsmanager.protocol.messages.operations import OPERATIONS
from rightsmanager.protocol.wire import Kid

ALGORITHM: Final = "HS256"
SECRET_FILE: Final = Path("keyring") / "request-token.secret"
"""The file of the secret, relative to the data folder."""
ACQUIRE_LICENSE: Final = "AcquireLicense"
_BEARER: Final = "bearer "


def make(options: Mapping[str, str]) -> HookSet:
    """Return the hooks.

    The option `secret_file` may name another file of the secret. With `stream_user = "subject"` the
    streams of all devices of a token's subject are counted together.
    """
    secret = read_secret(Path(options.get("secret_file") or Path(options["data"]) / SECRET_FILE))
    query_name = options.get("query_name", "")
    operations = _operations(options)

    def authorise(facts: Facts) -> None:
        if facts.operation in operations:
            refuse_token(verify(_token(facts, query_name), secret), facts)

    def stream_user(facts: Facts, _grant: Grant) -> str | None:
        subject = verify(_token(facts, query_name), secret).get("sub")
        return None if subject is None else str(subject)

    by_subject = options.get("stream_user") == "subject"
    return HookSet(authorise=authorise, stream_user=stream_user if by_subject else None)


def _operations(options: Mapping[str, str]) -> frozenset[str]:
    named = frozenset(options.get("operations", ACQUIRE_LICENSE).split())
    known = {*OPERATIONS, KEY_ENDPOINT}
    if not named <= known:
        raise InternalError(
            f"hooks.options.operations is {' '.join(sorted(named))!r}, expected some of "
            + ", ".join(sorted(known))
        )
    return named


def read_secret(file: Path) -> bytes:
    """Return the secret in a file; raises InternalError if it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise InternalError(
            f"{file} cannot be read: {error.strerror}; rightsmanager request-token creates it"
        ) from None


def sign(secret: bytes, subject: str, expires: int, kids: Sequence[Kid]) -> str:
    """Return a token for these KIDs, or for all, that expires at `expires` (Unix seconds)."""
    claims: dict[str, Any] = {"sub": subject, "exp": expires}
    if kids:
        claims["kids"] = [kid.text for kid in kids]
    return jwt.encode(claims, secret, ALGORITHM)


def verify(token: str, secret: bytes) -> Mapping[str, Any]:
    """Return the claims of a token; raises ServiceSpecific if it is invalid or expired."""
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token, secret, [ALGORITHM], options={"require": ["exp"]}
        )
    except jwt.InvalidTokenError as error:
        raise ServiceSpecific(f"the request's token is refused: {error}") from None
    return claims


def refuse_token(claims: Mapping[str, Any], facts: Facts) -> None:
    """Raise ServiceSpecific unless a token is valid for all keys of a request."""
    allowed = claims.get("kids")
    if allowed is None:
        return
    for key in facts.keys:
        if key.program is not None:
            raise ServiceSpecific(
                "the request's token is valid for some KIDs alone, expected one for all of them: "
                f"the request names the program {key.program[:64]!r}"
            )
    for kid in (*facts.kids, *(key.kid for key in facts.keys if key.kid is not None)):
        if kid.text not in allowed:
            raise ServiceSpecific(f"the request's token is not valid for KID {kid.text}")


def _token(facts: Facts, query_name: str) -> str:
    header = facts.headers.get("authorization", "")
    if header.lower().startswith(_BEARER):
        return header[len(_BEARER) :].strip()
    if query_name and (given := facts.query_values.get(query_name)):
        return given[0].strip()
    if facts.custom_data:
        return facts.custom_data.strip()
    raise ServiceSpecific(
        "the request has no token, expected one in Authorization: Bearer"
        + (f", in the query as {query_name}," if query_name else "")
        + " or in CustomData"
    )
