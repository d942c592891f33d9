"""C14 for what is asked: calls, errors, drop, probe."""

from collections.abc import Iterator
from typing import Any

from gateway.conformance.finding import Finding
from gateway.conformance.naming import Names
from gateway.conformance.reader import Loc
from gateway.conformance.walking import part, places
from gateway.contract.recipe import Call, Drop, ErrorRule
from gateway.hosting.recipes.expressions import BadExpression, compiled

_SENT = ("path", "query", "headers", "json", "form", "xml", "text", "soap")


def asked(names: Names, raw: Any) -> Iterator[Finding]:
    """Everything about calls; `raw` is the recipe's document."""
    for name, call in names.recipe.calls.items():
        before = _before(names, name)
        for field in _SENT:
            loc: Loc = ("calls", name, field)
            yield from names.places(loc, part(raw, loc), before)
        yield from _read(names, name, call)
    if names.recipe.calls and names.manifest.connect is None:
        cure = "add `connect: {base: …}` to plugin.yaml"
        yield names.said(("calls",), "there are calls and no address to call", cure, key=True)
    for number, rule in enumerate(names.recipe.errors):
        yield from _rule(names, ("errors", number), rule)
    if names.recipe.drop is not None:
        yield from _drop(names, names.recipe.drop, raw)
    yield from _probe(names, raw)


def _before(names: Names, name: str) -> set[str]:
    """Calls that every card makes before this one."""
    befores: list[set[str]] = []
    for card in names.recipe.cards.values():
        order = [source.call for source in card.sources]
        if name in order:
            befores.append(set(order[: order.index(name)]))
    return set.intersection(*befores) if befores else set()


def _read(names: Names, name: str, call: Call) -> Iterator[Finding]:
    loc: Loc = ("calls", name)
    if call.unwrap is not None:
        yield from names.expression((*loc, "unwrap", "at"), call.unwrap.at, call.read, call.ns)
    read, ns = names.reads(name)
    for kept, text in call.keep.items():
        yield from names.expression((*loc, "keep", kept), text, read, ns)
    for number, test in enumerate(call.check):
        yield from names.test((*loc, "check", number), test, read, ns)
    if call.soap is not None:
        for prefix in _prefixes(call):
            if prefix not in call.ns:
                yield names.unknown((*loc, "soap", "body"), "prefix", prefix, call.ns)


def _prefixes(call: Call) -> set[str]:
    """Prefixes of the elements of a SOAP body."""
    found: set[str] = set()
    level: list[Any] = [call.soap.body if call.soap else {}]
    while level:
        value = level.pop()
        if isinstance(value, dict):
            found |= {str(key).partition(":")[0] for key in value if ":" in str(key)}
            level += value.values()
        elif isinstance(value, list):
            level += value
    return found


def _rule(names: Names, loc: Loc, rule: ErrorRule) -> Iterator[Finding]:
    calls = names.recipe.calls
    if rule.call is not None and rule.call not in calls:
        yield names.unknown((*loc, "call"), "call", rule.call, calls)
        return
    if rule.words is not None:
        yield from names.word((*loc, "words"), rule.words)
    yield from names.pattern((*loc, "matches"), rule.matches)
    if rule.soap_fault is not None:
        yield from names.pattern((*loc, "soap_fault", "matches"), rule.soap_fault.matches)
    if rule.at is None:
        return
    for name in (rule.call,) if rule.call else calls:
        read, ns = names.reads(name)
        try:
            compiled(rule.at, read, ns)
        except BadExpression as error:
            cure = error.cure or "say with `call:` whose answers it is about"
            yield names.said((*loc, "at"), f"for call {name!r}: {error}", cure)
            return


def _drop(names: Names, drop: Drop, raw: Any) -> Iterator[Finding]:
    for field in ("folder", "files"):
        yield from names.places(("drop", field), part(raw, ("drop", field)))
    for field in ("key", "as_of"):
        column = getattr(drop, field)
        if column is not None and column not in drop.columns:
            yield names.unknown(("drop", field), "column", column, drop.columns)
    for place in places(drop.done or ""):
        if place != "file":
            cure = 'write "{file}.done"'
            yield names.said(("drop", "done"), f"{{{place}}} is no place that can be filled", cure)


def _probe(names: Names, raw: Any) -> Iterator[Finding]:
    calls, probe = names.recipe.calls, names.recipe.probe
    health = names.manifest.health.get("call")
    if health is not None and health not in calls:
        finding = names.unknown((), "call", health, calls)
        yield names.folder.at("plugin.yaml", ("health", "call"), finding.message, finding.cure)
    if probe is None:
        return
    if probe.call not in calls:
        yield names.unknown(("probe", "call"), "call", probe.call, calls)
        return
    sent = {field: part(raw, ("calls", probe.call, field)) for field in _SENT}
    for place in (p for value in sent.values() for p in _all(value)):
        if place.startswith(("citizen.", "ask.", "call.")):
            cure = "a probe asks without a citizen"
            yield names.said(("probe", "call"), f"{probe.call!r} needs {{{place}}}", cure)


def _all(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from places(value)
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _all(item)
