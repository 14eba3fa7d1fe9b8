"""The table of contents: every page, every act and the menu of the console."""

from collections.abc import Callable, Mapping
from typing import Final

from rightsmanager.web.console.acts import OperatorAct
from rightsmanager.web.console.blocks import Asked, View
from rightsmanager.web.console.certificates import show_certificate, show_certificates
from rightsmanager.web.console.configuration import show_settings
from rightsmanager.web.console.decode import show_decode
from rightsmanager.web.console.domains import DOMAIN_ACTS, show_domain, show_domains
from rightsmanager.web.console.overview import show_overview
from rightsmanager.web.console.parts import Parts
from rightsmanager.web.look import MenuEntry, MenuGroup

Page = Callable[[Parts, Asked], View]

PAGES: Final[Mapping[str, Page]] = {
    "": show_overview,
    "domains": show_domains,
    "domains/<account>": show_domain,
    "certificates": show_certificates,
    "certificates/<digest>": show_certificate,
    "settings": show_settings,
    "decode": show_decode,
}
"""The pages by their path below the console's."""

ACTS: Final[Mapping[str, OperatorAct]] = {**DOMAIN_ACTS}
"""The acts by name."""


def _group(title: str, *entries: tuple[str, str]) -> MenuGroup:
    return MenuGroup(
        title, tuple(MenuEntry(f"console/{path}".rstrip("/"), name) for path, name in entries)
    )


MENU: Final = (
    _group("", ("", "Overview"), ("decode", "Decode")),
    _group("Records", ("domains", "Domains")),
    _group("Server", ("certificates", "Certificates"), ("settings", "Settings")),
)
"""The menu: pages that are not of one thing."""
