"""The folders of a world's devices."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rightsmanager.testing.devices import Device


@dataclass(frozen=True, slots=True)
class Home:
    """The folders that a world's devices need."""

    data: Path | None
    """The server's data folder, for certificates; None if it is elsewhere."""
    passphrase: bytes | None = field(default=None, repr=False)
    _stack: ExitStack = field(default_factory=ExitStack, repr=False)
    _made: list[Path] = field(default_factory=list, repr=False)

    def next_folder(self) -> Path:
        """Return the folder of a next device, below one that `close` removes."""
        if not self._made:
            # In the data folder, which is removed after a test process was killed too.
            parent = None if self.data is None else self.data / "devices"
            if parent is not None:
                parent.mkdir(exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix="rightsmanager-", dir=parent))
            self._stack.callback(shutil.rmtree, made, ignore_errors=True)
            self._made.append(made)
        folder = self._made[0] / str(len(self._made))
        self._made.append(folder)
        return folder

    def opened(self, device: Device) -> Device:
        """Return a device, which `close` closes."""
        self._stack.callback(device.close)
        return device

    def at_close(self, close: Callable[[], None]) -> None:
        """Let `close` call this too."""
        self._stack.callback(close)

    def close(self) -> None:
        """Close the devices and remove their folders."""
        self._stack.close()
        self._made.clear()
