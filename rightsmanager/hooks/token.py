"""Lets a request pass that carries a signed token: a JWT in an HTTP header or in CustomData.

    [hooks]
    make = "rightsmanager.hooks.token:make"

The token stands in the header `Authorization: Bearer TOKEN` or is the CustomData of the challenge.
It is signed by HMAC-SHA-256 with the secret of the data folder, which `rightsmanager request-token`
uses too, and says

    exp     until when it is good, Unix seconds; required
    sub     whom it was given to
    kids    the KIDs it is good for, as GUIDs; all if absent

Source: RFC 7519 (JWT), RFC 6750 (Bearer).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jwt

from rightsmanager.errors import InternalError, ServiceSpecific
from rightsmanager.hooks.hook_set import Facts, HookSet
from rightsmanager.protocol.wire import Kid

ALGORITHM: Final = "HS256"
SECRET_FILE: Final = Path("keyring") / "request-token.secret"
"""Under the data folder; its bytes are the secret."""
_BEARER: Final = "bearer "


def make(options: Mapping[str, str]) -> HookSet:
    """Return the callables; the option `secret_file` may name another file for the secret."""
    secret = read_secret(Path(options.get("secret_file") or Path(options["data"]) / SECRET_FILE))

    def authorise(facts: Facts) -> None:
        refuse_token(verify(_token(facts), secret), facts.kids)

    return HookSet(authorise=authorise)


def read_secret(file: Path) -> bytes:
    """Return the secret of a file; raises InternalError where it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise InternalError(f"{file} cannot be read: {error.strerror}") from None


def sign(secret: bytes, subject: str, expires: int, kids: Sequence[Kid]) -> str:
    """Return a token that is good until `expires` (Unix seconds) for these KIDs, or for all."""
    claims: dict[str, Any] = {"sub": subject, "exp": expires}
    if kids:
        claims["kids"] = [kid.text for kid in kids]
    return jwt.encode(claims, secret, ALGORITHM)


def verify(token: str, secret: bytes) -> Mapping[str, Any]:
    """Return what a token says; raises ServiceSpecific if it is none, not ours or out of date."""
    try:
        claims: Mapping[str, Any] = jwt.decode(
            token, secret, [ALGORITHM], options={"require": ["exp"]}
        )
    except jwt.InvalidTokenError as error:
        raise ServiceSpecific(f"the request's token is refused: {error}") from None
    return claims


def refuse_token(claims: Mapping[str, Any], kids: Sequence[Kid]) -> None:
    """Refuse a token that is not good for all of the KIDs; raises ServiceSpecific."""
    good_for = claims.get("kids")
    if good_for is None:
        return
    for kid in kids:
        if kid.text not in good_for:
            raise ServiceSpecific(f"the request's token is not good for KID {kid.text}")


def _token(facts: Facts) -> str:
    header = facts.headers.get("authorization", "")
    if header.lower().startswith(_BEARER):
        return header[len(_BEARER) :].strip()
    if facts.custom_data:
        return facts.custom_data.strip()
    raise ServiceSpecific(
        "the request has no token, expected one in Authorization: Bearer or in CustomData"
    )
