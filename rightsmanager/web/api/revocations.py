"""`/revocations`: certificates that are refused."""

from base64 import b64decode
from typing import Annotated, Final, Literal

from flask_openapi3.models.tag import Tag
from pydantic import Field, PlainValidator, WithJsonSchema

from rightsmanager.admin.management import Management
from rightsmanager.admin.revocations import NewVersions, Target, find_target, parse_digest
from rightsmanager.errors import InvalidMessage, ServiceSpecific
from rightsmanager.protocol.formats.revocation import LISTS, NAMES, REVOCATION_INFO
from rightsmanager.protocol.wire import encode_base64
from rightsmanager.web.api.models import Base64, Path, Reply, Request, Time, refusing
from rightsmanager.web.api.routes import Routes

REVOCATIONS: Final = Tag(name="revocations", description="Certificates that are refused.")

Digest = Annotated[
    bytes,
    PlainValidator(refusing(parse_digest)),
    WithJsonSchema({"type": "string"}),
    Field(description="SHA-256 of the certificate, in hexadecimal digits or base64 for URLs."),
]
ListName = Literal["device", "pc", "application"]
MAX_CHAIN: Final = 48 * 1024


class DigestPath(Path):
    """The path of a certificate."""

    digest: Digest


class NewRevocation(Request):
    """A certificate to revoke: its digest, or the leaf of a chain."""

    digest: Digest | None = None
    chain: str | None = Field(None, max_length=MAX_CHAIN, description="Base64 of a chain.")
    list: ListName | None = Field(None, description="By the leaf's type if it is missing.")


class ListModel(Reply):
    """The newest version of a list."""

    name: str
    id: str = Field(description="Base64 of the list's id.")
    version: int
    changed_at: Time


class RevokedModel(Reply):
    """A certificate on a list."""

    digest: Base64
    list: str = Field(description="The list's name.")
    version: int = Field(description="The version of the list that added it.")
    since: Time
    allowed: bool = Field(description="Whether the allow list overrides it.")


class AllowedModel(Reply):
    """A certificate on the allow list."""

    digest: Base64
    since: Time


class RevocationModel(Reply):
    """The revocation lists."""

    lists: list[ListModel]
    revoked: list[RevokedModel]
    allowed: list[AllowedModel]


class VersionModel(Reply):
    """A new version of a list."""

    name: str
    version: int


class ChangedModel(Reply):
    """A certificate, and the lists with a new version."""

    digest: Base64
    versions: list[VersionModel]


def add_revocations(routes: Routes, management: Management) -> None:
    """Add the operations on revocations."""

    @routes.get("/revocations", "Show the revocation lists", RevocationModel)
    def show_revocations() -> RevocationModel:
        return RevocationModel.of(management.revocations)

    @routes.post("/revocations", "Revoke a certificate", ChangedModel, 409, status=201)
    def revoke(body: NewRevocation) -> ChangedModel:
        target = _target(body)
        list_id = LISTS[body.list or target.list_name]
        changed = management.revocation_editor().revoke(list_id, target.digest)
        return _changed(target.digest, changed)

    @routes.delete("/revocations/<digest>", "Take a certificate off every list", ChangedModel, 404)
    def unrevoke(path: DigestPath) -> ChangedModel:
        return _changed(path.digest, management.revocation_editor().unrevoke(path.digest))

    _add_allowed(routes, management)


def _add_allowed(routes: Routes, management: Management) -> None:
    path = "/revocations/allowed/<digest>"

    @routes.put(path, "Serve a certificate although it is revoked", ChangedModel, 409)
    def allow(path: DigestPath) -> ChangedModel:
        return _changed(path.digest, management.revocation_editor().allow(path.digest))

    @routes.delete(path, "Take a certificate off the allow list", ChangedModel, 404)
    def disallow(path: DigestPath) -> ChangedModel:
        return _changed(path.digest, management.revocation_editor().disallow(path.digest))


def _target(body: NewRevocation) -> Target:
    if (body.digest is None) == (body.chain is None):
        raise ServiceSpecific("expected either digest or chain")
    if body.digest is not None:
        return Target(body.digest)
    try:
        chain = b64decode(body.chain or "", validate=True)
    except ValueError:
        raise InvalidMessage("chain is not base64") from None
    return find_target(chain)


def _changed(digest: bytes, changed: NewVersions) -> ChangedModel:
    versions = {**changed.lists, REVOCATION_INFO: changed.information}
    shown = [VersionModel(name=NAMES[each], version=number) for each, number in versions.items()]
    return ChangedModel(digest=encode_base64(digest), versions=shown)
