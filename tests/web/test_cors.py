import pytest

from rightsmanager.web.http import CrossOrigin

LISTED = CrossOrigin(("https://a.example", "https://b.example"), max_age=60)


def test_a_listed_origin_is_echoed() -> None:
    headers = dict(LISTED.headers({"HTTP_ORIGIN": "https://b.example"}))
    assert headers["Access-Control-Allow-Origin"] == "https://b.example"
    assert headers["Vary"] == "Origin"
    assert headers["Access-Control-Max-Age"] == "60"


@pytest.mark.parametrize("origin", ["", "https://c.example", "https://a.example.evil", "null"])
def test_any_other_origin_is_allowed_nothing(origin: str) -> None:
    assert LISTED.headers({"HTTP_ORIGIN": origin}) == [("Vary", "Origin")]


def test_requested_headers_are_allowed_if_they_are_a_list_of_names() -> None:
    asked = "HTTP_ACCESS_CONTROL_REQUEST_HEADERS"
    allowed = "Access-Control-Allow-Headers"
    plain = dict(CrossOrigin().headers({}))[allowed]
    assert plain == "content-type, soapaction, authorization"
    assert dict(CrossOrigin().headers({asked: "x-a, x-b"}))[allowed] == plain + ", x-a, x-b"
    for bad in ("x\r\nSet-Cookie: a", "x:y", "é", "x" * 2000):
        assert dict(CrossOrigin().headers({asked: bad}))[allowed] == plain


def test_a_page_of_a_public_network_is_let_in_where_it_may_ask() -> None:
    asked = {"HTTP_ACCESS_CONTROL_REQUEST_PRIVATE_NETWORK": "true"}
    allowed = "Access-Control-Allow-Private-Network"
    assert dict(CrossOrigin().headers(asked))[allowed] == "true"
    assert allowed not in dict(CrossOrigin().headers({}))
    assert LISTED.headers({**asked, "HTTP_ORIGIN": "https://c.example"}) == [("Vary", "Origin")]


@pytest.mark.parametrize("origins", [("*",), ("https://a.example",)])
def test_credentials_are_for_an_origin_by_name(origins: tuple[str, ...]) -> None:
    sent = CrossOrigin(origins, credentials=True)
    headers = dict(sent.headers({"HTTP_ORIGIN": "https://a.example"}))
    assert headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert headers["Vary"] == "Origin"
    assert sent.headers({}) == [("Vary", "Origin")]
