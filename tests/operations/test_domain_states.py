"""Whatever devices and the operator do, a domain has the members of a small model."""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from rightsmanager.admin.refusals import Conflict
from rightsmanager.errors import DeviceLimitReached, NotADomainMember, Refusal, UnknownAccountId
from rightsmanager.store.database import Store
from tests.operations.states import Machine, run_machine
from tests.operations.test_domain import ACCOUNT, ONE, SAYING, THREE, TWO, Subject, device_of

CLIENTS = (ONE, TWO, THREE)
MEMBER, LEFT, REMOVED = "member", "left", "removed"

clients = st.sampled_from(range(3))


class Domain(Machine):
    """Three devices join and leave an account that the operator changes."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.subject = Subject(store)
        self.limit = self.subject.terms.limit
        self.exists = self.is_closed = False
        self.revision = 1
        self.states: dict[int, str] = {}
        self.seen: set[tuple[str, int, int]] = set()
        """Operation, device and time of each request that was accepted."""
        self.time = SAYING.time

    def _members(self) -> int:
        return list(self.states.values()).count(MEMBER)

    def _request(self, operation: str, number: int, *, is_new: bool) -> Refusal | None:
        """Send a join or leave, the last one of its kind again unless it is new."""
        self.time += is_new
        saying = replace(SAYING, time=self.time)
        send = self.subject.join if operation == "join" else self.subject.leave
        try:
            send(CLIENTS[number], saying)
        except Refusal as refusal:
            return refusal
        return None

    @rule(number=clients, is_new=st.booleans())
    def join(self, number: int, *, is_new: bool) -> None:
        refusal = self._request("join", number, is_new=is_new)
        request = "join", number, self.time
        state = self.states.get(number)
        if self.is_closed:
            assert isinstance(refusal, UnknownAccountId)
        elif state == REMOVED or (state == LEFT and request in self.seen):
            assert isinstance(refusal, NotADomainMember)
        elif state != MEMBER and self._members() >= self.limit:
            assert isinstance(refusal, DeviceLimitReached)
        else:
            assert refusal is None
            self.exists = True
            self.states[number] = MEMBER
            self.seen.add(request)

    @rule(number=clients, is_new=st.booleans())
    def leave(self, number: int, *, is_new: bool) -> None:
        refusal = self._request("leave", number, is_new=is_new)
        request = "leave", number, self.time
        if not self.exists:
            assert isinstance(refusal, UnknownAccountId)
        elif request in self.seen:
            assert refusal is None
        elif self.states.get(number) != MEMBER:
            assert isinstance(refusal, NotADomainMember)
        else:
            assert refusal is None
            self.states[number] = LEFT
            self.seen.add(request)

    @rule(number=clients)
    def remove(self, number: int) -> None:
        try:
            self.subject.administration.remove(ACCOUNT, device_of(CLIENTS[number]))
        except UnknownAccountId:
            assert not self.exists
        except NotADomainMember:
            assert self.states.get(number) != MEMBER
        else:
            assert self.states[number] == MEMBER
            self.states[number] = REMOVED
            self.revision += 1

    @rule(number=clients)
    def allow(self, number: int) -> None:
        try:
            self.subject.administration.allow(ACCOUNT, device_of(CLIENTS[number]))
        except UnknownAccountId:
            assert not self.exists
        except Conflict:
            assert self.states.get(number) != REMOVED
        else:
            assert self.states[number] == REMOVED
            self.states[number] = LEFT

    @rule(limit=st.integers(0, 3), is_closed=st.sampled_from([None, None, True, False]))
    def change(self, limit: int, *, is_closed: bool | None) -> None:
        try:
            self.subject.administration.change(ACCOUNT, limit=limit, closed=is_closed)
        except UnknownAccountId:
            assert not self.exists
        except Conflict:
            # Nothing is changed, the limit neither.
            assert is_closed == self.is_closed
        else:
            self.limit = limit
            self.is_closed = self.is_closed if is_closed is None else is_closed

    @rule()
    def renew(self) -> None:
        try:
            self.subject.administration.renew(ACCOUNT)
        except UnknownAccountId:
            assert not self.exists
        else:
            self.revision += 1

    @invariant()
    def agrees(self) -> None:
        recorded = self.subject.recorded()
        assert bool(recorded) == self.exists
        for account, members, revisions in recorded:
            assert account.limit == self.limit
            assert account.members == self._members()
            assert account.revision == revisions == self.revision
            assert (account.closed_at is not None) == self.is_closed
            found = {
                member.device: MEMBER
                if member.is_member
                else LEFT
                if member.removed_at is None
                else REMOVED
                for member in members
            }
            expected = {device_of(CLIENTS[each]): state for each, state in self.states.items()}
            assert found == expected


def test_a_domain_is_that_of_the_model(store: Store) -> None:
    run_machine(Domain, store, steps=25)
