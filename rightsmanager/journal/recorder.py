"""Records exchanges: a bounded queue, and one writer thread in each worker.

The reply never waits for the journal. A request's thread counts the exchange and appends it to the
queue; everything else, masking included, is the writer's work. The thread starts with the first
entry of a process, and again in each forked one. What does not fit into the queue is dropped and
counted. A batch that the database refuses is kept, and tried again once a second.
"""

import atexit
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from weakref import WeakSet

from rightsmanager.crypto.random import Rng, system_random
from rightsmanager.hooks.exchange import INJECTED, Exchange
from rightsmanager.journal.building import Act, EntryBuilder
from rightsmanager.journal.counts import CountFile, read_counts, remove_counts
from rightsmanager.store.journal.database import JournalDatabase
from rightsmanager.store.journal.entries import PendingEntry, WorkerCounts
from rightsmanager.store.journal.writing import Limits, Writer

BATCH_SECONDS: Final = 0.2
"""The time for which a batch gathers."""
MAX_BATCH: Final = 256
"""The most entries of a transaction."""
RETRY_SECONDS: Final = 1.0
PRUNE_SECONDS: Final = 5.0
"""Interval at which entries beyond the limits are removed."""
IDLE_SECONDS: Final = 60.0
"""Interval of the same while there are no requests."""
NOTE_SECONDS: Final = 60.0
"""Interval of lines in the log about a journal that fails."""
END_SECONDS: Final = 5.0
"""The longest time that a worker waits for its writer when it ends."""
# The rest of the environment has the body again, and sockets. To keep it until the batch is written
# costs a licence some 2 %: the next requests get memory that is not in the processor's cache.
_KEPT: Final = (
    *("QUERY_STRING", "REMOTE_ADDR", "CONTENT_TYPE", "CONTENT_LENGTH"),
    *("HTTP_USER_AGENT", "HTTP_SOAPACTION", INJECTED),
)

Note = Callable[[str, BaseException], None]
"""Logs a failure: where it happened, and the exception."""
Queued = tuple[Exchange | Act, float]


@dataclass(frozen=True, slots=True)
class RecorderOptions:
    """The entries to record, and the limits of queue and journal."""

    faults_only: bool = False
    keep_bodies: bool = True
    max_body: int = 1 << 18
    """The most bytes that are stored of a body."""
    max_queue: int = 10_000
    """The most entries that wait."""
    max_queue_bytes: int = 64 << 20
    """The most bytes of the bodies of entries that wait."""
    limits: Limits = field(default_factory=Limits)
    folder: Path = Path()
    """The folder of the workers' counts."""


class Recorder:
    """An observer that records exchanges, and acts of operators."""

    def __init__(
        self,
        database: JournalDatabase,
        options: RecorderOptions,
        note: Note,
        clock: Callable[[], float] = time.time,
        rng: Rng = system_random,
    ) -> None:
        self._database = database
        self._options = options
        self._note = note
        self._clock = clock
        self._rng = rng
        self._faults_only = options.faults_only
        self._reset()
        _EVERY.add(self)

    def __call__(self, exchange: Exchange) -> None:
        """Record an exchange, if its outcome is one to record."""
        if self._faults_only and exchange.refusal is None:
            return
        size = len(exchange.request) + len(exchange.reply)
        if size > self._options.max_body:
            # A long body must not stay in memory.
            exchange = exchange._replace(request=exchange.request[: self._options.max_body])
            size = len(exchange.request) + len(exchange.reply)
        get = exchange.environ.get
        kept = {name: get(name, "") for name in _KEPT}
        self._put((exchange._replace(environ=kept), self._clock()), size)

    def record_act(self, act: Act) -> None:
        """Record an act of an operator."""
        self._put((act, self._clock()), 0)

    @property
    def waiting(self) -> int:
        """The number of this process's entries that are not stored yet."""
        return len(self._queue) + self._writing

    def close(self) -> None:
        """Store what waits, and end the thread; what cannot be stored is dropped."""
        thread = self._thread
        if thread is not None and thread.is_alive():
            self._is_ending = True
            self._wake.set()
            thread.join(END_SECONDS)

    def reset(self) -> None:
        """After a fork, begin with an empty queue: the parent writes its own entries."""
        if self._counts is not None:
            self._counts.leave()
        self._reset()

    def _reset(self) -> None:
        self._queue: deque[Queued] = deque()
        self._queued_bytes = 0
        self._writing = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_ending = False
        self._thread: threading.Thread | None = None
        self._counts: CountFile | None = None

    def _put(self, queued: Queued, size: int) -> None:
        with self._lock:
            counts = self._counts or self._start()
            counts.accept()
            is_full = (
                len(self._queue) >= self._options.max_queue
                or self._queued_bytes + size > self._options.max_queue_bytes
            )
            if is_full:
                counts.drop(1)
                return
            self._queued_bytes += size
            self._queue.append(queued)
        if not self._wake.is_set():
            self._notify()

    def _notify(self) -> None:
        self._wake.set()

    def _start(self) -> CountFile:
        """Start the writer of this process."""
        counts = self._begin_counts()
        self._thread = threading.Thread(
            target=self._run, args=(counts,), name="journal", daemon=True
        )
        self._thread.start()
        atexit.register(self.close)
        return counts

    def _begin_counts(self) -> CountFile:
        worker = f"{os.getpid()}-{self._rng(4).hex()}"
        counts = self._counts = CountFile(self._options.folder, worker)
        return counts

    def _run(self, counts: CountFile) -> None:
        session = self._open_session(counts)
        while not self._is_ending:
            self._wake.wait(BATCH_SECONDS if session.has_more else IDLE_SECONDS)
            if not self._is_ending:
                # Further entries of the batch arrive.
                time.sleep(BATCH_SECONDS)
            self._wake.clear()
            self._drain(session)
            session.prune(int(self._clock() * 1000))
        self._drain(session)
        self._count_dropped(len(self._queue))
        session.end()

    def _open_session(self, counts: CountFile) -> "Session":
        return Session(self._database, self._options, counts, self._note)

    def _drain(self, session: "Session") -> None:
        """Store the queue."""
        # What arrives meanwhile waits for the next batch unless it fills one: a transaction of
        # twenty entries costs twice as much for each as one of two hundred.
        while batch := self._take():
            stored = self._store(session, batch)
            self._writing = 0
            self._count_dropped(len(batch) - stored)
            if len(self._queue) < MAX_BATCH and not self._is_ending:
                if self._queue:
                    self._notify()
                return

    def _store(self, session: "Session", batch: Sequence[Queued]) -> int:
        """Return the number of entries that were stored; after a failure, wait and try again."""
        entries = session.build_all(batch)
        was_ending = False
        while (failed := session.write(entries)) is None:
            if was_ending:
                return 0
            # One more try, over a new connection.
            was_ending = self._is_ending
            self._pause()
        return len(entries) - failed

    def _count_dropped(self, number: int) -> None:
        counts = self._counts
        if number and counts is not None:
            with self._lock:
                counts.drop(number)

    def _pause(self) -> None:
        until = time.monotonic() + RETRY_SECONDS
        while not self._is_ending and time.monotonic() < until:
            time.sleep(BATCH_SECONDS)

    def _take(self) -> list[Queued]:
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))]
            self._writing = len(batch)
            self._queued_bytes -= sum(_size(each) for each, _ in batch)
        return batch


class Session:
    """The writer's connection, which is opened again after a failure."""

    def __init__(
        self,
        database: JournalDatabase,
        options: RecorderOptions,
        counts: CountFile,
        note: Note,
    ) -> None:
        self._database = database
        self._options = options
        self._counts = counts
        self._note = note
        self._worker = counts.worker
        self._builder = EntryBuilder(self._worker, options.keep_bodies, options.max_body)
        self._writer: Writer | None = None
        self._identity: object = None
        self._is_new = True
        """Whether nothing was stored over this connection."""
        self._written = 0
        self._noted = -NOTE_SECONDS
        self._next_prune = 0.0
        self.has_more = False
        """Whether there are entries to remove."""

    def build_all(self, batch: Sequence[Queued]) -> list[PendingEntry]:
        """Return the entries of queued exchanges and acts, without those for which that fails."""
        return [each for each in map(self._build, batch) if each is not None]

    def _build(self, queued: Queued) -> PendingEntry | None:
        item, at = queued
        try:
            if isinstance(item, Act):
                return self._builder.build_act(item, int(at * 1000))
            return self._builder.build(item, int(at * 1000))
        except Exception as error:  # noqa: BLE001 -- one entry must not end the thread
            self._report(error)
            return None

    def write(self, entries: Sequence[PendingEntry]) -> int | None:
        """Store entries; return the number that cannot be stored, None to try again."""
        try:
            self._store(entries)
        except self._database.failures as error:
            self._fail(error)
            if not self._database.is_entry_refused(error):
                return None
        except Exception as error:  # noqa: BLE001 -- as above
            self._fail(error)
        else:
            return 0
        if len(entries) == 1:
            return 1
        # One of them: the others are stored without it.
        failed = [self.write([each]) for each in entries]
        return sum(1 if each is None else each for each in failed)

    def _store(self, entries: Sequence[PendingEntry]) -> None:
        writer = self._connect()
        # The commit may have succeeded although its answer was lost.
        if not self._is_new or writer.find_written(self._worker) <= self._written:
            writer.write(entries, self._count(len(entries)))
        self._written += len(entries)
        self._counts.note_written(self._written)
        self._is_new = False

    def prune(self, now_ms: int) -> None:
        """Remove entries beyond the limits, if it is time."""
        if self._writer is None or time.monotonic() < self._next_prune:
            return
        try:
            self.has_more = self._writer.prune(self._options.limits, now_ms)
        except Exception as error:  # noqa: BLE001 -- as above
            self._fail(error)
        self._next_prune = time.monotonic() + (0 if self.has_more else PRUNE_SECONDS)

    def end(self) -> None:
        """Store the last counts."""
        is_stored = False
        try:
            counts = self._counts
            last = WorkerCounts(self._worker, counts.accepted, self._written, counts.dropped)
            self._connect().record_counts(last)
            is_stored = True
        except Exception as error:  # noqa: BLE001 -- as above
            self._fail(error)
        self._counts.end(is_stored=is_stored)
        if self._writer is not None:
            self._writer.close()

    def _connect(self) -> Writer:
        """Return the open writer, of the file that is there now."""
        if self._writer is not None and self._identity == self._database.identify():
            return self._writer
        self.close()
        self._identity = self._database.identify()
        self._writer = self._database.open_writer()
        # The writer makes a missing file.
        self._identity = self._database.identify()
        self._is_new = True
        self._collect(self._writer)
        return self._writer

    def _collect(self, writer: Writer) -> None:
        """Store the counts of workers that were killed."""
        for state in read_counts(self._options.folder):
            if not state.is_running:
                counts = WorkerCounts(state.worker, state.accepted, state.written, state.dropped)
                writer.record_counts(counts)
                remove_counts(self._options.folder, state.worker)

    def _count(self, more: int) -> WorkerCounts:
        """Return the counts once so many more are stored, without those that wait.

        Another host, which has no file of this worker's counts, must not take them for lost.
        """
        written, dropped = self._written + more, self._counts.dropped
        return WorkerCounts(self._worker, written + dropped, written, dropped)

    def _fail(self, error: Exception) -> None:
        identity = self._identity
        self.close()
        self._report(error)
        self._database.set_aside(error, identity)

    def close(self) -> None:
        """Close the connection, which is opened again when there are entries."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _report(self, error: Exception) -> None:
        """Log a failure, at most once in NOTE_SECONDS."""
        now = time.monotonic()
        if now - self._noted >= NOTE_SECONDS:
            self._noted = now
            dropped = self._counts.dropped
            self._note(f"the journal, {dropped} entries dropped so far", error)


def _size(item: Exchange | Act) -> int:
    return 0 if isinstance(item, Act) else len(item.request) + len(item.reply)


_EVERY: Final[WeakSet[Recorder]] = WeakSet()


def _reset_forked() -> None:
    for recorder in list(_EVERY):
        recorder.reset()


os.register_at_fork(after_in_child=_reset_forked)
