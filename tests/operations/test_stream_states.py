"""Whatever happens to streams, the store has those of a small model."""

from dataclasses import dataclass, replace

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, invariant, multiple, rule

from rightsmanager.admin.streams import StreamControl
from rightsmanager.errors import ServiceSpecific
from rightsmanager.hooks.facts import StreamHolder
from rightsmanager.operations.streams import StreamSettings, stream_id_of
from rightsmanager.policy.grants import Grant, Policy
from rightsmanager.protocol.wire import AccountId, Guid, Kid
from rightsmanager.store.database import Store
from rightsmanager.store.licenses import IssuedLicense
from rightsmanager.store.streams import EndedBy
from tests.operations.states import Machine, run_machine

DEVICES = ("A" * 43 + "=", "B" * 43 + "=")
KIDS = tuple(Kid(bytes([number]) * 16) for number in (1, 2))
ACCOUNT = AccountId(b"account id 00001")
LIMITS = StreamSettings(max_per_account=3, max_per_device=1)
SHORT, LONG = 10, 1000

devices = st.sampled_from(DEVICES)
kids = st.sampled_from(KIDS)
delays = st.integers(0, 5)


@dataclass(frozen=True)
class Expected:
    """A stream as the model has it."""

    holder: str
    device: str
    kid: Kid
    client_time: int
    opened_at: int
    expires_at: int
    ended_at: int | None = None
    ended_by: EndedBy | None = None

    @property
    def slot(self) -> tuple[str, str, Kid]:
        return self.holder, self.device, self.kid

    def is_open(self, now: int) -> bool:
        return self.ended_at is None and now < self.expires_at


class Streams(Machine):
    """Devices open and stop streams, the operator ends some, and time passes."""

    requests = Bundle("requests")

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.model: dict[Guid, Expected] = {}
        self.count = 0
        self.control = StreamControl(store, lambda: self.now)

    @rule(
        target=requests,
        device=devices,
        kid=kids,
        account=st.sampled_from([None, ACCOUNT]),
        lifetime=st.sampled_from([SHORT, LONG]),
        delay=delays,
    )
    def open(
        self, device: str, kid: Kid, account: AccountId | None, lifetime: int, delay: int
    ) -> object:
        self.count += 1
        row = IssuedLicense(
            device, self.count.to_bytes(32, "big"), 0, kid, bytes(16), "{}", self.now
        )
        policy = Policy(secure_stop=True, valid_for=lifetime)
        request = row, Grant(kid, None, policy, account_id=account), self.now - delay
        return request if self._open(*request) else multiple()

    @rule(request=requests)
    def repeat(self, request: tuple[IssuedLicense, Grant, int]) -> None:
        row, grant, client_time = request
        self._open(replace(row, issued_at=self.now), grant, client_time)

    def _open(self, row: IssuedLicense, grant: Grant, client_time: int) -> bool:
        holders = {grant: StreamHolder(grant.account_id, row.device)}
        opener = LIMITS.opener(holders, client_time, lambda _holder: None)
        allowed = self._expect(row, grant, client_time)
        try:
            with self.store.transaction() as transaction:
                opener.open(transaction, [(row, grant)])
        except ServiceSpecific:
            assert not allowed
            return False
        assert allowed
        return True

    def _expect(self, row: IssuedLicense, grant: Grant, client_time: int) -> bool:
        """Open the stream in the model; return whether the limit allows it."""
        stream_id = stream_id_of(row.request, row.ordinal)
        expires_at = row.issued_at + grant.policy.valid_for
        known = self.model.get(stream_id)
        if known is not None:
            if known.is_open(self.now):
                later = max(known.expires_at, expires_at)
                self.model[stream_id] = replace(known, expires_at=later)
            return True
        holder = StreamHolder(grant.account_id, row.device)
        new = Expected(holder.name, row.device, row.kid, client_time, self.now, expires_at)
        ended, is_renewal = {}, False
        for each, stream in self.model.items():
            if stream.slot == new.slot and stream.ended_at is None:
                is_renewal = stream.is_open(self.now)
                by = EndedBy.RENEWAL if is_renewal else EndedBy.EXPIRY
                at = self.now if is_renewal else stream.expires_at
                ended[each] = replace(stream, ended_at=at, ended_by=by)
        limit = LIMITS.max_per_device if grant.account_id is None else LIMITS.max_per_account
        if not is_renewal and self._open_count(holder.name) >= limit:
            return False
        self.model |= {**ended, stream_id: new}
        return True

    def _open_count(self, holder: str) -> int:
        return sum(
            stream.holder == holder and stream.is_open(self.now) for stream in self.model.values()
        )

    @rule(request=requests, offset=st.sampled_from([-1, 0, 1]))
    def stop(self, request: tuple[IssuedLicense, Grant, int], offset: int) -> None:
        device, kid, update_time = request[0].device, request[0].kid, request[2] + offset
        with self.store.transaction() as transaction:
            transaction.streams.end_stopped(device, kid, update_time, self.now)
        self._end(
            EndedBy.STOP,
            lambda _id, stream: (
                (stream.device, stream.kid) == (device, kid) and stream.client_time <= update_time
            ),
        )

    @rule(request=requests)
    def end(self, request: tuple[IssuedLicense, Grant, int]) -> None:
        stream_id = stream_id_of(request[0].request, 0)
        stream = self.model.get(stream_id)
        try:
            assert self.control.end([stream_id]) == 1
        except ServiceSpecific:
            assert stream is None or not stream.is_open(self.now)
        else:
            assert stream is not None
            assert stream.is_open(self.now)
        self._end(EndedBy.OPERATOR, lambda each, _stream: each == stream_id)

    @rule(account=st.sampled_from([None, ACCOUNT]), device=devices)
    def end_all(self, account: AccountId | None, device: str) -> None:
        holder = StreamHolder(account, device)
        assert self.control.end_all(holder) == self._open_count(holder.name)
        self._end(EndedBy.OPERATOR, lambda _id, stream: stream.holder == holder.name)

    def _end(self, by: EndedBy, is_meant: object) -> None:
        assert callable(is_meant)
        self.model = {
            each: replace(stream, ended_at=self.now, ended_by=by)
            if stream.is_open(self.now) and is_meant(each, stream)
            else stream
            for each, stream in self.model.items()
        }

    @rule(seconds=st.sampled_from([0, 1, 5, SHORT, LONG]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(age=st.sampled_from([0, SHORT]))
    def purge(self, age: int) -> None:
        before = self.now - age
        with self.store.transaction() as transaction:
            transaction.streams.remove_old(before)
        self.model = {
            each: stream
            for each, stream in self.model.items()
            if (stream.expires_at if stream.ended_at is None else stream.ended_at) >= before
        }

    @invariant()
    def agrees(self) -> None:
        with self.store.reading() as found:
            recorded = found.streams.find_all(self.now, ended=True)
            open_ids = {each.stream_id for each in found.streams.find_all(self.now)}
        assert self.model == {
            each.stream_id: Expected(
                each.holder,
                each.device,
                each.kid,
                each.client_time,
                each.opened_at,
                each.expires_at,
                each.ended_at,
                each.ended_by,
            )
            for each in recorded
        }
        assert open_ids == {each for each, stream in self.model.items() if stream.is_open(self.now)}
        slots = [self.model[each].slot for each in open_ids]
        assert len(slots) == len(set(slots))


def test_streams_are_those_of_the_model(store: Store) -> None:
    run_machine(Streams, store, steps=40)
