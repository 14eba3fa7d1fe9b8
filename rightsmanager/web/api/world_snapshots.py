"""`/worlds/NAME/snapshots`: copies of a world, to which it can return."""

from pydantic import Field

from rightsmanager.lab.snapshots import SnapshotFacts, Snapshots
from rightsmanager.web.api.models import Name, OptionalRequest, Reply, Time, time_text
from rightsmanager.web.api.routes import Routes
from rightsmanager.web.api.worlds import WorldModel, WorldPath, WorldsParts


class NewSnapshotRequest(OptionalRequest):
    """A snapshot to make."""

    name: str | None = Field(None, max_length=1024, description="Made up if it is missing.")


class SnapshotPath(WorldPath):
    """The path of a snapshot."""

    snapshot: str


class SnapshotModel(Reply):
    """A snapshot."""

    name: Name
    created_at: Time
    revision: str = Field(description="Of the database's schema; another one is not restored.")
    database: str = Field(description="`sqlite` or `postgresql`; another one is not restored.")


class SnapshotsModel(Reply):
    """The snapshots of a world by name."""

    snapshots: list[SnapshotModel]


def add_world_snapshots(routes: Routes, parts: WorldsParts) -> None:
    """Add the operations on snapshots of worlds."""
    snapshots = "/worlds/<name>/snapshots"

    @routes.post(snapshots, "Make a snapshot of a world", SnapshotModel, 404, 409, status=201)
    def create_snapshot(path: WorldPath, body: NewSnapshotRequest) -> SnapshotModel:
        return _model(Snapshots(parts.worlds).create(path.name, body.name))

    @routes.get(snapshots, "List the snapshots of a world", SnapshotsModel, 404)
    def list_snapshots(path: WorldPath) -> SnapshotsModel:
        found = Snapshots(parts.worlds).find_all(path.name)
        return SnapshotsModel(snapshots=[_model(each) for each in found])

    restore = f"{snapshots}/<snapshot>/restore"

    @routes.post(restore, "Return a world to a snapshot", WorldModel, 404, 409)
    def restore_snapshot(path: SnapshotPath) -> WorldModel:
        return parts.model(Snapshots(parts.worlds).restore(path.name, path.snapshot))

    @routes.remove(f"{snapshots}/<snapshot>", "Remove a snapshot", 404)
    def delete_snapshot(path: SnapshotPath) -> None:
        Snapshots(parts.worlds).delete(path.name, path.snapshot)


def _model(facts: SnapshotFacts) -> SnapshotModel:
    return SnapshotModel(
        name=facts.name,
        created_at=time_text(facts.created_at),
        revision=facts.revision,
        database=facts.kind,
    )
