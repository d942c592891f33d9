"""What C14 holds a recipe against: one place that knows its calls, settings, words and items."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.conformance.finding import Finding
from gateway.conformance.folder import Folder
from gateway.conformance.mistakes import near
from gateway.conformance.reader import Loc
from gateway.conformance.walking import texts
from gateway.contract.manifest import Manifest
from gateway.contract.recipe import Call, Read, Recipe, Test, Value
from gateway.hosting.recipes.expressions import BadExpression, compiled, pattern
from gateway.hosting.recipes.places import BadPlace, template

FILE: Final = "recipe.yaml"


@dataclass(frozen=True, slots=True)
class Names:
    """A folder with its manifest and recipe, both whole."""

    folder: Folder
    manifest: Manifest
    recipe: Recipe

    def said(self, loc: Loc, message: str, cure: str = "", *, key: bool = False) -> Finding:
        """A finding about a value of the recipe."""
        return self.folder.at(FILE, loc, message, cure, key=key)

    def unknown(self, loc: Loc, kind: str, name: str, known: Collection[str]) -> Finding:
        """`no call named 'balanse'; did you mean 'balance'?`."""
        cure = near(name, known) or f"the {kind}s are {', '.join(sorted(known)) or '(none)'}"
        return self.said(loc, f"no {kind} named {name!r}", cure)

    def reads(self, call: str) -> tuple[Read, Mapping[str, str]]:
        """How the answer of a call is read, and its prefixes."""
        spec = self.recipe.calls[call]
        return (spec.unwrap.as_ if spec.unwrap else spec.read), spec.ns

    def expression(
        self, loc: Loc, text: str, read: Read, ns: Mapping[str, str] = {}
    ) -> Iterator[Finding]:
        """An expression that is not one of ours."""
        try:
            compiled(text, read, ns)
        except BadExpression as error:
            yield self.said(loc, str(error), error.cure)

    def test(
        self, loc: Loc, test: Test, read: Read, ns: Mapping[str, str] = {}
    ) -> Iterator[Finding]:
        """A test whose place or pattern does not compile."""
        yield from self.expression((*loc, "at"), test.at, read, ns)
        yield from self.pattern((*loc, "matches"), test.matches)

    def pattern(self, loc: Loc, text: str | None) -> Iterator[Finding]:
        """A pattern that RE2 does not take."""
        try:
            if text is not None:
                pattern(text)
        except BadExpression as error:
            yield self.said(loc, str(error), error.cure)

    def word(self, loc: Loc, key: str) -> Iterator[Finding]:
        """A words key that is in neither words file."""
        known = {*self.folder.words["zh"], *self.folder.words["en"]}
        if key not in known:
            cure = near(key, known) or "add it to words.zh.yaml and words.en.yaml"
            yield self.said(loc, f"no words named {key!r}", cure)

    def shown(self, loc: Loc, value: Value | str) -> Iterator[Finding]:
        """Words that the map of a value shows."""
        if isinstance(value, str):
            return
        for raw, said in (value.map or {}).items():
            if isinstance(said, str) and said.startswith("@"):
                yield from self.word((*loc, "map", raw), said[1:])
        if isinstance(value.else_, str) and value.else_.startswith("@"):
            yield from self.word((*loc, "else"), value.else_[1:])

    def places(self, loc: Loc, value: Any, before: Collection[str] = ()) -> Iterator[Finding]:
        """Places in texts that are sent: settings, earlier calls, what is known of the ask."""
        for way, text in texts(value, loc):
            try:
                taken = template(text)
            except BadPlace as error:
                yield self.said(way, str(error))
                continue
            for place in taken.places:
                if place.source == "setting" and place.name not in self.manifest.settings:
                    yield self.unknown(way, "setting", place.name, self.manifest.settings)
                elif place.source == "call":
                    yield from self._kept(way, place.name, before)

    def _kept(self, way: Loc, name: str, before: Collection[str]) -> Iterator[Finding]:
        call, _, kept = name.partition(".")
        spec: Call | None = self.recipe.calls.get(call)
        if spec is None:
            yield self.unknown(way, "call", call, self.recipe.calls)
        elif kept not in spec.keep:
            yield self.unknown(way, f"value kept by {call}", kept, spec.keep)
        elif call not in before:
            cure = "list it first in the card's `from:`"
            yield self.said(way, f"call {call!r} is not made before this one", cure)
