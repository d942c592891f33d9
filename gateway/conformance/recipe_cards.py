"""C14 for what is shown: every card of the manifest has its values in the recipe."""

from collections.abc import Iterator, Mapping

from gateway.conformance.finding import Finding
from gateway.conformance.mistakes import near
from gateway.conformance.naming import Names
from gateway.conformance.reader import Loc
from gateway.conformance.walking import places
from gateway.contract.card import Template
from gateway.contract.manifest import CardSpec
from gateway.contract.recipe import CardRecipe, Items, Read, Value

_ROWS = (Template.LIST, Template.EVENT)
_NONE: Mapping[str, str] = {}


def shown(names: Names) -> Iterator[Finding]:
    """Cards on both sides, their facts, items and states."""
    specs = {card.id: card for card in names.manifest.cards}
    for number, spec in enumerate(names.manifest.cards):
        if spec.id not in names.recipe.cards:
            loc: Loc = ("cards", number, "id")
            cure = f"add cards.{spec.id} to recipe.yaml"
            message = f"the recipe has no card {spec.id!r}"
            yield names.folder.at("plugin.yaml", loc, message, cure)
    for name, card in names.recipe.cards.items():
        if name not in specs:
            cure = near(name, specs) or "declare it under `cards:` in plugin.yaml"
            yield names.said(("cards", name), f"no card named {name!r}", cure, key=True)
            continue
        yield from _card(names, name, card, specs[name])


def _card(names: Names, name: str, card: CardRecipe, spec: CardSpec) -> Iterator[Finding]:
    loc: Loc = ("cards", name)
    lost = [source.call for source in card.sources if source.call not in names.recipe.calls]
    if lost:
        yield names.unknown((*loc, "from"), "call", lost[0], names.recipe.calls)
        return
    if not card.sources and names.recipe.drop is None:
        yield names.said(loc, "neither calls nor a drop", "add `from:` with a call", key=True)
        return
    reading = _Reading(names, card)
    yield from _facts(reading, loc, card, spec)
    yield from _items(reading, loc, card.items, spec)
    if card.empty_when is not None:
        yield from reading.at((*loc, "empty_when", "at"), card.empty_when.at)
        yield from names.pattern((*loc, "empty_when", "matches"), card.empty_when.matches)
    if card.as_of is not None:
        yield from reading.value((*loc, "as_of"), card.as_of)
    yield from _state(reading, (*loc, "state"), card)


class _Reading:
    """Which answer each value of one card is read from."""

    def __init__(self, names: Names, card: CardRecipe) -> None:
        self.names = names
        self.calls = [source.call for source in card.sources]

    def value(self, loc: Loc, value: Value | str) -> Iterator[Finding]:
        """One value: its call, its expression, the words that it shows."""
        source = None if isinstance(value, str) else value.from_
        yield from self.at(loc, value if isinstance(value, str) else value.at, source)
        yield from self.names.shown(loc, value)

    def at(self, loc: Loc, text: str, source: str | None = None) -> Iterator[Finding]:
        """An expression over the answer of a call of this card, or over the drop's row."""
        if source is not None and source not in self.calls:
            yield self.names.unknown((*loc, "from"), "call of this card", source, self.calls)
            return
        if self.calls:
            read, ns = self.names.reads(source or self.calls[0])
            yield from self.names.expression((*loc, "at"), text, read, ns)
            return
        drop = self.names.recipe.drop
        if drop is not None and text not in drop.columns:
            yield self.names.unknown((*loc, "at"), "column", text, drop.columns)

    def part(self, loc: Loc, text: str, source: str | None) -> Iterator[Finding]:
        """An expression over one row of a list: no prefix but those of its call."""
        read: Read = "csv"
        ns = _NONE
        if self.calls:
            read, ns = self.names.reads(source or self.calls[0])
        yield from self.names.expression((*loc, "at"), text, "json" if read == "csv" else read, ns)


def _facts(reading: _Reading, loc: Loc, card: CardRecipe, spec: CardSpec) -> Iterator[Finding]:
    names = reading.names
    declared = {fact.id: fact for fact in spec.facts}
    for fact, value in card.facts.items():
        way = (*loc, "facts", fact)
        if fact not in declared:
            cure = near(fact, declared) or "declare it in the card's `facts:` in plugin.yaml"
            yield names.said(way, f"the card has no fact {fact!r}", cure, key=True)
        yield from reading.value(way, value)
    for fact, said in declared.items():
        if fact not in card.facts and not said.optional:
            cure = "say where it stands, or declare it optional"
            yield names.said((*loc, "facts"), f"fact {fact!r} has no value", cure, key=True)
    for field in ("zh", "en"):
        for place in places(getattr(spec.speak, field)):
            if place not in declared:
                way = ("cards", names.manifest.cards.index(spec), "speak", field)
                cure = near(place, declared) or f"facts are {', '.join(declared) or '(none)'}"
                message = f"{{{place}}} is no fact of this card"
                yield names.folder.at("plugin.yaml", way, message, cure)


def _items(reading: _Reading, loc: Loc, items: Items | None, spec: CardSpec) -> Iterator[Finding]:
    names = reading.names
    number = names.manifest.cards.index(spec)
    if spec.items is None:
        if items is not None:
            cure = "say in plugin.yaml how a row is shown: `items: {title: …}`"
            yield names.said((*loc, "items"), "the card shows no rows", cure, key=True)
        elif spec.template in _ROWS:
            cure = "say how a row is shown: `items: {title: …}`"
            message = f"a card of template {spec.template} has rows"
            yield names.folder.at("plugin.yaml", ("cards", number), message, cure)
        return
    if items is None:
        yield names.said(loc, "the card's rows have no values", "add `items:`", key=True)
        return
    way = (*loc, "items")
    yield from reading.at((*way, "each"), items.each, items.from_)
    for field, value in items.fields.items():
        text = value if isinstance(value, str) else value.at
        yield from reading.part((*way, "fields", field), text, items.from_)
        yield from names.shown((*way, "fields", field), value)
    if items.sort is not None and items.sort not in items.fields:
        yield names.unknown((*way, "sort"), "field", items.sort, items.fields)
    if items.where is not None:
        yield from reading.part((*way, "where"), items.where.at, items.from_)
        yield from names.pattern((*way, "where", "matches"), items.where.matches)
    yield from _row(names, number, items, spec)


def _row(names: Names, number: int, items: Items, spec: CardSpec) -> Iterator[Finding]:
    """Places of the shown row, and kinds and masks, name fields of the recipe."""
    shown_as = spec.items
    if shown_as is None:
        return
    named = [
        ((field,), place)
        for field in ("title", "note", "when")
        for place in places(getattr(shown_as, field))
    ]
    named += [(("kinds", field), field) for field in shown_as.kinds]  # type: ignore[misc]  # ways of two parts
    named += [(("masks", field), field) for field in shown_as.masks]  # type: ignore[misc]  # ways of two parts
    for way, field in named:
        if field not in items.fields:
            cure = near(field, items.fields) or f"fields are {', '.join(items.fields)}"
            loc = ("cards", number, "items", *way)
            yield names.folder.at("plugin.yaml", loc, f"no field named {field!r}", cure)


def _state(reading: _Reading, loc: Loc, card: CardRecipe) -> Iterator[Finding]:
    state = card.state
    if state is None:
        return
    yield from reading.at(loc, state.at, state.from_)
    for field in ("stage", "holder", "due"):
        value = getattr(state, field)
        if value is None:
            continue
        if isinstance(value, str) and state.from_ is not None:
            yield from reading.at((*loc, field), value, state.from_)
        else:
            yield from reading.value((*loc, field), value)
