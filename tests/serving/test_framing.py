"""The end of a request, found in any pieces in which its bytes come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsmanager.serving.framing import (
    MAX_CHUNK_FRAMING,
    MAX_CHUNK_LINE,
    RequestBuffer,
    find_cross_origin,
)

MAX_HEAD, MAX_BODY = 400, 50
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def post(fields: bytes, body: bytes = b"") -> bytes:
    return b"POST /x HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n\r\n" + body


COMPLETE = {
    "no body": GET,
    "length": post(b"Content-Length: 4", b"body"),
    "length 0": post(b"content-length:0"),
    "length with zeros": post(b"Content-Length: 0004", b"body"),
    "length of the limit": post(b"Content-Length: 50", b"x" * 50),
    "chunks": post(b"Transfer-Encoding: chunked", b"4\r\nbody\r\n0\r\n\r\n"),
    "no chunk": post(b"transfer-encoding: Chunked", b"0\r\n\r\n"),
    "chunks with extension and trailer": post(
        b"Transfer-Encoding: chunked", b"A;x=y\r\n0123456789\r\n1\r\n\r\r\n00\r\nX: y\r\n\r\n"
    ),
    "chunk of line ends": post(b"Transfer-Encoding: chunked", b"4\r\n\r\n\r\n\r\n0\r\n\r\n"),
}
CUT = {
    "length over the limit": post(b"Content-Length: 51"),
    "length of many digits": post(b"Content-Length: " + b"9" * 200),
    "length after many zeros": post(b"Content-Length: " + b"0" * 20 + b"9" * 30),
    "length that Python does not read": post(b"Content-Length: " + b"0" * 20 + b"9" * 5000),
    "no number": post(b"Content-Length: -5"),
    "two lengths": post(b"Content-Length: 4\r\nContent-Length: 4"),
    "length and chunks": post(b"Content-Length: 4\r\nTransfer-Encoding: chunked"),
    "other coding": post(b"Transfer-Encoding: gzip"),
    "no size": post(b"Transfer-Encoding: chunked", b"x\r\n"),
    "negative size": post(b"Transfer-Encoding: chunked", b"-1\r\n"),
    "empty size": post(b"Transfer-Encoding: chunked", b"\r\n"),
    "long size": post(b"Transfer-Encoding: chunked", b"0" * (MAX_CHUNK_LINE + 1)),
    "long extension": post(b"Transfer-Encoding: chunked", b"1;" + b"x" * MAX_CHUNK_LINE + b"\r\n"),
    "long trailers": post(b"Transfer-Encoding: chunked", b"0\r\n" + b"x" * MAX_CHUNK_LINE),
    "chunk over the limit": post(b"Transfer-Encoding: chunked", b"ff\r\n" + b"x" * 51),
    "chunks over the limit": post(b"Transfer-Encoding: chunked", b"1\r\nx\r\n" * 50 + b"1\r\nx"),
}


def feed(data: bytes, pieces: list[int]) -> tuple[RequestBuffer, list[bytes]]:
    """Return a buffer that received the data in pieces of these lengths, and its requests."""
    buffer, requests = RequestBuffer(MAX_HEAD, MAX_BODY), []
    while data:
        length = pieces.pop() if pieces else len(data)
        buffer.data += data[:length]
        data = data[length:]
        while not buffer.is_cut and buffer.is_complete() and not buffer.is_cut:
            requests.append(buffer.take())
    return buffer, requests


@pytest.mark.parametrize("request_", COMPLETE.values(), ids=COMPLETE)
@given(pieces=st.lists(st.integers(1, 9), max_size=60))
def test_each_of_two_requests_is_found_in_any_pieces(request_: bytes, pieces: list[int]) -> None:
    buffer, requests = feed(request_ + GET, pieces)
    assert requests == [request_, GET]
    assert not buffer.data


@pytest.mark.parametrize("request_", COMPLETE.values(), ids=COMPLETE)
def test_a_request_without_its_last_byte_is_incomplete(request_: bytes) -> None:
    buffer, requests = feed(request_[:-1], [])
    assert requests == []
    assert not buffer.is_cut


@pytest.mark.parametrize("request_", CUT.values(), ids=CUT)
@given(pieces=st.lists(st.integers(1, 9), max_size=60))
def test_a_request_without_a_known_end_is_cut(request_: bytes, pieces: list[int]) -> None:
    buffer, requests = feed(request_, pieces)
    assert requests == []
    assert buffer.is_cut
    assert buffer.is_complete()
    assert buffer.take() == request_


@given(st.binary(max_size=600))
def test_no_bytes_raise(data: bytes) -> None:
    feed(post(b"Transfer-Encoding: chunked", data), [7] * 80)
    feed(data, [])


@pytest.mark.parametrize(("word", "is_cut"), [(b"Large", False), (b"Small", True)])
def test_a_word_in_the_head_chooses_another_limit(word: bytes, is_cut: bool) -> None:  # noqa: FBT001
    buffer = RequestBuffer(MAX_HEAD, MAX_BODY, {b"Large": MAX_BODY + 1})
    buffer.data += post(b"SOAPAction: " + word + b"\r\nContent-Length: %d" % (MAX_BODY + 1))
    assert buffer.is_complete() is is_cut
    assert buffer.is_cut is is_cut


@pytest.mark.parametrize("chunk", [b"1\r\nx\r\n", b"1;" + b"y" * 4000 + b"\r\nx\r\n"])
def test_chunks_with_little_in_them_are_cut(chunk: bytes) -> None:
    buffer = RequestBuffer(MAX_HEAD, MAX_CHUNK_FRAMING)
    most = MAX_CHUNK_FRAMING // (len(chunk) - 1)
    buffer.data += post(b"Transfer-Encoding: chunked", chunk * most)
    assert not buffer.is_complete()
    buffer.data += chunk
    assert buffer.is_complete()
    assert buffer.is_cut


def test_a_head_may_be_too_long() -> None:
    buffer, _ = feed(b"GET / HTTP/1.1\r\nX: " + b"x" * MAX_HEAD, [])
    assert buffer.is_head_too_long
    buffer, _ = feed(GET, [])
    assert not buffer.is_head_too_long


@pytest.mark.parametrize(("fields", "expects"), [(b"Expect: 100-Continue", True), (b"X: y", False)])
def test_an_expectation_is_found(fields: bytes, expects: bool) -> None:  # noqa: FBT001
    buffer, _ = feed(post(fields + b"\r\nContent-Length: 4"), [])
    assert buffer.expects_continue is expects


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (GET, {}),
        (
            b"GET / HTTP/1.1\r\norigin :https://a.example \r\nX: y",
            {"HTTP_ORIGIN": "https://a.example"},
        ),
        (b"\x00 bad\r\nOrigin: null\r\n\r\nOrigin: body\r\n", {"HTTP_ORIGIN": "null"}),
        (b"GET / HTTP/1.1\r\nOrigin: https://cut.exam", {}),
        (b"GET / HTTP/1.1\r\nOrigin: a\r\nOrigin: b\r\nOrigin: a\r\n\r\n", {}),
        (b"GET / HTTP/1.1\r\nOrigin: \xff\r\n\r\n", {}),
        (b"GET / HTTP/1.1\r\nOrigin: \t a  b \r\n\r\n", {"HTTP_ORIGIN": "a  b"}),
        (b"GET / HTTP/1.1\r\nOrigin:" + b" " * 2**20 + b"\xff\r\n\r\n", {}),
        (
            (
                b"OPTIONS /\r\nAccess-Control-Request-Headers: x-a, x-b\r\n"
                b"Access-Control-Request-Private-Network: true\r\n\r\n"
            ),
            {
                "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": "x-a, x-b",
                "HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK": "true",
            },
        ),
    ],
)
def test_cross_origin_headers_are_found_in_any_request(
    request_: bytes, found: dict[str, str]
) -> None:
    assert find_cross_origin(request_) == found
    assert find_cross_origin(bytearray(request_)) == found
