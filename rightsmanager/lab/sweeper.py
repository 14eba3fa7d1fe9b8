"""A thread of each worker that closes idle worlds and removes expired ones."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from rightsmanager.lab import locks
from rightsmanager.lab.worlds import Worlds

INTERVAL_SECONDS: Final = 1.0
"""The interval at which the open worlds are looked at."""
SCAN_SECONDS: Final = 0.02
"""The time of each interval for which folders are looked through: thousands take many intervals."""

Note = Callable[[str, BaseException], None]
"""Logs a failure: where it happened, and the exception."""


@dataclass(eq=False)
class Sweeper:
    """The thread; it starts with the first world of a process."""

    worlds: Worlds
    note: Note
    _wake: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _process: int = 0
    _names: list[str] = field(default_factory=list)
    """The worlds whose folders are yet to be looked through."""
    _is_collected: bool = False
    _next_scan: float = 0.0

    def start(self) -> None:
        """Start the thread, unless this process has it."""
        if self._process == os.getpid():
            return
        with self._lock:
            if self._process != os.getpid():
                self._process = os.getpid()
                threading.Thread(target=self._run, name="worlds", daemon=True).start()

    def wake(self) -> None:
        """Wake the thread, to close worlds now."""
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait(INTERVAL_SECONDS)
            self._wake.clear()
            try:
                self.worlds.sweep_open()
                self.worlds.prepare()
                if time.monotonic() >= self._next_scan:
                    self._next_scan = time.monotonic() + INTERVAL_SECONDS
                    self._scan()
            except Exception as error:  # noqa: BLE001 -- one failure must not end the thread
                self.note("the worlds", error)

    def _scan(self) -> None:
        """Look through some folders, unless another worker does so now."""
        lock = locks.take(self.worlds.folders.sweep_lock)
        if lock is None:
            return
        until = time.monotonic() + SCAN_SECONDS
        try:
            if not self._is_collected:
                self.worlds.collect()
                self._is_collected = True
            self._names = self._names or self.worlds.folders.find_names()
            while self._names and time.monotonic() < until:
                self.worlds.sweep_folder(self._names.pop())
        finally:
            os.close(lock)
