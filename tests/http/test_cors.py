import pytest

from rightsmanager.http.cors import CrossOrigin

LISTED = CrossOrigin(("https://a.example", "https://b.example"), max_age=60)


def test_a_listed_origin_is_echoed() -> None:
    headers = dict(LISTED.headers({"HTTP_ORIGIN": "https://b.example"}))
    assert headers["Access-Control-Allow-Origin"] == "https://b.example"
    assert headers["Vary"] == "Origin"
    assert headers["Access-Control-Max-Age"] == "60"


@pytest.mark.parametrize("origin", ["", "https://c.example", "https://a.example.evil", "null"])
def test_any_other_origin_is_allowed_nothing(origin: str) -> None:
    assert LISTED.headers({"HTTP_ORIGIN": origin}) == [("Vary", "Origin")]


def test_what_was_asked_for_is_allowed_unless_it_is_no_list_of_names() -> None:
    asked = "HTTP_ACCESS_CONTROL_REQUEST_HEADERS"
    allowed = "Access-Control-Allow-Headers"
    plain = dict(CrossOrigin().headers({}))[allowed]
    assert plain == "content-type, soapaction"
    assert dict(CrossOrigin().headers({asked: "x-a, x-b"}))[allowed] == plain + ", x-a, x-b"
    for bad in ("x\r\nSet-Cookie: a", "x:y", "é", "x" * 2000):
        assert dict(CrossOrigin().headers({asked: bad}))[allowed] == plain
