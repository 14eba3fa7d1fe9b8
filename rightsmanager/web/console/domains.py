"""Domains: accounts with their domain, its revisions and its members."""

from typing import Final

from rightsmanager.admin.domains import AccountDetails, parse_device
from rightsmanager.protocol.wire import AccountId, encode_base64
from rightsmanager.store.domains import Account, Member
from rightsmanager.web.console.acts import OperatorAct
from rightsmanager.web.console.blocks import (
    GOOD,
    OFF,
    PLAIN,
    Act,
    Asked,
    Cell,
    Empty,
    Facts,
    Field,
    Table,
    View,
    act_cell,
    code,
    device_path,
    link,
    number,
    state,
    time,
)
from rightsmanager.web.console.lists import MAX_ROWS, Listing, cut_of, offset_table
from rightsmanager.web.console.parts import Parts

_COLUMNS: Final = ("Account", "Name", "Members", "Revision", "State", "Created")
_EMPTY: Final = Empty(
    "There is no account yet. One is made here, by a command, or when a device joins for the first "
    "time if domain.accounts is first-use.",
    "rightsmanager domain create",
    Act("Create an account", "acts/create-domain"),
)


def show_domains(parts: Parts, asked: Asked) -> View:
    """Return the page of all accounts."""
    page = parts.management.domains.find_page(cut_of(asked))
    return View(
        "Domains",
        (_LIST.table(asked, page),),
        lead="Each account has one domain, whose members share licences that are bound to it.",
        acts=(Act("Create an account", "acts/create-domain"),),
    )


def show_domain(parts: Parts, asked: Asked) -> View:
    """Return the page of one account."""
    details = parts.management.domains.find_account(AccountId.parse(asked.path["account"]))
    account = details.account
    return View(
        account.friendly_name or account.account_id.text,
        (_facts(account), _members(asked, details), _revisions(details)),
        acts=_acts(account),
        up=Act("Domains", "domains"),
    )


def _account_row(account: Account) -> tuple[Cell, ...]:
    text = account.account_id.text
    return (
        code(text, link("domains", text)),
        Cell(account.friendly_name),
        Cell(f"{account.members} of {account.limit}", is_number=True),
        number(account.revision),
        _state(account),
        time(account.created_at),
    )


_LIST: Final = Listing("domains", "Accounts", _COLUMNS, _account_row, _EMPTY)


def _state(account: Account) -> Cell:
    return state("open", GOOD) if account.closed_at is None else state("closed", OFF)


def _facts(account: Account) -> Facts:
    return Facts(
        (
            ("State", _state(account)),
            ("Account", code(account.account_id.text)),
            ("in base64", code(account.account_id.base64)),
            ("Service", code(account.service_id.text)),
            ("Members", Cell(f"{account.members} of {account.limit}")),
            ("URL for joining", code(account.url) if account.url else Cell("the settings' one")),
            ("Created", time(account.created_at)),
            ("Closed", time(account.closed_at, "never")),
        )
    )


def _acts(account: Account) -> tuple[Act, ...]:
    text = account.account_id.text
    closing = "reopen-domain" if account.closed_at is not None else "close-domain"
    titles = {"close-domain": "Close", "reopen-domain": "Reopen"}
    return (
        Act(titles[closing], link(f"acts/{closing}", account=text)),
        Act("Renew", link("acts/renew-domain", account=text)),
        Act(
            "Change",
            link(
                "acts/change-domain",
                account=text,
                name=account.friendly_name,
                url=account.url,
                limit=str(account.limit),
            ),
        ),
    )


def _members(asked: Asked, details: AccountDetails) -> Table:
    account = details.account.account_id.text
    table = Table(
        "Members",
        ("Device", "Name", "State", "Joined", "Revision", ""),
        (),
        Empty(
            "No device has joined. A player joins with a JoinDomain request; the simulated device "
            "does it with this command:",
            f"rightsmanager device join --device DEVICE --url URL --account {account}",
        ),
    )
    rows = [_member_row(account, each) for each in details.members]
    return offset_table(asked, link("domains", account), table, rows)


def _member_row(account: str, member: Member) -> tuple[Cell, ...]:
    left = "left" if member.removed_at is None else "removed"
    act = None
    if member.is_member:
        act = ("Remove", link("acts/remove-member", account=account, device=member.device))
    elif member.removed_at is not None:
        act = ("Allow again", link("acts/allow-member", account=account, device=member.device))
    return (
        code(member.device, link("devices", device_path(member.device))),
        Cell(member.name),
        state("member", GOOD) if member.is_member else state(left, PLAIN),
        time(member.joined_at),
        number(member.revision),
        act_cell() if act is None else act_cell(*act),
    )


def _revisions(details: AccountDetails) -> Table:
    return Table(
        "Newest revisions",
        ("Revision", "Key", "Certificate digest", "Made"),
        tuple(
            (
                number(each.revision),
                code(each.key_fingerprint),
                code(encode_base64(each.certificate_digest)),
                time(each.made_at),
            )
            for each in details.revisions[:MAX_ROWS]
        ),
        Empty("The domain has no revision."),
    )


# --- acts -----------------------------------------------------------------------------------------

_ACCOUNT: Final = Field("account", "Account", kind="fixed")
_DEVICE: Final = Field("device", "Device", kind="fixed")
_TERMS: Final = (
    Field("name", "Name", hint="shown by players"),
    Field("url", "URL for joining", hint="empty: the settings' one"),
    Field("limit", "Largest number of members", kind="number"),
)


def _id(asked: Asked) -> AccountId:
    return AccountId.parse(asked.get("account"))


def _to_account(asked: Asked) -> str:
    return link("domains", asked.get("account"))


def _to_list(_asked: Asked) -> str:
    return "domains"


def _create(parts: Parts, asked: Asked) -> str:
    given = asked.get("account")
    account = parts.management.domains.create(
        AccountId.parse(given) if given else None,
        friendly_name=asked.get("name") or None,
        url=asked.get("url"),
        limit=asked.number("limit"),
    )
    return link("domains", account.account_id.text)


def _change(parts: Parts, asked: Asked) -> str:
    parts.management.domains.change(
        _id(asked),
        friendly_name=asked.get("name"),
        url=asked.get("url"),
        limit=asked.number("limit"),
    )
    return _to_account(asked)


def _close(parts: Parts, asked: Asked) -> str:
    parts.management.domains.close(_id(asked))
    return _to_account(asked)


def _reopen(parts: Parts, asked: Asked) -> str:
    parts.management.domains.reopen(_id(asked))
    return _to_account(asked)


def _renew(parts: Parts, asked: Asked) -> str:
    parts.management.domains.renew(_id(asked))
    return _to_account(asked)


def _remove(parts: Parts, asked: Asked) -> str:
    parts.management.domains.remove(_id(asked), parse_device(asked.get("device")))
    return _to_account(asked)


def _allow(parts: Parts, asked: Asked) -> str:
    parts.management.domains.allow(_id(asked), parse_device(asked.get("device")))
    return _to_account(asked)


DOMAIN_ACTS: Final = {
    "create-domain": OperatorAct(
        "Create an account",
        "The account gets a domain, which devices can join.",
        "Create",
        "The account is created.",
        (Field("account", "Account", hint="GUID or base64; empty: random"), *_TERMS),
        _create,
        _to_list,
    ),
    "change-domain": OperatorAct(
        "Change the account",
        "Members above a new limit stay. Certificates of existing revisions keep their URL.",
        "Change",
        "The account is changed.",
        (_ACCOUNT, *_TERMS),
        _change,
        _to_account,
    ),
    "close-domain": OperatorAct(
        "Close the account?",
        "Joins and licences are refused until it is reopened. Members and licences stay.",
        "Close",
        "The account is closed.",
        (_ACCOUNT,),
        _close,
        _to_account,
        is_danger=True,
    ),
    "reopen-domain": OperatorAct(
        "Reopen the account?",
        "Its members get licences again.",
        "Reopen",
        "The account is open.",
        (_ACCOUNT,),
        _reopen,
        _to_account,
    ),
    "renew-domain": OperatorAct(
        "Renew the domain?",
        "The domain gets a new revision. Members have to join again before their next licence.",
        "Renew",
        "The domain has a new revision.",
        (_ACCOUNT,),
        _renew,
        _to_account,
        is_danger=True,
    ),
    "remove-member": OperatorAct(
        "Remove the member?",
        "The device is refused until it is allowed again, and the domain is renewed: all other "
        "members have to join again before their next licence.",
        "Remove",
        "The member is removed, and the domain has a new revision.",
        (_ACCOUNT, _DEVICE),
        _remove,
        _to_account,
        is_danger=True,
    ),
    "allow-member": OperatorAct(
        "Allow the device again?",
        "It may join the domain again.",
        "Allow",
        "The device may join again.",
        (_ACCOUNT, _DEVICE),
        _allow,
        _to_account,
    ),
}
