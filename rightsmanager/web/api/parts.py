"""Everything that the operations of the API call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from rightsmanager.admin.management import Management
from rightsmanager.inspection import Description
from rightsmanager.inspection.explanation import Explanation
from rightsmanager.journal.journal import Journal
from rightsmanager.journal.replay import Post
from rightsmanager.lab.worlds import Worlds
from rightsmanager.settings_loading import SettingInForce
from rightsmanager.web.http import Addressing


class Describe(Protocol):
    """Describes anything of PlayReady."""

    def __call__(self, data: bytes, *, show_keys: bool = False) -> Description:
        """Return the description; raises InvalidMessage for bytes that are nothing of it."""


class Explain(Protocol):
    """Explains a request for licences."""

    def __call__(self, *, asked: str, custom_data: str, kids: str, level: str) -> Explanation:
        """Return the explanation; no text raises."""


Repeat = Callable[[str], Post]
"""Returns a function that answers a request of a client's address, without a network."""
RecordAct = Callable[[str, str, Mapping[str, str], str], None]
"""Records the act of an operator: the caller, the act, its subject, and the refusal's text."""


@dataclass(frozen=True, slots=True)
class ApiParts:
    """The acts of operators, and what describes a server."""

    management: Management
    settings: tuple[SettingInForce, ...]
    describe: Describe = field(repr=False)
    explain: Explain = field(repr=False)
    journal: Journal
    repeat: Repeat = field(repr=False)
    record_act: RecordAct = field(repr=False)
    worlds: Worlds | None
    """The worlds of the server, None if it has none."""
    addressing: Addressing
