"""`/metering`: metering ids, usage and royalties."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final, Literal

from flask_openapi3.models.tag import Tag
from pydantic import Field

from rightsmanager.admin.management import Management
from rightsmanager.admin.metering_ids import metering_id_facts
from rightsmanager.admin.royalty import Prices, Royalty
from rightsmanager.admin.usage import (
    FIRST_DAY,
    By,
    UsageQuery,
    day_of,
    number_of,
    total_facts,
)
from rightsmanager.errors import ServiceSpecific
from rightsmanager.store.metering import Period
from rightsmanager.web.api.models import (
    Base64,
    Day,
    DayText,
    Id,
    MidText,
    Name,
    Path,
    Query,
    Reply,
    Request,
    Text,
    Time,
)
from rightsmanager.web.api.routes import Routes

METERING: Final = Tag(name="metering", description="Metering ids, usage and royalties.")

MAX_NAME: Final = 64
MAX_URL: Final = 2048
DEFAULT_DAYS: Final = 30

Price = Annotated[Decimal, Field(ge=0, le=10**9, max_digits=24, decimal_places=12)]
Group = Literal["kid", "action", "day", "device"]


class MeteringIdPath(Path):
    """The path of a metering id."""

    mid: Text = Field(description="GUID, base64 or name.")


class NewMeteringId(Request):
    """A metering id to create."""

    name: Annotated[Text, Field(max_length=MAX_NAME)] = ""
    url: Annotated[Text, Field(max_length=MAX_URL)] | None = Field(
        None, description="The address for reports; the settings' one if it is missing."
    )
    mid: MidText | None = Field(None, description="Random if it is missing.")


class MeteringIdModel(Reply):
    """A metering id and its certificate."""

    mid: Id
    mid_base64: str
    name: str
    state: Name = Field(description="`in use` or `retired`.")
    created_at: Time | None = Field(description="Null for the keyring's own.")
    retired_at: Time | None
    url: str
    fingerprint: str
    digest: Base64 = Field(description="For revoking its certificate.")


class MeteringIdList(Reply):
    """All metering ids, the keyring's own first."""

    metering_ids: list[MeteringIdModel]


class PeriodQuery(Query):
    """A metering id and days in UTC, the last 30 by default."""

    mid: Text | None = Field(
        None, description="GUID, base64 or name; the keyring's own by default."
    )
    first: DayText | None = Field(None, alias="from")
    last: DayText | None = Field(None, alias="to")


class UsageRequest(PeriodQuery):
    """The usage to show."""

    by: Group = "kid"


class RoyaltyRequest(PeriodQuery):
    """The royalty to compute; the settings give the missing prices."""

    action: Text = "Play"
    price_per_play: Price | None = None
    price_per_title: Price | None = None
    currency: Annotated[Text, Field(max_length=MAX_NAME)] | None = None
    titles: int | None = Field(None, ge=0, le=2**31, description="Played titles by default.")


class TotalModel(Reply):
    """The count of an action."""

    group: str | None = Field(description="KID, day or device; null by action.")
    action: str
    value: int


class PeriodModel(Reply):
    """A metering id and days in UTC."""

    mid: Id
    first: Day = Field(serialization_alias="from")
    last: Day = Field(serialization_alias="to")


class UsageModel(PeriodModel):
    """Usage: days in order, all other groups most used first."""

    by: Group
    totals: list[TotalModel]


class PlaysModel(Reply):
    """The plays of a KID."""

    kid: Id
    plays: int
    due: str


class RoyaltyModel(PeriodModel):
    """The cost of plays compared with a flat rate; amounts are decimal numbers as text."""

    action: str
    currency: str
    plays: int
    titles: int
    price_per_play: str
    price_per_title: str
    metered: str
    flat: str
    saving: str
    by_kid: list[PlaysModel]


def add_metering(routes: Routes, management: Management) -> None:
    """Add the operations on metering."""
    _add_ids(routes, management)
    _add_reports(routes, management)


def _add_ids(routes: Routes, management: Management) -> None:
    ids = management.metering_ids

    @routes.get("/metering/ids", "List metering ids", MeteringIdList)
    def list_metering_ids() -> MeteringIdList:
        known = [MeteringIdModel.of(metering_id_facts(each)) for each in ids.find_all()]
        return MeteringIdList(metering_ids=known)

    @routes.post("/metering/ids", "Create a metering id", MeteringIdModel, 409, status=201)
    def create_metering_id(body: NewMeteringId) -> MeteringIdModel:
        known = management.create_metering_id(body.name, body.url, body.mid)
        return MeteringIdModel.of(metering_id_facts(known))

    @routes.get("/metering/ids/<mid>", "Show a metering id", MeteringIdModel, 404)
    def show_metering_id(path: MeteringIdPath) -> MeteringIdModel:
        return MeteringIdModel.of(metering_id_facts(ids.find_named(path.mid)))

    @routes.post(
        "/metering/ids/<mid>/retire", "Stop issuing its certificate", MeteringIdModel, 404, 409
    )
    def retire_metering_id(path: MeteringIdPath) -> MeteringIdModel:
        mid = ids.find_named(path.mid).mid
        ids.retire(mid)
        return MeteringIdModel.of(metering_id_facts(ids.find(mid)))


def _add_reports(routes: Routes, management: Management) -> None:
    usage = management.usage

    @routes.get("/metering/usage", "Show usage by KID, action, day or device", UsageModel, 404)
    def show_usage(query: UsageRequest) -> UsageModel:
        asked = _usage_query(query, management)
        totals = usage.find(asked, By(query.by))
        return UsageModel(
            mid=asked.mid.text,
            first=day_of(asked.period.first).isoformat(),
            last=day_of(asked.period.last).isoformat(),
            by=query.by,
            totals=[TotalModel.of(total_facts(each)) for each in totals],
        )

    @routes.get("/metering/royalty", "Compare pay-per-play with a flat rate", RoyaltyModel, 404)
    def show_royalty(query: RoyaltyRequest) -> RoyaltyModel:
        asked = _usage_query(query, management)
        plays = usage.find_plays(asked, query.action)
        titles = len(plays) if query.titles is None else query.titles
        prices = _prices(query, management.options.prices)
        return _royalty_model(asked, query.action, Royalty(plays, titles, prices))


def _usage_query(query: PeriodQuery, management: Management) -> UsageQuery:
    today = datetime.fromtimestamp(management.clock(), UTC).date()
    until = query.last or today
    since = query.first or max(FIRST_DAY, until - timedelta(days=DEFAULT_DAYS - 1))
    if since > until:
        raise ServiceSpecific(f"from is {since}, expected a day no later than to, {until}")
    own = management.keyring.metering.mid
    mid = own if query.mid is None else management.metering_ids.find_named(query.mid).mid
    return UsageQuery(mid, Period(number_of(since), number_of(until)))


def _prices(query: RoyaltyRequest, own: Prices) -> Prices:
    return Prices(
        own.per_play if query.price_per_play is None else query.price_per_play,
        own.per_title if query.price_per_title is None else query.price_per_title,
        own.currency if query.currency is None else query.currency,
    )


def _royalty_model(asked: UsageQuery, action: str, royalty: Royalty) -> RoyaltyModel:
    prices = royalty.prices
    return RoyaltyModel(
        mid=asked.mid.text,
        first=day_of(asked.period.first).isoformat(),
        last=day_of(asked.period.last).isoformat(),
        action=action,
        currency=prices.currency,
        plays=royalty.plays,
        titles=royalty.titles,
        price_per_play=f"{prices.per_play:f}",
        price_per_title=f"{prices.per_title:f}",
        metered=f"{royalty.metered:f}",
        flat=f"{royalty.flat:f}",
        saving=f"{royalty.saving:f}",
        by_kid=[
            PlaysModel(kid=kid.text, plays=plays, due=f"{royalty.due(plays):f}")
            for kid, plays in royalty.plays_by_kid.items()
        ],
    )
