"""Whatever devices report, the ledger has the licences and deletions of a small model."""

from contextlib import suppress
from dataclasses import replace
from hashlib import sha256

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, invariant, rule

from rightsmanager.admin.ledger import LedgerReader
from rightsmanager.protocol.wire import Kid, SessionId, TransactionId
from rightsmanager.store.database import Store, Transaction
from rightsmanager.store.ledger import DeletedKid, LedgerEntry, LicenseState
from tests.operations.states import Machine, run_machine

DEVICES = ("A" * 43 + "=", "B" * 43 + "=")
KIDS = tuple(Kid(bytes([number]) * 16) for number in (1, 2, 3))
SESSIONS = tuple(SessionId(bytes([number]) * 16) for number in (7, 8))
FAILURE = 0x80070070

devices = st.sampled_from(DEVICES)
kids = st.sampled_from(KIDS)


class Interrupted(BaseException):
    """Not an Exception, like the end of a worker."""


class Ledger(Machine):
    """Devices get persistent licences, acknowledge and delete them, and time passes."""

    entries = Bundle("entries")

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.model: list[LedgerEntry] = []
        self.results: dict[tuple[TransactionId, str, Kid], int] = {}
        self.deletions: dict[tuple[str, SessionId], bytes] = {}
        self.deleted: dict[str, list[DeletedKid]] = {device: [] for device in DEVICES}

    def _new_entry(self, device: str, kid: Kid, lifetime: int | None, *, asks: bool) -> LedgerEntry:
        number = len(self.model) + 1
        return LedgerEntry(
            request=number.to_bytes(32, "big"),
            ordinal=0,
            device=device,
            kid=kid,
            license_id=number.to_bytes(16, "big"),
            transaction_id=TransactionId(number.to_bytes(16, "big")) if asks else None,
            issued_at=self.now,
            expires_at=None if lifetime is None else self.now + lifetime,
        )

    @rule(
        target=entries,
        device=devices,
        kid=kids,
        lifetime=st.sampled_from([None, 5, 100]),
        asks=st.booleans(),
    )
    def issue(self, device: str, kid: Kid, lifetime: int | None, *, asks: bool) -> LedgerEntry:
        entry = self._new_entry(device, kid, lifetime, asks=asks)
        with self.store.transaction() as transaction:
            transaction.ledger.record(entry)
        self.model.append(entry)
        return entry

    @rule(entry=entries)
    def issue_again(self, entry: LedgerEntry) -> None:
        with self.store.transaction() as transaction:
            transaction.ledger.record(replace(entry, license_id=bytes(16), issued_at=self.now))

    @rule(entry=entries, result=st.sampled_from([0, FAILURE]))
    def acknowledge(self, entry: LedgerEntry, result: int) -> None:
        if entry.transaction_id is None:
            return
        key = entry.transaction_id, entry.device, entry.kid
        with self.store.transaction() as transaction:
            recorded = transaction.acknowledgements.record(*key, result, self.now)
        assert recorded == self.results.setdefault(key, result)

    @rule(device=devices, session=st.sampled_from(SESSIONS), named=st.sets(kids, min_size=1))
    def delete(self, device: str, session: SessionId, named: set[Kid]) -> None:
        ordered = sorted(named, key=lambda kid: kid.raw)
        digest = sha256(b"".join(kid.raw for kid in ordered)).digest()
        with self.store.transaction() as transaction:
            known = self._delete(transaction, device, session, ordered, digest)
        assert known == self.deletions.get((device, session))
        if known is not None:
            return
        self.deletions[device, session] = digest
        for kid in ordered:
            issued = any((each.device, each.kid) == (device, kid) for each in self.model)
            self.deleted[device].append(DeletedKid(session, kid, issued, self.now))
        self.model = [
            replace(each, deleted_at=self.now)
            if each.device == device and each.kid in named and each.deleted_at is None
            else each
            for each in self.model
        ]

    def _delete(
        self,
        transaction: Transaction,
        device: str,
        session: SessionId,
        named: list[Kid],
        digest: bytes,
    ) -> bytes | None:
        known = transaction.ledger.record_deletion(device, session, digest, self.now)
        if known is None:
            for kid in named:
                transaction.ledger.delete(device, session, kid, self.now)
        return known

    @rule(device=devices, session=st.sampled_from(SESSIONS), kid=kids)
    def break_off(self, device: str, session: SessionId, kid: Kid) -> None:
        with suppress(Interrupted), self.store.transaction() as transaction:
            transaction.ledger.record(self._new_entry(device, kid, None, asks=False))
            self._delete(transaction, device, session, [kid], bytes(32))
            raise Interrupted

    @rule(seconds=st.sampled_from([1, 5, 100]))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def agrees(self) -> None:
        for device in DEVICES:
            with self.store.reading() as found:
                recorded = found.ledger.find_all(device)
                deleted = found.ledger.find_deleted_kids(device)
            assert recorded == [
                self._expected(each) for each in self.model if each.device == device
            ]
            in_order = sorted(
                self.deleted[device],
                key=lambda each: (each.deleted_at, each.session_id.raw, each.kid.raw),
            )
            assert deleted == in_order
            for kid in KIDS:
                self._check_answer(device, kid, [each for each in recorded if each.kid == kid])

    def _check_answer(self, device: str, kid: Kid, entries: list[LedgerEntry]) -> None:
        usable = {LicenseState.ISSUED, LicenseState.ACKNOWLEDGED}
        must = not any(entry.state(self.now) in usable for entry in entries)
        reader = LedgerReader(self.store, lambda: self.now)
        assert reader.ask(device, kid).must_ask_again == must

    def _expected(self, entry: LedgerEntry) -> LedgerEntry:
        if entry.transaction_id is None:
            return entry
        key = entry.transaction_id, entry.device, entry.kid
        return replace(entry, result=self.results.get(key))


def test_the_ledger_is_that_of_the_model(store: Store) -> None:
    run_machine(Ledger, store)
