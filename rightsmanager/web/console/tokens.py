"""Tokens of the management API and the console. A token itself is shown when it is created."""

from typing import Final

from rightsmanager.admin.tokens import MAX_LIFETIME_SECONDS, Role, Token, TokenState
from rightsmanager.errors import InvalidMessage
from rightsmanager.web.console.acts import OperatorAct
from rightsmanager.web.console.blocks import (
    BAD,
    GOOD,
    OFF,
    Act,
    Asked,
    Cell,
    Empty,
    Facts,
    Field,
    Notice,
    Text,
    View,
    act_cell,
    code,
    link,
    state,
    time,
)
from rightsmanager.web.console.lists import Listing, cut_of
from rightsmanager.web.console.parts import Parts

_DAY_SECONDS: Final = 86400
_MAX_DAYS: Final = MAX_LIFETIME_SECONDS // _DAY_SECONDS
_NO_END: Final = "never"
_TONES: Final = {TokenState.VALID: GOOD, TokenState.EXPIRED: OFF, TokenState.REVOKED: BAD}
_ROLES: Final = tuple(role.value for role in Role)


def show_tokens(parts: Parts, asked: Asked) -> View:
    """Return the page of all tokens."""
    return View(
        "API tokens",
        (_LIST.table(asked, parts.management.tokens.find_page(cut_of(asked))),),
        lead="Tokens for the management API and for signing in here, oldest first. The role read "
        "shows everything but secrets, operate changes things. A token of the settings is not "
        "listed.",
        acts=(Act("Create a token", "acts/create-token"),),
    )


def _row(token: Token) -> tuple[Cell, ...]:
    is_revoked = token.revoked_at is not None
    return (
        Cell(token.name, link("journal", text=token.name)),
        code(token.token_id),
        Cell(token.role.value),
        state(token.state.value, _TONES[token.state]),
        time(token.created_at),
        time(token.expires_at, _NO_END),
        time(token.used_at, "not yet"),
        act_cell() if is_revoked else act_cell("Revoke", _revoke_link(token)),
    )


def _revoke_link(token: Token) -> str:
    return link("acts/revoke-token", token=token.token_id, name=token.name)


_LIST: Final = Listing(
    "tokens",
    "API tokens",
    ("Name", "Id", "Role", "State", "Created", "Expires", "Last used", ""),
    _row,
    Empty(
        "There is no token. Create one for a program that calls the API, or for operators "
        "that sign in from another machine, here or with:",
        "rightsmanager token create NAME --role read",
        Act("Create a token", "acts/create-token"),
    ),
)


# --- acts -----------------------------------------------------------------------------------------


def _create(parts: Parts, asked: Asked) -> View:
    role = Role(asked.choose("role", _ROLES))
    made = parts.management.tokens.create(asked.get("name"), role, _lifetime(asked))
    return View(
        "Token created",
        (
            Notice(OFF, "Copy the token now: it is not stored, and is not shown again."),
            Text("Token", "token", made.token),
            Facts(
                (
                    ("Name", Cell(made.name)),
                    ("Id", code(made.token_id)),
                    ("Role", Cell(made.role.value)),
                    ("Expires", time(made.expires_at, _NO_END)),
                )
            ),
        ),
        up=Act("API tokens", "tokens"),
    )


def _lifetime(asked: Asked) -> int | None:
    days = asked.number("days")
    if days is not None and not 0 < days <= _MAX_DAYS:
        raise InvalidMessage(f"the days are {days}, expected 1 to {_MAX_DAYS}")
    return None if days is None else days * _DAY_SECONDS


def _revoke(parts: Parts, asked: Asked) -> str:
    parts.management.tokens.revoke(asked.get("token"))
    return "tokens"


def _to_list(_asked: Asked) -> str:
    return "tokens"


TOKEN_ACTS: Final = {
    "create-token": OperatorAct(
        "Create a token",
        "It opens the API and this console with its role. The next page shows it once.",
        "Create",
        "",
        (
            Field("name", "Name", hint="of the program or operator", is_required=True),
            Field("role", "Role", kind="select", choices=tuple((each, each) for each in _ROLES)),
            Field("days", "Days until it expires", kind="number", hint="empty: never"),
        ),
        _create,
        _to_list,
    ),
    "revoke-token": OperatorAct(
        "Revoke the token?",
        "Requests with it are refused from now on, and sessions of this console that were opened "
        "with it end. It stays listed.",
        "Revoke",
        "The token is revoked.",
        (Field("token", "Token", kind="fixed"), Field("name", "Name", kind="fixed")),
        _revoke,
        _to_list,
        is_danger=True,
    ),
}
