"""Effects on the licences of a reply, which is opened, changed and sealed again.

The operation works as ever and records what it issues. Its encryptions are observed on the way: the
x of the point that is encrypted is the integrity key(16) and the content key(16) of a licence. With
them the licence gets a right MAC again after the change, so that the reply is wrong in one part.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import Final

from rightsmanager.crypto import aes, p256
from rightsmanager.crypto.random import Rng
from rightsmanager.errors import InternalError
from rightsmanager.keyring.files import KeyFiles
from rightsmanager.keyring.loading import load_list_signer
from rightsmanager.lab.faults.choosing import Chosen
from rightsmanager.operations.context import Context
from rightsmanager.operations.request import Request
from rightsmanager.protocol.formats import xmr
from rightsmanager.protocol.formats.revocation import REVOCATION_INFO, build_list
from rightsmanager.protocol.formats.xmr.objects import (
    Cipher,
    Container,
    ContentKey,
    DeviceKey,
    Expiration,
    GlobalPolicy,
    RightsSettings,
    Signature,
    UplinkKid,
    XmrObject,
)
from rightsmanager.protocol.messages.challenge import open_license_challenge
from rightsmanager.protocol.messages.response import (
    LicenseResponse,
    RevocationList,
    open_license_response,
    seal_license_response,
)
from rightsmanager.protocol.wire import NEVER, Kid
from rightsmanager.protocol.xml.envelope import SoapVersion, parse_envelope

_HALF: Final = 16
_ENVELOPE: Final = (
    f'<soap:Envelope xmlns:soap="{SoapVersion.SOAP11.namespace}"><soap:Body>'.encode(),
    b"</soap:Body></soap:Envelope>",
)


@dataclass(frozen=True, slots=True)
class ObservedBackend:
    """EC ElGamal that remembers what it encrypted."""

    inner: p256.Backend
    points: list[bytes] = field(default_factory=list, repr=False)
    """The x of each message point, 32 bytes, in the order of the licences."""

    @property
    def name(self) -> str:
        """The name of the back end."""
        return self.inner.name

    def decrypt(self, key: p256.PrivateKey, ciphertext: bytes) -> bytes:
        """Decrypt as the back end does."""
        return self.inner.decrypt(key, ciphertext)

    def encrypt(self, public: p256.PublicKey, x: bytes, rng: Rng) -> bytes:
        """Encrypt as the back end does."""
        self.points.append(x)
        return self.inner.encrypt(public, x, rng)


# No slots: `cached_property` stores its value in the instance's dictionary.
@dataclass(frozen=True)
class OpenLicense:
    """A licence of a reply with the keys that it was sealed with."""

    raw: bytes = field(repr=False)
    secret: bytes = field(repr=False)
    """Integrity key(16), content key(16)."""
    root_key: bytes | None = field(default=None, repr=False)
    """The content key of its root, for a leaf."""

    @cached_property
    def license(self) -> xmr.License:
        """The licence, parsed."""
        return xmr.parse_license(self.raw)

    @property
    def is_transient(self) -> bool:
        """Whether the licence cannot persist."""
        return self.license.find(RightsSettings) is not None

    def seal(
        self,
        change: Callable[[XmrObject], XmrObject | None] = lambda each: each,
        rights_id: bytes | None = None,
        integrity_key: bytes | None = None,
    ) -> bytes:
        """Return the licence with changed objects and a right MAC; None removes an object."""
        objects = _changed(self.license.outer, change).objects
        return xmr.build_signed(
            rights_id or self.license.rights_id,
            tuple(each for each in objects if not isinstance(each, Signature)),
            integrity_key or self.secret[:_HALF],
        )


def _changed(container: Container, change: Callable[[XmrObject], XmrObject | None]) -> Container:
    objects = []
    for item in container.objects:
        inner = _changed(item, change) if isinstance(item, Container) else item
        if (changed := change(inner)) is not None:
            objects.append(changed)
    return replace(container, objects=tuple(objects))


@dataclass(frozen=True, slots=True)
class Changing:
    """A reply to AcquireLicense that a fault is to change."""

    context: Context
    request: Request
    chosen: Chosen
    keys: KeyFiles
    response: LicenseResponse
    licenses: tuple[OpenLicense, ...]

    def with_licenses(self, change: Callable[[OpenLicense], bytes]) -> LicenseResponse:
        """Return the reply with each licence changed."""
        return replace(self.response, licenses=tuple(map(change, self.licenses)))


Change = Callable[[Changing], LicenseResponse]


def change_reply(
    context: Context,
    request: Request,
    chosen: Chosen,
    keys: KeyFiles,
    acquire: Callable[[Context, Request], bytes],
) -> tuple[bytes, bool]:
    """Return the Body's child of the changed reply, and whether anything was changed.

    acquire: the operation. Raises its Refusal.
    """
    backend = ObservedBackend(context.backend)
    child = acquire(replace(context, backend=backend), request)
    opened = open_license_response(parse_envelope(child.join(_ENVELOPE)))
    response = opened.response
    licenses = _open_licenses(context, request, response.licenses, backend.points)
    changing = Changing(context, request, chosen, keys, response, licenses)
    changed = CHANGES[chosen.fault.kind](changing)
    key = None if opened.signature is None else context.signing.key
    return seal_license_response(changed, key), changed != response


def _open_licenses(
    context: Context, request: Request, raws: tuple[bytes, ...], points: list[bytes]
) -> tuple[OpenLicense, ...]:
    """Return the licences with their keys; points are those of bound licences, in order."""
    left = iter(points)
    parsed = [(raw, _content_key(raw)) for raw in raws]
    bound = {
        raw: OpenLicense(raw, next(left))
        for raw, content_key in parsed
        if content_key.cipher == Cipher.ECC_256
    }
    here = {_content_key(raw).kid: each.secret[_HALF:] for raw, each in bound.items()}
    return tuple(
        bound.get(raw) or _open_leaf(context, request, raw, content_key, here)
        for raw, content_key in parsed
    )


def _content_key(raw: bytes) -> ContentKey:
    found = xmr.parse_license(raw).find(ContentKey)
    if found is None:
        raise InternalError("a licence of this server has no content key")
    return found


def _open_leaf(
    context: Context,
    request: Request,
    raw: bytes,
    content_key: ContentKey,
    here: Mapping[Kid, bytes],
) -> OpenLicense:
    uplink = xmr.parse_license(raw).find(UplinkKid)
    if uplink is None:
        raise InternalError("a leaf licence of this server has no uplink KID")
    root = here.get(uplink.root_kid) or _stored_root(context, request, uplink.root_kid)
    return OpenLicense(raw, aes.ecb_decrypt(root, content_key.value), root)


def _stored_root(context: Context, request: Request, kid: Kid) -> bytes:
    with context.store.reading() as found:
        ciphertext = found.roots.find(request.progress.device, kid)
    if ciphertext is None:
        raise InternalError(f"the root licence for KID {kid.text} has no stored key")
    return context.content_keys.open_root(kid, ciphertext)


# --- changes --------------------------------------------------------------------------------------


def _spoil_mac(changing: Changing) -> LicenseResponse:
    return changing.with_licenses(lambda each: each.raw[:-1] + bytes([each.raw[-1] ^ 1]))


def _change_nonce(changing: Changing) -> LicenseResponse:
    def change(each: OpenLicense) -> bytes:
        if not each.is_transient:
            return each.raw
        return each.seal(rights_id=_inverted(each.license.rights_id))

    nonce = changing.response.nonce
    changed = changing.with_licenses(change)
    return changed if nonce is None else replace(changed, nonce=_inverted(nonce))


def _change_kid(changing: Changing) -> LicenseResponse:
    other = changing.chosen.fault.optional("other_kid")

    def change(item: XmrObject) -> XmrObject:
        if not isinstance(item, ContentKey):
            return item
        kid = Kid(_inverted(item.kid.raw)) if other is None else Kid.from_text(other)
        return replace(item, kid=kid)

    return changing.with_licenses(lambda each: each.seal(change))


def _change_key(changing: Changing) -> LicenseResponse:
    other = changing.chosen.fault.optional("other_kid")
    if other is None:
        return changing.with_licenses(
            lambda each: _with_key(changing, each, sha256(each.secret[_HALF:]).digest()[:_HALF])
        )
    context = changing.context
    with context.store.reading() as found:
        key = context.content_keys.find(found, Kid.from_text(other)).key
    return changing.with_licenses(lambda each: _with_key(changing, each, key))


def _with_key(changing: Changing, each: OpenLicense, key: bytes) -> bytes:
    """Return a licence that holds another content key of 16 bytes."""
    context = changing.context
    if each.root_key is not None:
        secret = each.secret[:_HALF] + key
        value = aes.ecb_encrypt(each.root_key, secret)
    else:
        holder = each.license.find(DeviceKey)
        if holder is None:
            raise InternalError("a licence of this server has no device key")
        secret = p256.point_x_with_tail(key, context.rng)
        value = context.backend.encrypt(p256.PublicKey(holder.key), secret, context.rng)

    def change(item: XmrObject) -> XmrObject:
        return replace(item, value=value) if isinstance(item, ContentKey) else item

    return each.seal(change, integrity_key=secret[:_HALF])


def _expire(changing: Changing) -> LicenseResponse:
    end = max(1, changing.context.clock() - changing.chosen.fault.whole("by_seconds"))
    return _with_period(changing, Expiration(0, end))


def _delay(changing: Changing) -> LicenseResponse:
    begin = changing.context.clock() + changing.chosen.fault.whole("by_seconds")
    return _with_period(changing, Expiration(min(begin, NEVER - 1), NEVER))


def _with_period(changing: Changing, period: Expiration) -> LicenseResponse:
    def change(item: XmrObject) -> XmrObject | None:
        if isinstance(item, Expiration):
            return None
        if isinstance(item, GlobalPolicy):
            # First: some clients read no global policy whose last object they do not know.
            return replace(item, objects=(period, *item.objects))
        return item

    return changing.with_licenses(lambda each: each.seal(change))


def _reverse(changing: Changing) -> LicenseResponse:
    return replace(changing.response, licenses=changing.response.licenses[::-1])


def _leave_out(changing: Changing) -> LicenseResponse:
    licenses = changing.response.licenses
    is_first = changing.chosen.fault.text("which") == "first"
    return replace(changing.response, licenses=licenses[1:] if is_first else licenses[:-1])


def _add_stale_list(changing: Changing) -> LicenseResponse:
    context, signer = changing.context, load_list_signer(changing.keys)
    challenge = open_license_challenge(
        changing.request.envelope, context.server_keys, context.backend, context.reader
    )
    held = {each.list_id: each.version for each in challenge.revocation_lists}
    version = max(0, held.get(REVOCATION_INFO, 0) - 1)
    data = build_list(REVOCATION_INFO, version, (), signer.chain, signer.key)
    stale = RevocationList(REVOCATION_INFO, data)
    others = (
        each for each in changing.response.revocation_lists if each.list_id != REVOCATION_INFO
    )
    return replace(changing.response, revocation_lists=(stale, *others))


def _inverted(data: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in data)


CHANGES: Final[Mapping[str, Change]] = {
    "license-mac": _spoil_mac,
    "wrong-nonce": _change_nonce,
    "license-kid": _change_kid,
    "content-key": _change_key,
    "license-expired": _expire,
    "license-not-yet-valid": _delay,
    "license-order": _reverse,
    "license-missing": _leave_out,
    "stale-revocation-list": _add_stale_list,
}
"""The change of each toxic of licences."""
