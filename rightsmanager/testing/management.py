"""The content keys, metering ids and accounts of a world, by its management API."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rightsmanager.testing.control import Control, Facts, given, segment


@dataclass(frozen=True, slots=True)
class Content:
    """The content keys of a world; KIDs without one get a key from the key seed."""

    control: Control = field(repr=False)
    api: str

    def add(self, kid: str, key: bytes | str, **options: object) -> Facts:
        """Store a content key, 16 bytes, 32 hexadecimal digits or base64, for a KID.

        options: `type` (`aesctr` or `aescbc`), `program` and `period`.
        """
        text = key.hex() if isinstance(key, bytes) else key
        body = {"kid": kid, "key": text, **options}
        added: Facts = self.control.post(f"{self.api}/content-keys", body)
        return added

    def list(self, **filters: object) -> tuple[Facts, ...]:
        """Return the stored keys without their values, by `program`, `origin` or `type`."""
        return self.control.get_all(f"{self.api}/content-keys", "content_keys", **filters)

    def remove(self, kid: str) -> None:
        """Remove a content key."""
        self.control.delete(f"{self.api}/content-keys/{segment(kid)}")


@dataclass(frozen=True, slots=True)
class Metering:
    """The metering ids of a world, and the usage that devices reported."""

    control: Control = field(repr=False)
    api: str

    @property
    def mid(self) -> str:
        """The GUID of the server's own metering id."""
        return str(self.ids()[0]["mid"])

    def ids(self) -> tuple[Facts, ...]:
        """Return the metering ids, the server's own first."""
        return tuple(self.control.get(f"{self.api}/metering/ids")["metering_ids"])

    def create(self, name: str = "", **options: object) -> Facts:
        """Create a metering id with its own certificate."""
        made: Facts = self.control.post(f"{self.api}/metering/ids", {"name": name, **options})
        return made

    def usage(self, mid: str | None = None, by: str = "kid") -> Mapping[str, int]:
        """Return the sum of reported counts, by `kid`, `action`, `day` or `device`."""
        # All days: a world's clock may be at any time.
        days = {"from": "1970-01-01", "to": "2106-02-07"}
        found = self.control.get(f"{self.api}/metering/usage", mid=mid, by=by, **days)
        counts: dict[str, int] = {}
        for each in found["totals"]:
            group = str(each["group"] or each["action"])
            counts[group] = counts.get(group, 0) + each["value"]
        return counts


@dataclass(frozen=True, slots=True)
class Domains:
    """The accounts of a world, each with its domain and members."""

    control: Control = field(repr=False)
    api: str

    def create(self, account: str | None = None, **options: object) -> Facts:
        """Create an account and return it; without an id it gets a random one.

        options: `friendly_name`, `url` and `limit`.
        """
        body = given({"account_id": account, **options})
        made: Facts = self.control.post(f"{self.api}/domains", body)
        return made

    def list(self) -> tuple[Facts, ...]:
        """Return the accounts."""
        return self.control.get_all(f"{self.api}/domains", "accounts")

    def show(self, account: str) -> Facts:
        """Return an account with its revisions and devices."""
        found: Facts = self.control.get(f"{self.api}/domains/{segment(account)}")
        return found

    def change(self, account: str, **options: object) -> Facts:
        """Change `friendly_name`, `url`, `limit` or `closed`."""
        changed: Facts = self.control.patch(f"{self.api}/domains/{segment(account)}", options)
        return changed

    def renew(self, account: str) -> Facts:
        """Create the next revision of a domain."""
        renewed: Facts = self.control.post(f"{self.api}/domains/{segment(account)}/renew")
        return renewed

    def remove(self, account: str, device: str) -> Facts:
        """Remove a member, by its device id, and renew the domain."""
        path = f"{self.api}/domains/{segment(account)}/members/{_url_base64(device)}"
        removed: Facts = self.control.delete(path)
        return removed


def _url_base64(device: str) -> str:
    return device.replace("+", "-").replace("/", "_").rstrip("=")
