"""The admin API is open to the token alone, and only if there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rightsmanager.assembly import admin_token
from rightsmanager.errors import InternalError
from rightsmanager.settings import Settings, load
from rightsmanager.web.admin_access import AdminAccess
from rightsmanager.web.router import RouterSettings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.web.conftest import Calling

TOKEN = "a token of some length"[:16].replace(" ", "-")


def with_file(tmp_path: Path, content: bytes) -> Settings:
    file = tmp_path / "token"
    file.write_bytes(content)
    return load(None, admin={"token_file": str(file)})


def test_an_empty_token_is_refused() -> None:
    with pytest.raises(ValueError, match="is empty"):
        AdminAccess("/admin", "")
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
    [("/admin/domains", 401), ("/admin/x", 401), ("/admin", 404), ("/x", 404)],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PUT"])
def test_without_the_token_nothing_is_read(
    calling: Calling, method: str, path: str, status: int
) -> None:
    access = AdminAccess("/admin", TOKEN)
    call = calling(RouterSettings(admin_path="/admin"), admin=access)
    if method == "OPTIONS" and path == "/x":
        status = 204
    assert call(method, path, b"", **{"wsgi.input": None}).status == status
    assert TOKEN not in repr(access)
