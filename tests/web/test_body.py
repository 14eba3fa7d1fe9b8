import io

import pytest

from rightsmanager.errors import InvalidMessage
from rightsmanager.web.http import BodyTooLarge, read_body

LIMIT = 10


class OneByOne(io.BytesIO):
    """Gives a byte at a time, as a socket may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(1, size or 0))


class Broken(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise ConnectionResetError(size)


def read(stream: io.BytesIO, **environ: object) -> bytes:
    return read_body({"wsgi.input": stream, **environ}, LIMIT, 1.0)


@pytest.mark.parametrize("stream", [io.BytesIO, OneByOne])
@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_a_body_within_the_limit_is_whole(stream: type[io.BytesIO], size: int) -> None:
    body = bytes(range(size))
    assert read(stream(body), CONTENT_LENGTH=str(size)) == body
    assert read(stream(body), HTTP_TRANSFER_ENCODING="chunked") == body
    assert read(stream(body), **{"wsgi.input_terminated": True}) == body


def test_a_declared_length_leaves_the_next_request_alone() -> None:
    stream = io.BytesIO(b"12345POST")
    assert read(stream, CONTENT_LENGTH="5") == b"12345"
    assert stream.read() == b"POST"


def test_without_length_and_end_there_is_no_body() -> None:
    assert read(Broken()) == b""


def test_a_declared_length_over_the_limit_is_refused_unread() -> None:
    for length in ("11", "9" * 30):
        with pytest.raises(BodyTooLarge, match="the limit is 10 bytes"):
            read(Broken(), CONTENT_LENGTH=length)


@pytest.mark.parametrize("stream", [io.BytesIO, OneByOne])
def test_a_chunked_body_over_the_limit_is_refused(stream: type[io.BytesIO]) -> None:
    with pytest.raises(BodyTooLarge, match="more than 10 bytes"):
        read(stream(bytes(1000)), HTTP_TRANSFER_ENCODING="chunked")


@pytest.mark.parametrize("length", ["-1", "1e3", "0x5", " 5", "٣", "5,5"])
def test_a_length_that_is_not_a_number_is_refused(length: str) -> None:
    with pytest.raises(InvalidMessage, match="Content-Length is"):
        read(io.BytesIO(b"12345"), CONTENT_LENGTH=length)


def test_a_body_that_ends_early_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="ended after 3 bytes, expected 5"):
        read(OneByOne(b"123"), CONTENT_LENGTH="5")


def test_a_connection_that_breaks_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="could not be read: ConnectionResetError"):
        read(Broken(), CONTENT_LENGTH="5")


def test_the_servers_socket_is_given_a_patience() -> None:
    class Socket:
        patience: float = 0

        def settimeout(self, seconds: float) -> None:
            self.patience = seconds

    socket = Socket()
    assert read(io.BytesIO(b"1"), CONTENT_LENGTH="1", **{"gunicorn.socket": socket}) == b"1"
    assert socket.patience == 1.0
