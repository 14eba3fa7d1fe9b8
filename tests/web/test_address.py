from typing import Any

import pytest

from rightsmanager.web.http import Addressing

ENVIRON: dict[str, Any] = {
    "wsgi.url_scheme": "http",
    "SERVER_NAME": "own",
    "SERVER_PORT": "8080",
    "HTTP_HOST": "drm.example:81",
    "PATH_INFO": "/svc/RightsManager.asmx",
    "REMOTE_ADDR": "192.0.2.1",
    "HTTP_X_FORWARDED_FOR": "198.51.100.1, 203.0.113.9",
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_HOST": "public.example",
}


@pytest.mark.parametrize(
    ("addressing", "url"),
    [
        (Addressing(), "http://drm.example:81/svc/RightsManager.asmx"),
        (Addressing(trust_forwarded=True), "https://public.example/svc/RightsManager.asmx"),
        (
            Addressing("https://a.example/x/rightsmanager.ASMX"),
            "https://a.example/x/rightsmanager.ASMX",
        ),
        (Addressing("https://a.example/x/"), "https://a.example/x/svc/RightsManager.asmx"),
    ],
)
def test_the_address_is_the_clients(addressing: Addressing, url: str) -> None:
    assert addressing.url(ENVIRON) == url


@pytest.mark.parametrize(
    "host", ["drm.example", "drm.example:443", "127.0.0.1:1", "[::1]:8080", "[2001:db8::1]", "a_b"]
)
def test_a_plain_host_is_believed(host: str) -> None:
    assert Addressing().url({**ENVIRON, "HTTP_HOST": host}).startswith(f"http://{host}/")


@pytest.mark.parametrize("host", ["", "a@b", "a/b", "a b", "a:b", "[x]", "<", "a:123456", "a\n"])
def test_any_other_host_is_replaced_by_the_servers_own(host: str) -> None:
    url = Addressing().url({**ENVIRON, "HTTP_HOST": host})
    assert url == "http://own:8080/svc/RightsManager.asmx"


def test_a_forwarded_host_is_checked_too() -> None:
    environ = {**ENVIRON, "HTTP_X_FORWARDED_HOST": "<script>", "HTTP_X_FORWARDED_PROTO": "ftp"}
    assert Addressing(trust_forwarded=True).url(environ).startswith("http://own:8080/")


def test_a_forwarded_client_counts_only_where_the_proxy_is_trusted() -> None:
    assert Addressing().remote(ENVIRON) == "192.0.2.1"
    assert Addressing(trust_forwarded=True).remote(ENVIRON) == "203.0.113.9"
    assert Addressing(trust_forwarded=True).remote({"REMOTE_ADDR": "::1"}) == "::1"
    nonsense = {**ENVIRON, "HTTP_X_FORWARDED_FOR": "unknown\n"}
    assert Addressing(trust_forwarded=True).remote(nonsense) == "192.0.2.1"


def test_a_script_name_is_part_of_the_path() -> None:
    environ = {**ENVIRON, "SCRIPT_NAME": "/mount"}
    assert Addressing().url(environ) == "http://drm.example:81/mount/svc/RightsManager.asmx"
