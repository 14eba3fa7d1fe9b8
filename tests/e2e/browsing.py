"""Pages in headless Chromium: walks them, and collects everything that is wrong with one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tests.e2e.test_browser import WITHOUT_NETWORK, program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Playwright, Request, ViewportSize

AXE: Final = Path(__file__).parent / "vendor" / "axe.min.js"
SEVERE: Final = {"serious", "critical"}
DESK: Final[ViewportSize] = {"width": 1280, "height": 900}
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
SCHEMES: Final = ("light", "dark")
RUN_AXE: Final = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
    .map(each => ({id: each.id, impact: each.impact,
                   nodes: each.nodes.map(node => node.html + ' ' + node.failureSummary)}))"""
SCHEME: Final = "matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'"
WIDTHS: Final = "() => [document.documentElement.scrollWidth, innerWidth]"


def launch(playwright: Playwright) -> Browser:
    """Return a started Chromium."""
    return playwright.chromium.launch(executable_path=program(), args=list(WITHOUT_NETWORK))


def screenshot_folder(fallback: Path) -> Path:
    """Return the folder that screenshots are kept in."""
    folder = Path(os.environ.get("SCREENSHOTS") or fallback)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def axe_source() -> str:
    """Return the script of axe-core."""
    return AXE.read_text("utf-8")


@dataclass
class Visitor:
    """A browser's page that notes errors of its console and requests to elsewhere."""

    page: Page
    origin: str
    folder: Path
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda said: self._note_console(said.type, said.text))
        self.page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        self.page.on("request", self._note_request)

    def visit(self, path: str, *, status: int = 200, name: str = "") -> None:
        """Open a page, check it as a whole, and keep its screenshot."""
        answer = self.page.goto(f"{self.origin}{path}", wait_until="load")
        assert answer is not None
        assert answer.status == status, path
        self.check(name or path)

    def check(self, name: str) -> None:
        """Check the page that is shown, and keep its screenshot."""
        self.page.screenshot(path=self._file(name), full_page=True)
        self.problems += [f"{name}: {each}" for each in self.findings()]
        needed, shown = self.page.evaluate(WIDTHS)
        if needed > shown:
            self.problems.append(f"{name}: {needed} pixels wide on a screen of {shown}")

    def findings(self) -> Iterator[str]:
        """Yield what axe finds serious or critical."""
        # Not by a script element: the page's policy allows only the server's own files.
        self.page.evaluate(axe_source())
        found: list[dict[str, Any]] = self.page.evaluate(RUN_AXE)
        for each in found:
            if each["impact"] in SEVERE:
                yield f"axe {each['id']} ({each['impact']}): {each['nodes'][:3]}"

    def _note_console(self, kind: str, text: str) -> None:
        # The browser reports each page with an error status; these are asked for.
        if kind in {"error", "warning"} and "the server responded with a status of" not in text:
            self.problems.append(f"console: {text}")

    def _note_request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data" and f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.problems.append(f"request to elsewhere: {request.url}")

    def _file(self, name: str) -> Path:
        width = self.page.viewport_size["width"] if self.page.viewport_size else 0
        scheme = (
            "dark"
            if self.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
            else "light"
        )
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80] or "home"
        return self.folder / f"{plain}.{scheme}.{width}.png"
