"""A card's values out of the documents of its calls.

Facts and rows take the kinds that the manifest gives them. What comes from an optional call may be
missing, as may fields of rows and facts that the manifest calls optional; all else that is missing,
unmapped or not of its kind is `CallOwner`. A state whose value is missing or empty is looked up as
`""` in its map, then `else`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from gateway.contract.answer import AnswerState, CardAnswer, Empty, Row
from gateway.contract.card import FactKind
from gateway.contract.failure import CallOwner
from gateway.contract.manifest import CardSpec
from gateway.contract.recipe import CardRecipe, Items, StateRule, ValueOrExpression
from gateway.hosting.recipes.answers import test
from gateway.hosting.recipes.expressions import BadExpression, Expression, Tested, spelled
from gateway.hosting.recipes.values import Reader, broken, reader

MAX_ROWS: Final = 5000
MAX_STAGE: Final = 60
Documents = Mapping[str, Any]
Place = Callable[[str, str | None], Expression]  # an expression over a call's document


@dataclass(frozen=True, slots=True)
class Rows:
    """Compiled `items`."""

    spec: Items
    source: str
    each: Expression
    fields: Mapping[str, Reader]
    where: Tested | None

    def read(self, documents: Documents) -> tuple[Row, ...]:
        """The rows that pass, in order, as many as are wanted."""
        document = documents.get(self.source)
        found = self.each.every(document) if document is not None else []
        if len(found) > MAX_ROWS:
            raise broken("items", f"more than {MAX_ROWS} rows")
        if self.where is not None:
            found = [row for row in found if self.where.holds(row)]
        if self.spec.sort is None:
            found = found[: self.spec.limit]
        rows = [{name: field.read(row) for name, field in self.fields.items()} for row in found]
        if self.spec.sort is not None:
            rows = _sorted(rows, self.spec.sort, descending=self.spec.descending)
        return tuple(rows[: self.spec.limit])


def _sorted(rows: list[Row], name: str, *, descending: bool) -> list[Row]:
    """Rows by one field, those without it last; of one kind, so they compare."""
    there = [row for row in rows if row.get(name) is not None]
    lost = [row for row in rows if row.get(name) is None]
    try:
        there.sort(key=lambda row: row[name], reverse=descending)  # type: ignore[arg-type,return-value]  # None is left out, kinds are equal
    except TypeError:
        raise broken(name, "values that do not compare") from None
    return there + lost


@dataclass(frozen=True, slots=True)
class Standing:
    """A compiled state rule."""

    spec: StateRule
    source: str
    at: Expression
    stage: Reader | None
    holder: Reader | None
    due: Reader | None

    def read(self, documents: Documents) -> dict[str, Any]:
        """State, stage, holder and due date as a `CardAnswer` takes them."""
        document = documents.get(self.source)
        raw = self.at.one(document) if document is not None else None
        said = "" if raw is None or isinstance(raw, dict | list) else spelled(raw)
        state = self.spec.map.get(said, self.spec.else_)
        if state is None:
            if document is not None:
                raise broken(
                    "state", "missing" if not said else "a code that the map does not hold"
                )
            state = AnswerState.READY  # its call was optional
        due = _value(self.due, documents, self.source)
        return {
            "state": state,
            "stage": _short(_value(self.stage, documents, self.source)),
            "holder": _short(_value(self.holder, documents, self.source)),
            "due": date.fromisoformat(str(due)) if due else None,
        }


def _value(field: Reader | None, documents: Documents, source: str) -> Any:
    return None if field is None else field.read(documents.get(field.source or source))


def _short(value: Any) -> str | None:
    return None if value is None else str(value)[:MAX_STAGE]


@dataclass(frozen=True, slots=True)
class CardReader:
    """One compiled card."""

    first: str  # the call whose document is meant where none is named
    facts: Mapping[str, Reader]
    items: Rows | None
    empty_when: Tested | None
    empty_if_no_items: bool
    state: Standing | None
    as_of: Reader | None

    def read(self, documents: Documents) -> CardAnswer | Empty:
        """The card's values.

        Raises:
            CallOwner: the documents are not what was promised; no value of them is named.
        """
        first = documents.get(self.first)
        if self.empty_when is not None and self.empty_when.holds(first):
            return Empty()
        facts = {
            name: field.read(documents.get(field.source or self.first))
            for name, field in self.facts.items()
        }
        items = self.items.read(documents) if self.items else ()
        standing = self.state.read(documents) if self.state else {}
        waiting = standing.get("state", AnswerState.READY) is not AnswerState.READY
        if self.empty_if_no_items and not items and not waiting:
            return Empty()
        as_of = (
            self.as_of.read(documents.get(self.as_of.source or self.first)) if self.as_of else None
        )
        made = datetime.fromisoformat(str(as_of)) if as_of else None
        return CardAnswer(facts=facts, items=items, as_of=made, **standing)


def card_reader(
    spec: CardRecipe, declared: CardSpec, place: Place, sources: tuple[str, ...], optional: set[str]
) -> CardReader:
    """Compile a card; `place` compiles an expression over a call's document.

    Raises:
        BadExpression: an expression out of our grammar, or a call that the card does not make.
    """
    first = sources[0]
    kinds = {fact.id: fact for fact in declared.facts}

    def field(
        name: str,
        said: ValueOrExpression,
        kind: FactKind,
        *,
        may_miss: bool,
        default: str | None = None,
    ) -> Reader:
        source = (None if isinstance(said, str) else said.from_) or default
        at = place(said if isinstance(said, str) else said.at, source)
        free = may_miss or (source or first) in optional
        return reader(name, said, at, kind, optional=free)

    facts = {}
    for name, said in spec.facts.items():
        if name not in kinds:
            raise BadExpression(f"the manifest's card {declared.id!r} has no fact {name!r}")
        facts[name] = field(name, said, kinds[name].kind, may_miss=kinds[name].optional)
    return CardReader(
        first=first,
        facts=facts,
        items=_rows(spec.items, declared, place, first) if spec.items else None,
        empty_when=(
            test(spec.empty_when, lambda text: place(text, None)) if spec.empty_when else None
        ),
        empty_if_no_items=spec.empty_if_no_items,
        state=_standing(spec.state, place, first, field) if spec.state else None,
        as_of=(
            field("as_of", spec.as_of, FactKind.DATETIME, may_miss=True) if spec.as_of else None
        ),
    )


def _rows(spec: Items, declared: CardSpec, place: Place, first: str) -> Rows:
    kinds = declared.items.kinds if declared.items else {}

    def inside(text: str) -> Expression:
        return place(text, spec.from_)

    fields = {}
    for name, said in spec.fields.items():
        at = inside(said if isinstance(said, str) else said.at)
        fields[name] = reader(name, said, at, kinds.get(name, FactKind.TEXT), optional=True)
    if spec.sort is not None and spec.sort not in fields:
        raise BadExpression(f"items are sorted by {spec.sort!r}, which is no field of theirs")
    return Rows(
        spec=spec,
        source=spec.from_ or first,
        each=inside(spec.each),
        fields=fields,
        where=test(spec.where, inside) if spec.where else None,
    )


def _standing(spec: StateRule, place: Place, first: str, field: Callable[..., Reader]) -> Standing:
    def words(name: str, said: ValueOrExpression | None, kind: FactKind) -> Reader | None:
        if said is None:
            return None
        return field(name, said, kind, may_miss=True, default=spec.from_)

    return Standing(
        spec=spec,
        source=spec.from_ or first,
        at=place(spec.at, spec.from_),
        stage=words("stage", spec.stage, FactKind.TEXT),
        holder=words("holder", spec.holder, FactKind.TEXT),
        due=words("due", spec.due, FactKind.DATE),
    )


def unpromised(card: str) -> CallOwner:
    """A card was asked for that the recipe does not make."""
    return CallOwner(what=f"the recipe makes no card {card[:31]!a}")
