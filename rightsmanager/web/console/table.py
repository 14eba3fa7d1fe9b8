"""The table of contents: every page, every act and the menu of the console."""

from collections.abc import Callable, Mapping
from typing import Final

from rightsmanager.web.console.acts import OperatorAct
from rightsmanager.web.console.blocks import Asked, View
from rightsmanager.web.console.certificates import show_certificate, show_certificates
from rightsmanager.web.console.configuration import show_settings
from rightsmanager.web.console.decode import show_decode
from rightsmanager.web.console.devices import show_device, show_devices
from rightsmanager.web.console.domains import DOMAIN_ACTS, show_domain, show_domains
from rightsmanager.web.console.entry import JOURNAL_ACTS, show_entry
from rightsmanager.web.console.issued import show_licenses, show_sessions
from rightsmanager.web.console.journal import show_journal
from rightsmanager.web.console.keys import KEY_ACTS, show_key, show_keys
from rightsmanager.web.console.maintenance import MAINTENANCE_ACTS
from rightsmanager.web.console.metering import METERING_ACTS, show_metering, show_metering_ids
from rightsmanager.web.console.overview import show_overview
from rightsmanager.web.console.parts import Parts
from rightsmanager.web.console.revocations import REVOCATION_ACTS, show_revocations
from rightsmanager.web.console.streams import STREAM_ACTS, show_streams
from rightsmanager.web.console.tokens import TOKEN_ACTS, show_tokens
from rightsmanager.web.look import MenuEntry, MenuGroup

Page = Callable[[Parts, Asked], View]

PAGES: Final[Mapping[str, Page]] = {
    "": show_overview,
    "certificates": show_certificates,
    "certificates/<digest>": show_certificate,
    "decode": show_decode,
    "devices": show_devices,
    "devices/<device>": show_device,
    "domains": show_domains,
    "domains/<account>": show_domain,
    "journal": show_journal,
    "journal/<id>": show_entry,
    "keys": show_keys,
    "keys/<kid>": show_key,
    "licenses": show_licenses,
    "metering": show_metering,
    "metering/ids": show_metering_ids,
    "revocations": show_revocations,
    "sessions": show_sessions,
    "settings": show_settings,
    "streams": show_streams,
    "tokens": show_tokens,
}
"""The pages by their path below the console's."""

ACTS: Final[Mapping[str, OperatorAct]] = {
    **JOURNAL_ACTS,
    **DOMAIN_ACTS,
    **KEY_ACTS,
    **METERING_ACTS,
    **STREAM_ACTS,
    **REVOCATION_ACTS,
    **TOKEN_ACTS,
    **MAINTENANCE_ACTS,
}
"""The acts by name."""


def _group(title: str, *entries: tuple[str, str]) -> MenuGroup:
    return MenuGroup(
        title, tuple(MenuEntry(f"console/{path}".rstrip("/"), name) for path, name in entries)
    )


MENU: Final = (
    _group("", ("", "Overview"), ("journal", "Journal"), ("decode", "Decode")),
    _group(
        "Records",
        ("devices", "Devices"),
        ("licenses", "Licences"),
        ("keys", "Content keys"),
        ("domains", "Domains"),
        ("metering", "Metering"),
        ("streams", "Streams"),
        ("sessions", "Sessions"),
    ),
    _group(
        "Server",
        ("revocations", "Revocations"),
        ("certificates", "Certificates"),
        ("tokens", "API tokens"),
        ("settings", "Settings"),
    ),
)
"""The menu: the pages that are not of one thing."""
