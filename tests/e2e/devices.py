"""Devices driven by their commands, run in this process because that is faster."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner, Result

from rightsmanager.cli import rightsmanager
from rightsmanager.protocol.wire import Kid

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class CommandedDevice:
    """A device and its folder."""

    folder: Path

    def invoke(self, name: str, *arguments: str) -> Result:
        """Run a command, successful or not."""
        command = ["device", name, "--device", str(self.folder), *arguments]
        return CliRunner().invoke(rightsmanager, command)

    def run(self, name: str, *arguments: str) -> str:
        """Return the output of a command; raises its exception."""
        ran = self.invoke(name, *arguments)
        if ran.exception is not None:
            raise ran.exception
        return ran.stdout

    def json(self, name: str, *arguments: str) -> Any:  # noqa: ANN401 -- JSON of any shape
        """Return the output of a command with --json."""
        return json.loads(self.run(name, *arguments, "--json"))


def make_device(data: Path, folder: Path) -> CommandedDevice:
    """Return a new device of the server in a data folder."""
    made = CliRunner().invoke(rightsmanager, ["device", "new", "--data", str(data), str(folder)])
    assert made.exit_code == 0, made.output
    return CommandedDevice(folder)


def text(kid: str) -> str:
    """Return a KID in base64, given as a GUID."""
    return Kid.from_base64(kid).text
