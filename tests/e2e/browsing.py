"""Pages in headless Chromium: walks them, and collects everything that is wrong with one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from tests.e2e.test_browser import WITHOUT_NETWORK, program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Playwright, Request, ViewportSize

AXE: Final = Path(__file__).parent / "vendor" / "axe.min.js"
SCREENSHOTS: Final = Path(__file__).parents[2] / "build" / "screenshots"
"""The folder of screenshots, which git ignores."""
SEVERE: Final = {"serious", "critical"}
DESK: Final[ViewportSize] = {"width": 1280, "height": 900}
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
Scheme = Literal["light", "dark"]
LOOKS: Final[tuple[tuple[Scheme, ViewportSize], ...]] = (("light", DESK), ("dark", PHONE))
"""The colours and sizes in which each page is checked."""
RUN_AXE: Final = """async rules => (await axe.run(document, {
        resultTypes: ['violations'], ...(rules && {runOnly: rules}),
    })).violations.map(each => ({
        id: each.id, impact: each.impact,
        nodes: each.nodes.map(node => node.html + ' ' + node.failureSummary),
    }))"""
BY_LOOK: Final = ("color-contrast", "scrollable-region-focusable", "target-size")
"""Rules of axe whose outcome depends on colours or on the screen."""
WIDTHS: Final = "() => [document.documentElement.scrollWidth, innerWidth]"


def launch(playwright: Playwright) -> Browser:
    """Return a started Chromium."""
    return playwright.chromium.launch(executable_path=program(), args=list(WITHOUT_NETWORK))


def screenshot_folder() -> Path:
    """Return the folder to keep screenshots in, which the variable SCREENSHOTS may name."""
    folder = Path(os.environ.get("SCREENSHOTS") or SCREENSHOTS)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def axe_source() -> str:
    """Return the script of axe-core."""
    return AXE.read_text("utf-8")


@dataclass
class Visitor:
    """A browser's page that notes errors of its console and requests to elsewhere.

    It keeps a picture of each page that it checks, in each look.
    """

    page: Page
    origin: str
    folder: Path = field(default_factory=screenshot_folder)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Not by a script element: the page's policy allows only the server's own files.
        self.page.add_init_script(axe_source())
        self.page.on("console", lambda said: self._note_console(said.type, said.text))
        self.page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        self.page.on("request", self._note_request)

    def visit(self, path: str, *, status: int = 200, name: str = "") -> None:
        """Open a page and check it as a whole; `name` is that of its pictures."""
        answer = self.page.goto(f"{self.origin}{path}", wait_until="load")
        assert answer is not None
        assert answer.status == status, path
        self.check(name or path)

    def check(self, name: str) -> None:
        """Check the page that is shown: by all rules, and by some as it looks elsewhere."""
        rules: tuple[str, ...] | None = None
        for scheme, size in LOOKS:
            self._look(scheme, size)
            self.problems += [f"{name} ({scheme}): {each}" for each in self._findings(rules)]
            needed, shown = self.page.evaluate(WIDTHS)
            if needed > shown:
                self.problems.append(f"{name}: {needed} pixels wide on a screen of {shown}")
            self._draw(f"{name} {scheme}")
            rules = BY_LOOK
        self._look(*LOOKS[0])

    def _look(self, scheme: Scheme, size: ViewportSize) -> None:
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size(size)

    def _findings(self, rules: tuple[str, ...] | None) -> Iterator[str]:
        """Yield what axe finds serious or critical."""
        found: list[dict[str, Any]] = self.page.evaluate(RUN_AXE, rules)
        for each in found:
            if each["impact"] in SEVERE:
                yield f"axe {each['id']} ({each['impact']}): {each['nodes'][:3]}"

    def _draw(self, name: str) -> None:
        """Keep a screenshot of what the screen shows."""
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        # A JPEG of the viewport costs 55 ms; a PNG of the whole page costs several times as much.
        self.page.screenshot(path=self.folder / f"{plain}.jpg", type="jpeg", quality=60)

    def _note_console(self, kind: str, text: str) -> None:
        # The browser reports each page with an error status; these are asked for.
        if kind in {"error", "warning"} and "the server responded with a status of" not in text:
            self.problems.append(f"console: {text}")

    def _note_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data" and f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.problems.append(f"request to elsewhere: {request.url}")
