"""The source of gunicorn's parser gives a request unchanged: its head whole, then small pieces."""

import pytest

from rightsmanager.serving.connection import ReceivedBytes

MOST = 1 << 15


@pytest.mark.parametrize("head", [40, 100_000])
@pytest.mark.parametrize("body", [0, 1, 16_384, 16_385, 300_000])
def test_a_request_comes_in_pieces(head: int, body: int) -> None:
    source = ReceivedBytes()
    for filler in (b"a", b"b"):
        request = filler * head + b"\r\n\r\n" + bytes(body)
        source.replace(request)
        pieces = list(iter(source.read, b""))
        assert b"".join(pieces) == request
        assert head + 4 <= len(pieces[0]) <= head + MOST
        assert all(len(piece) <= MOST for piece in pieces[1:])


def test_what_is_left_of_a_request_is_not_in_the_next() -> None:
    source = ReceivedBytes()
    source.replace(b"\r\n\r\n" + bytes(100_000))
    source.read(10)
    source.replace(b"GET / HTTP/1.1\r\n\r\n")
    assert list(iter(source.read, b"")) == [b"GET / HTTP/1.1\r\n\r\n"]
