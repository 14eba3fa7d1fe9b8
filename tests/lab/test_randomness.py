"""Randomness that follows from a seed and from requests."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

from rightsmanager.lab.randomness import RequestLog, SeededRandom


def draw(random: SeededRandom, body: bytes = b"one", /, **changes: str) -> bytes:
    """Return the bytes that a request draws after it was read."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/rightsmanager.asmx",
        "QUERY_STRING": "",
        "wsgi.input": BytesIO(body),
        **changes,
    }
    random.begin(environ)
    try:
        environ["wsgi.input"].read()
        return random(16) + random(8)
    finally:
        random.end()


def test_equal_requests_draw_the_same_in_another_world(tmp_path: Path) -> None:
    first, second = (SeededRandom(7, RequestLog(tmp_path / each)) for each in "ab")
    drawn = [draw(first), draw(first), draw(first, b"two")]
    assert len({*drawn}) == 3
    # In another order.
    assert [draw(second, b"two"), draw(second), draw(second)] == [drawn[2], drawn[0], drawn[1]]


def test_everything_that_describes_a_request_counts(tmp_path: Path) -> None:
    drawn = set()
    given = (
        ("QUERY_STRING", ""),
        ("QUERY_STRING", "a"),
        ("PATH_INFO", "/"),
        ("REQUEST_METHOD", ""),
    )
    for number, change in enumerate(given):
        drawn.add(draw(SeededRandom(7, RequestLog(tmp_path / str(number))), **dict([change])))
    drawn.add(draw(SeededRandom(8, RequestLog(tmp_path / "seed"))))
    assert len(drawn) == 5


def test_workers_number_equal_requests_together(tmp_path: Path) -> None:
    workers = [RequestLog(tmp_path / "log") for _ in range(2)]
    assert [workers[number % 2].count(b"d" * 32) for number in range(6)] == list(range(6))
    assert workers[0].count(b"e" * 32) == 0
    # A worker that begins later reads the log.
    assert RequestLog(tmp_path / "log").count(b"d" * 32) == 6


def test_threads_number_equal_requests_once_each(tmp_path: Path) -> None:
    logs = [RequestLog(tmp_path / "log") for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda number: logs[number % 4].count(b"d" * 32), range(40)))
    assert sorted(numbers) == list(range(40))


def test_a_digest_that_was_written_in_part_is_dropped(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "log")
    assert log.count(b"d" * 32) == 0
    with (tmp_path / "log").open("ab") as file:
        file.write(b"ddd")
    assert log.count(b"d" * 32) == 1
    assert (tmp_path / "log").stat().st_size == 16


def test_outside_of_requests_it_is_the_systems(tmp_path: Path) -> None:
    random = SeededRandom(7, RequestLog(tmp_path / "log"))
    assert random(16) != random(16)
    assert not (tmp_path / "log").exists()
