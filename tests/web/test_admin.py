"""The operator's door opens to the token alone, and only where there is one."""

from pathlib import Path
from typing import Any

import pytest

from rightsmanager.assembly import admin_token
from rightsmanager.errors import InternalError
from rightsmanager.settings import Settings, load
from rightsmanager.web.bearer_auth import AdminSettings, BearerAuth

TOKEN = "a token of some length"[:16].replace(" ", "-")


def nobody(_environ: dict[str, Any], _start: object) -> list[bytes]:
    raise AssertionError("the application was asked")


def with_file(tmp_path: Path, content: bytes) -> Settings:
    file = tmp_path / "token"
    file.write_bytes(content)
    return load(None, admin={"token_file": str(file)})


def test_there_is_no_door_without_a_token() -> None:
    with pytest.raises(ValueError, match="is empty"):
        BearerAuth(nobody, AdminSettings("/admin", ""))
    assert not load(None).admin.is_on


@pytest.mark.parametrize("token", ["x" * 15, "x" * 257, "x" * 15 + " ", "ä" * 16])
def test_a_token_that_can_be_guessed_or_not_be_sent_is_refused(token: str, tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="expected 16 to 256 visible ASCII characters"):
        load(None, admin={"token": token})
    with pytest.raises(InternalError, match=r"admin\.token_file"):
        admin_token(with_file(tmp_path, token.encode()))


def test_the_token_comes_from_one_place(tmp_path: Path) -> None:
    assert admin_token(load(None, admin={"token": TOKEN})) == TOKEN
    assert admin_token(with_file(tmp_path, f"{TOKEN}\r\nand more\n".encode())) == TOKEN
    with pytest.raises(InternalError, match="are both set"):
        load(None, admin={"token": TOKEN, "token_file": "x"})
    with pytest.raises(InternalError, match="cannot be read: No such file"):
        admin_token(load(None, admin={"token_file": str(tmp_path / "absent")}))


@pytest.mark.parametrize("path", ["", "/", "admin", "/admin/", "/a b", "//admin", "/admin?x"])
def test_the_path_is_one(path: str) -> None:
    with pytest.raises(InternalError, match=r"admin\.path"):
        load(None, admin={"path": path})


@pytest.mark.parametrize(
    ("path", "status"),
    [("/admin/domains", "401"), ("/administrator/x", "404"), ("/admin", "404"), ("/x", "404")],
)
def test_nothing_is_asked_without_the_token(path: str, status: str) -> None:
    told: list[str] = []
    door = BearerAuth(nobody, AdminSettings("/admin", TOKEN))
    environ = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "wsgi.input": None}
    list(door(environ, lambda code, *_: told.append(code[:3])))
    assert told == [status]
    assert TOKEN not in repr(AdminSettings("/admin", TOKEN))
