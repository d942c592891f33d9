"""A recipe brought to life: `Program.card` asks its calls in order and makes the card's values.

It knows no network: `exchange` sends a draft and returns what came, or raises `NoAnswer`. The
worker gives it a department's `Line`, a conformance run recorded answers. Calls run one after
another, because a later one may need what an earlier one kept.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

from gateway.contract.answer import CardAnswer, Empty, Probe
from gateway.contract.failure import CallOwner, Failure
from gateway.contract.hooks import CardAsk
from gateway.contract.manifest import Manifest
from gateway.contract.recipe import CardRecipe, Recipe, Source
from gateway.hosting.draft import Draft
from gateway.hosting.failures import MissingClaim, NoAnswer, Sent
from gateway.hosting.outbound import Received
from gateway.hosting.outcome import Reason
from gateway.hosting.package import Package, SettingValue
from gateway.hosting.recipes.answers import Answers, SaidEmpty, answers
from gateway.hosting.recipes.cards import CardReader, card_reader, unpromised
from gateway.hosting.recipes.expressions import BadExpression, Expression, compiled
from gateway.hosting.recipes.places import BadPlace, Template, Values, template
from gateway.hosting.recipes.requests import Request, request

BIG: Final = 131_072  # bytes; larger answers are read on a thread, off the loop
OPTIONAL_SHARE: Final = 0.6  # of what is left: a slow optional call must not cost the card
_DROP: Final = "drop"
T = TypeVar("T")


class BadRecipe(ValueError):
    """A recipe that cannot be run; `where` names its part ("calls.account.query.x")."""

    def __init__(self, where: str, error: Exception) -> None:
        super().__init__(f"{where}: {error}")
        self.where = where
        self.cure: str = getattr(error, "cure", "")


class Exchange(Protocol):
    """Sends one request of a recipe."""

    async def __call__(self, call: str, draft: Draft, seconds: float) -> Received:
        """Send it; raises `NoAnswer`."""
        ...


@dataclass(frozen=True, slots=True)
class Given:
    """What one ask may use, beside the ask itself."""

    settings: Mapping[str, SettingValue]
    secret: Callable[[str], str]  # raises MissingSecret
    now: datetime  # aware, in the city's zone
    left: Callable[[], float]  # seconds until the deadline
    exchange: Exchange
    row: Callable[[str], Awaitable[tuple[dict[str, str], datetime] | None]] | None = None  # a drop
    threads: Executor | None = None  # None: big answers are read in place


@dataclass(frozen=True, slots=True)
class _Step:
    request: Request
    answers: Answers


@dataclass(frozen=True, slots=True)
class _Card:
    sources: tuple[Source, ...]
    reader: CardReader


class Program:
    """One compiled recipe. Made by `program(package)`; holds nothing of any citizen."""

    def __init__(
        self,
        steps: Mapping[str, _Step],
        cards: Mapping[str, _Card],
        key: Template | None,
        probe: str | None,
    ) -> None:
        self._steps = steps
        self._cards = cards
        self._key = key
        self._probe = probe

    async def card(self, ask: CardAsk, given: Given) -> CardAnswer | Empty:
        """The values of one card for one citizen.

        Raises:
            Failure: as the recipe's rules say, or the answers are not as promised.
            NoAnswer: a call that the card needs got none.
            MissingClaim, MissingSecret: something to be sent is not there.
        """
        card = self._cards.get(ask.card)
        if card is None:
            raise unpromised(ask.card)
        values = Values(ask, given.now, given.settings, given.secret)
        if not card.sources:
            return await self._dropped(card, values, given)
        documents: dict[str, Any] = {}
        size = 0
        for source in card.sources:
            try:
                document, length = await self._call(source, values, given)
            except SaidEmpty as said:
                return said.answer
            documents[source.call] = document
            size += length
        return await _off_loop(given, size, lambda: card.reader.read(documents))

    async def _call(self, source: Source, values: Values, given: Given) -> tuple[Any, int]:
        """One call's document; an optional one may have none, whatever the reason."""
        if not source.optional:
            return await self._ask(source.call, values, given, given.left())
        try:
            return await self._ask(source.call, values, given, given.left() * OPTIONAL_SHARE)
        except (Failure, NoAnswer, MissingClaim, SaidEmpty):
            return None, 0

    async def _ask(
        self, name: str, values: Values, given: Given, seconds: float
    ) -> tuple[Any, int]:
        step = self._steps[name]
        draft = step.request.draft(values)
        if seconds <= 0:
            raise NoAnswer(Reason.TIMEOUT, Sent.NO, "no time is left")
        try:
            got = await given.exchange(name, draft, seconds)
        except NoAnswer as error:
            raise step.answers.lost(error) from None
        size = len(got.body)
        document, kept = await _off_loop(given, size, lambda: step.answers.read(got, given.now))
        values.kept[name] = kept
        return document, size

    async def _dropped(self, card: _Card, values: Values, given: Given) -> CardAnswer | Empty:
        """The card of a row that a department left in a file."""
        if self._key is None or given.row is None:
            raise CallOwner(what="the card has no call and no drop")
        found = await given.row(self._key.fill(values, str))
        if found is None:
            return Empty()
        row, as_of = found
        answer = card.reader.read({_DROP: row})
        return answer if isinstance(answer, Empty) or answer.as_of else replaced(answer, as_of)

    async def probe(self, given: Given) -> Probe:
        """Whether the back end is there and accepts us, by the recipe's probe call."""
        if self._probe is None:
            return Probe(ok=True, note="no probe declared")
        values = Values(None, given.now, given.settings, given.secret)
        try:
            await self._ask(self._probe, values, given, given.left())
        except SaidEmpty:
            pass
        except NoAnswer as error:
            return Probe(ok=False, note=error.what[:200])
        except MissingClaim as error:
            return Probe(ok=False, note=str(error)[:200])
        except Failure as error:
            return Probe(ok=False, note=str(getattr(error, "what", type(error).__name__))[:200])
        return Probe(ok=True)


def replaced(answer: CardAnswer, as_of: datetime) -> CardAnswer:
    """The same answer with the time of its source."""
    return answer.model_copy(update={"as_of": as_of})


async def _off_loop(given: Given, size: int, work: Callable[[], T]) -> T:
    """Read small answers at once, big ones on a thread (CPU over 20 ms leaves the loop)."""
    if size <= BIG or given.threads is None:
        return work()
    return await asyncio.get_running_loop().run_in_executor(given.threads, work)


def program(package: Package) -> Program:
    """Compile a package's recipe.

    Raises:
        BadRecipe: an expression, place or name in it does not hold.
    """
    if package.recipe is None:
        raise BadRecipe("recipe", ValueError("there is none"))
    return compile_recipe(package.recipe, package.manifest)


def compile_recipe(recipe: Recipe, manifest: Manifest) -> Program:
    """Compile a recipe against its manifest; raises `BadRecipe`."""
    charset = manifest.connect.charset if manifest.connect else "auto"
    steps = {}
    for name, call in recipe.calls.items():
        with _at(f"calls.{name}"):
            steps[name] = _Step(request(call, charset), answers(name, call, recipe.errors, charset))
    cards = {}
    for name, card in recipe.cards.items():
        with _at(f"cards.{name}"):
            cards[name] = _card(name, card, manifest, recipe, steps)
    key = None
    if recipe.drop is not None:
        with _at("drop.key_is"):
            key = template(recipe.drop.key_is, allowed=("citizen", "ask"))
    probe = recipe.probe.call if recipe.probe else None
    if probe is not None and probe not in steps:
        raise BadRecipe("probe.call", ValueError(f"no call named {probe!r}"))
    return Program(steps, cards, key, probe)


class _at:  # noqa: N801 - reads as a word
    """Name the part of the recipe in which something does not hold."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        """Begin the part."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """End it, with its name on what went wrong."""
        if isinstance(error, BadExpression | BadPlace):
            raise BadRecipe(self._where, error) from None


def _card(
    name: str, card: CardRecipe, manifest: Manifest, recipe: Recipe, steps: Mapping[str, _Step]
) -> _Card:
    declared = next((spec for spec in manifest.cards if spec.id == name), None)
    if declared is None:
        raise BadExpression(f"the manifest declares no card {name!r}")
    sources = card.sources
    for source in sources:
        if source.call not in steps:
            raise BadExpression(f"no call named {source.call!r}; calls are {', '.join(steps)}")
    if not sources and recipe.drop is None:
        raise BadExpression("`from` names no call and there is no drop")
    names = tuple(source.call for source in sources) or (_DROP,)

    def place(text: str, source: str | None) -> Expression:
        at = source or names[0]
        if at not in names:
            raise BadExpression(f"the card does not ask {at!r}; it asks {', '.join(names)}")
        if at == _DROP:
            return compiled(text, "csv")
        step = steps[at]
        return compiled(text, step.answers.language, step.request.call.ns)

    optional = {source.call for source in sources if source.optional}
    return _Card(sources, card_reader(card, declared, place, names, optional))
