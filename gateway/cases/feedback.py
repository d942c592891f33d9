"""报告问题: what citizens report about a card or page; accepted once, encrypted, with a receipt.

The first inhabitant of `cases`: the idempotency key, the row and its audit event stand in one
ledger transaction, and only then the receipt number is said.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from gateway.audit.events import FeedbackAnswered, FeedbackHandedIn
from gateway.audit.trail import append
from gateway.clock import Clock, instant
from gateway.contract.ids import CitizenId, ServiceId
from gateway.errors import Conflict, Invalid, NotFound
from gateway.store.ids import digest, new_id
from gateway.store.ledger import Ledger
from gateway.store.sealing import BadSeal, Sealer
from gateway.store.tables import citizen as citizens
from gateway.store.tables import feedback as table

MAX_TEXT: Final = 1000
KEY_LENGTH: Final = (16, 64)
State = Literal["new", "read", "answered"]


@dataclass(frozen=True, slots=True)
class Report:
    """One report as staff see it."""

    id: str
    number: str
    service: str
    trace: str
    state: State
    at: int  # microseconds
    text: str
    answer: str


class Feedback:
    """Hands in, lists and answers reports."""

    def __init__(
        self,
        ledger: Ledger,
        sealer: Sealer,
        for_citizen: Callable[[bytes], Sealer],
        clock: Clock,
        prefix: Callable[[], str],
    ) -> None:
        self._ledger = ledger
        self._sealer = sealer  # for what has no citizen
        self._for_citizen = for_citizen
        self._clock = clock
        self._prefix = prefix  # of receipt numbers: the city's letters

    async def hand_in(
        self, text: str, *, key: str, service: str, trace: str, citizen: CitizenId | None
    ) -> str:
        """Keep one report and return its receipt number; the same key again returns the same.

        Raises:
            Invalid: no text, too long a text, or no usable key.
            LedgerAway: it could not be written; nothing was kept.
        """
        text = text.strip()
        if not text or len(text) > MAX_TEXT:
            raise Invalid(members={"fields": [{"field": "text", "message": f"1-{MAX_TEXT}"}]})
        if not KEY_LENGTH[0] <= len(key) <= KEY_LENGTH[1]:
            raise Invalid(members={"fields": [{"field": "key", "message": "16-64"}]})

        def unit(connection: Connection) -> str:
            return self._keep(connection, text, digest(key), service, trace, citizen)

        return await self._ledger.write(unit)

    def _keep(
        self,
        connection: Connection,
        text: str,
        key: str,
        service: str,
        trace: str,
        citizen: CitizenId | None,
    ) -> str:
        known = connection.execute(select(table.c.number).where(table.c.key == key)).scalar()
        if known is not None:
            return str(known)
        now = self._clock.now()
        row: dict[str, object] = {
            "id": new_id(self._clock),
            "key": key,
            "citizen": citizen,
            "service": service[:63],
            "trace": trace[:64],
            "state": "new",
            "at": now,
        }
        row["sealed"] = self._sealer_of(connection, citizen).seal(
            text.encode(), aad=f"feedback:{row['id']}".encode()
        )
        for _ in range(5):
            row["number"] = self._number(now)
            try:
                with connection.begin_nested():
                    connection.execute(insert(table).values(row))
                break
            except IntegrityError:  # the number is taken: draw again
                continue
        else:
            raise Conflict(detail="no free receipt number")
        event = FeedbackHandedIn(number=str(row["number"]), service=ServiceId(service[:63]))
        append(connection, event, at=now)
        return str(row["number"])

    def _number(self, now: int) -> str:
        body = f"{instant(now):%Y%m%d}{secrets.randbelow(1_000_000):06d}"
        return f"{self._prefix()}{body}{check_digit(body)}"

    def _sealer_of(self, connection: Connection, citizen: str | None) -> Sealer:
        if citizen is None:
            return self._sealer
        found = connection.execute(select(citizens.c.dek).where(citizens.c.id == citizen)).scalar()
        return self._sealer if not found else self._for_citizen(found)

    async def recent(self, limit: int = 100) -> list[Report]:
        """The newest reports for staff, unanswered ones first."""

        def unit(connection: Connection) -> list[Report]:
            order = (table.c.state == "answered", table.c.at.desc())
            rows = connection.execute(select(table).order_by(*order).limit(limit)).all()
            return [self._opened(connection, row) for row in rows]

        return await self._ledger.read(unit)

    def _opened(self, connection: Connection, row: Row[Any]) -> Report:
        sealer = self._sealer_of(connection, row.citizen)

        def text(sealed: bytes | None, what: str) -> str:
            if sealed is None:
                return ""
            try:
                return sealer.open(sealed, aad=f"{what}:{row.id}".encode()).decode()
            except BadSeal:  # its citizen was erased: the text went with her key
                return ""

        return Report(
            id=row.id,
            number=row.number,
            service=row.service,
            trace=row.trace,
            state=row.state,
            at=row.at,
            text=text(row.sealed, "feedback"),
            answer=text(row.answer, "answer"),
        )

    async def mark(self, report: str, *, state: State, answer: str, by: CitizenId) -> None:
        """Note that staff read or answered a report.

        Raises:
            NotFound: no such report.
            Invalid: an answer without text.
        """
        if state == "answered" and not answer.strip():
            raise Invalid(members={"fields": [{"field": "answer", "message": f"1-{MAX_TEXT}"}]})

        def unit(connection: Connection) -> None:
            row = connection.execute(select(table).where(table.c.id == report)).one_or_none()
            if row is None:
                raise NotFound
            now = self._clock.now()
            sealed = self._sealer_of(connection, row.citizen).seal(
                answer.strip()[:MAX_TEXT].encode(), aad=f"answer:{row.id}".encode()
            )
            changed: dict[str, object] = {"state": state, "answered_by": by, "answered_at": now}
            if state == "answered":
                changed["answer"] = sealed
            connection.execute(update(table).where(table.c.id == report).values(changed))
            append(connection, FeedbackAnswered(number=row.number, author=by, state=state), at=now)

        await self._ledger.write(unit)


def check_digit(digits: str) -> int:
    """The last digit of a receipt number: Luhn's (ISO/IEC 7812-1), finds one wrong digit."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value  # noqa: PLR2004 - cross sum of two digits
    return -total % 10
