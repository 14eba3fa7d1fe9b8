"""One writer thread for many journals: those of the worlds of a worker.

It keeps the connections of a few journals that were written last. Entries of a quiet journal are
written at once, so that a test that asks for them need not wait; while many come, they gather as
in the recorder of one journal. What a journal's database refuses twice is dropped: the others must
not wait for it.
"""

import atexit
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from rightsmanager.journal.counts import CountFile
from rightsmanager.journal.recorder import (
    BATCH_SECONDS,
    END_SECONDS,
    IDLE_SECONDS,
    Note,
    Queued,
    Recorder,
    RecorderOptions,
    Session,
)
from rightsmanager.store.journal.database import JournalDatabase

QUICK_SECONDS: Final = 0.01
"""The time for which the first entries gather."""
QUICK_ENTRIES: Final = 2
"""The most entries that are written after that; more of them gather for longer."""


class SharedWriter:
    """Writes the journals of many recorders, each in its turn."""

    def __init__(self, max_open: int) -> None:
        """Keep the connections of at most so many journals."""
        self._max_open = max_open
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._hurry = threading.Event()
        """Ends the time for which entries gather."""
        self._ready: dict[SharedRecorder, None] = {}
        self._open: OrderedDict[SharedRecorder, None] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._is_ending = False

    def call(self, recorder: "SharedRecorder", *, now: bool = False) -> None:
        """Add a recorder to those whose queues the thread writes soon, or now."""
        if now:
            self._hurry.set()
        with self._lock:
            self._ready[recorder] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="journals", daemon=True)
                self._thread.start()
                atexit.register(self.close)
        self._wake.set()

    def close(self) -> None:
        """Write what waits, and end the thread."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._is_ending = True
            self._hurry.set()
            self._wake.set()
            thread.join(END_SECONDS)

    def _run(self) -> None:
        while not self._is_ending:
            self._wake.wait(IDLE_SECONDS)
            self._gather()
            self._wake.clear()
            self._write_ready()
        self._write_ready()
        for recorder in list(self._open):
            recorder.release()

    def _gather(self) -> None:
        if not (self._is_ending or self._hurry.wait(QUICK_SECONDS)):
            with self._lock:
                waiting = sum(each.waiting for each in self._ready)
            if waiting > QUICK_ENTRIES:
                self._hurry.wait(BATCH_SECONDS - QUICK_SECONDS)
        self._hurry.clear()

    def _write_ready(self) -> None:
        with self._lock:
            ready, self._ready = self._ready, {}
        for recorder in ready:
            self._open.pop(recorder, None)
            if recorder.write():
                self._open[recorder] = None
            while len(self._open) > self._max_open:
                self._open.popitem(last=False)[0].release()


class SharedRecorder(Recorder):
    """A recorder whose queue a SharedWriter writes."""

    def __init__(
        self,
        database: JournalDatabase,
        options: RecorderOptions,
        note: Note,
        writer: SharedWriter,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ended = threading.Event()
        self._is_discarded = False
        self._session: Session | None = None
        super().__init__(database, options, note, clock)
        self.writer = writer

    def close(self) -> None:
        """Store what waits; what cannot be stored is dropped."""
        self.end(is_discarded=False)
        if self._counts is not None:
            self._ended.wait(END_SECONDS)

    def end(self, *, is_discarded: bool) -> None:
        """Begin to close; is_discarded: drop what waits, since this journal will not be read."""
        if self._counts is not None and not self._is_ending:
            self._is_discarded = is_discarded
            self._is_ending = True
            self.writer.call(self, now=True)

    def release(self) -> None:
        """Close the connection; the next entry opens another one. For the writer's thread."""
        if self._session is not None:
            self._session.close()

    def write(self) -> bool:
        """Store the queue; return whether the recorder may have an open connection after it."""
        self._wake.clear()
        counts = self._counts
        if counts is None or self._ended.is_set():
            # Called again while it ended: the session is closed.
            self._ended.set()
            return False
        if self._session is None:
            self._session = self._open_session(counts)
        self._drain(self._session)
        if self._is_ending:
            self._finish(counts, self._session)
            return False
        self._session.prune(int(self._clock() * 1000))
        return True

    def _store(self, session: Session, batch: Sequence[Queued]) -> int:
        """Return the number of entries that were stored."""
        if self._is_discarded:
            return 0
        entries = session.build_all(batch)
        failed = session.write(entries)
        if failed is None:
            # Once more, over a new connection.
            failed = session.write(entries)
        return 0 if failed is None else len(entries) - failed

    def _finish(self, counts: CountFile, session: Session) -> None:
        if self._is_discarded:
            session.close()
            counts.end(is_stored=True)
        else:
            session.end()
        self._ended.set()

    def _reset(self) -> None:
        super()._reset()
        self._ended = threading.Event()
        self._session = None

    def _start(self) -> CountFile:
        return self._begin_counts()

    def _notify(self) -> None:
        self._wake.set()
        self.writer.call(self)
