"""C12: every sample gives exactly the card, emptiness or failure that it declares."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from gateway.clock import CITY_ZONE
from gateway.conformance.bench import recorded
from gateway.conformance.code import report_of
from gateway.conformance.finding import Finding
from gateway.conformance.folder import Folder
from gateway.contract.answer import CardAnswer, Empty
from gateway.contract.failure import AskCitizen, CallOwner, Failure, ShowLast, TryAgain
from gateway.contract.hooks import CardAsk
from gateway.contract.ids import Subject
from gateway.contract.manifest import CardSpec
from gateway.contract.recipe import Recipe
from gateway.contract.sample import Recorded, Sample
from gateway.hosting.draft import Draft
from gateway.hosting.failures import MissingClaim, NoAnswer, Sent
from gateway.hosting.outbound import Received
from gateway.hosting.outcome import Reason
from gateway.hosting.package import Package
from gateway.hosting.recipes.program import BadRecipe, Given, Program, program
from gateway.hosting.standard import Standard

Runner = Program | Standard
Seen = dict[str, Any]  # {"card": …} | {"empty": …} | {"failure": …, "words": …} | {"bug": …}
WORDS: Final = {
    TryAgain: "try_again",
    ShowLast: "show_last",
    CallOwner: "call_owner",
    AskCitizen: "ask_citizen",
}
_LOST: Final = {"timeout": Reason.TIMEOUT, "reset": Reason.UNREACHABLE}
_SECONDS: Final = 10.0
MOST_TITLE, MOST_NOTE, MOST_WHEN, MOST_VALUE = 60, 80, 40, 60


def samples_hold(folder: Folder) -> Iterator[Finding]:
    """C12: every sample yields exactly its expected card, within the card's limits."""
    package = folder.package
    if package is None:
        return
    for path, seen in outcomes(folder, package).items():
        sample = folder.samples[path]
        for name in sorted(set(seen.get("unknown", ()))):
            message = f"the plugin asks {name}, for which there is no recorded answer"
            yield folder.at(path, ("answers",), message, f"record it under `{name}:`", key=True)
        if "bug" in seen:
            line = seen.get("line", 1)
            yield Finding(
                "plugin.py" if "plugin.py" in folder.files else path, line, 1, "", "error", "",
                f"sample {path} ends in {seen['bug']}", "mend it, or expect a failure",
            )  # fmt: skip
            continue
        yield from _compared(folder, path, sample, seen)
        yield from _missing_files(folder, path, sample)
    yield from _uncovered(folder, package)


def _uncovered(folder: Folder, package: Package) -> Iterator[Finding]:
    """A card without any sample of a good answer promises nothing."""
    shown = {s.card for s in folder.samples.values() if s.expect.card is not None}
    for number, card in enumerate(package.manifest.cards):
        if card.id not in shown:
            cure = "record one answer in samples/ and say which card it gives"
            message = f"no sample shows card {card.id!r}"
            yield folder.at("plugin.yaml", ("cards", number, "id"), message, cure)


def _missing_files(folder: Folder, path: str, sample: Sample) -> Iterator[Finding]:
    for call, answers in sample.answers.items():
        for one in (answers,) if isinstance(answers, Recorded) else answers:
            if one.file is not None and f"samples/{one.file}" not in folder.files:
                message = f"there is no file samples/{one.file}"
                yield folder.at(path, ("answers", call), message, "record it there")


def outcomes(folder: Folder, package: Package) -> dict[str, Seen]:
    """What each sample gives, by its path."""
    if package.manifest.kind == "code":
        seen: dict[str, Seen] = report_of(folder).get("samples", {})
        return seen
    if package.recipe is None:
        return {}
    try:
        made = runner(package, package.recipe)
    except BadRecipe:
        return {}  # C14 says so
    return asyncio.run(_all(folder, package, made))


def runner(package: Package, recipe: Recipe) -> Runner:
    """What asks a plugin that has no code: its recipe, or the standard contract."""
    return Standard(recipe) if package.manifest.kind == "standard" else program(package)


async def _all(folder: Folder, package: Package, made: Runner) -> dict[str, Seen]:
    cards = {card.id for card in package.manifest.cards}
    return {
        path: await _one(folder, package, made, sample)
        for path, sample in folder.samples.items()
        if sample.card in cards
    }


async def _one(folder: Folder, package: Package, made: Runner, sample: Sample) -> Seen:
    """Run one sample through the recipe, with its recorded answers instead of a department."""
    unknown: list[str] = []

    # the names are those of `Exchange`
    async def exchange(call: str, draft: Draft, seconds: float) -> Received:  # noqa: ARG001 - see above
        one = sample.answers.get(call)
        if isinstance(one, tuple):
            one = one[0] if one else None
        if one is None:
            unknown.append(call)
            raise NoAnswer(Reason.UNREACHABLE, Sent.NO, "no recorded answer")
        if one.lost is not None:
            raise NoAnswer(_LOST[one.lost], Sent.MAYBE, "lost in the sample")
        body, kind = recorded(folder, package, one)
        return Received(one.status, {"content-type": kind}, body)

    async def row(_key: str) -> tuple[dict[str, str], datetime] | None:
        if sample.row is None:
            return None
        return dict(sample.row), (sample.row_as_of or sample.now).astimezone(CITY_ZONE)

    given = Given(
        settings=package.settings,
        secret=lambda name: f"sample-{name}",
        now=sample.now.astimezone(CITY_ZONE),
        left=lambda: _SECONDS,
        exchange=exchange,
        row=row,
    )
    try:
        seen = said(await made.card(_ask(package, sample), given))
    except NoAnswer as error:
        seen = failed(error.as_failure())
    except MissingClaim as error:
        seen = {"bug": f"the sample's citizen has no {error.claim}"}
    except Failure as error:
        seen = failed(error)
    return {**seen, "unknown": unknown}


def _ask(package: Package, sample: Sample) -> CardAsk:
    level = next((s.level for s in package.manifest.services if s.id == sample.service), 2)
    return CardAsk(
        service=sample.service,
        card=sample.card,
        subject=Subject("sample"),
        claims=sample.citizen,
        level=level,
        language="zh",
        trace="sample",
        seconds=_SECONDS,
    )


def said(answer: CardAnswer | Empty) -> Seen:
    """An answer as it is compared."""
    return {answer.kind: answer.model_dump(mode="json")}


def failed(error: Failure) -> Seen:
    """A failure as it is compared."""
    word = next((word for kind, word in WORDS.items() if isinstance(error, kind)), "call_owner")
    what = getattr(error, "what", "")
    need = getattr(error, "need", None)
    return {"failure": word, "words": getattr(error, "words", None), "what": what, "need": need}


def _compared(folder: Folder, path: str, sample: Sample, seen: Seen) -> Iterator[Finding]:
    """Each difference between what was declared and what came."""
    expect = sample.expect
    wanted = "card" if expect.card else "empty" if expect.empty else "failure"
    came = next((word for word in ("card", "empty", "failure") if word in seen), "nothing")
    if came != wanted:
        detail = f" ({seen['failure']}: {seen['what']})" if came == "failure" else ""
        message = f"expected {wanted}, it gives {came}{detail}"
        yield folder.at(
            path, ("expect", wanted), message, "mend the recipe or the sample", key=True
        )
        return
    if expect.card is not None:
        yield from _card(folder, path, expect.card, seen["card"])
        yield from _limits(folder, path, sample, seen["card"])
        return
    pairs = [("words", expect.words, seen["empty"]["words"] if came == "empty" else seen["words"])]
    if expect.empty is not None:
        pairs.append(("empty", expect.empty.value, seen["empty"]["reason"]))
    else:
        pairs.append(("failure", expect.failure, seen["failure"]))
    for field, declared, given in pairs:
        if declared != given and not (field == "words" and declared is None):
            message = f"expected {declared!r}, it gives {given!r}"
            yield folder.at(path, ("expect", field), message, "mend the recipe or the sample")


def _card(folder: Folder, path: str, card: CardAnswer, came: Seen) -> Iterator[Finding]:
    declared = card.model_dump(mode="json")
    cure = "mend the recipe or the sample"
    for name in {**declared["facts"], **came["facts"]}:
        first, second = declared["facts"].get(name), came["facts"].get(name)
        if first != second:
            message = f"fact {name!r}: expected {first!r}, it gives {second!r}"
            yield folder.at(path, ("expect", "card", "facts", name), message, cure)
    for field in ("items", "state", "stage", "holder", "due", "as_of"):
        first, second = declared[field], came[field]
        if field == "as_of":
            second = None if first is None else second
            first, second = _instant(first), _instant(second)
        if first != second:
            message = f"{field}: expected {_short(first)}, it gives {_short(second)}"
            yield folder.at(path, ("expect", "card", field), message, cure)


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 160 else text[:157] + "…"  # noqa: PLR2004 - one line of a terminal


def _limits(folder: Folder, path: str, sample: Sample, came: Seen) -> Iterator[Finding]:
    """Values longer than a card has room for."""
    spec = next(c for c in folder.manifest.cards if c.id == sample.card)  # type: ignore[union-attr]  # it opened
    for name, value in came["facts"].items():
        if isinstance(value, str) and len(value) > MOST_VALUE:
            message = f"fact {name!r} has {len(value)} characters, {MOST_VALUE} fit"
            yield folder.at(path, ("expect", "card", "facts", name), message, "shorten it")
    for number, row in enumerate(came["items"]):
        for field, text, most in _row(folder, spec, row):
            if len(text) > most:
                message = f"{field} of row {number} has {len(text)} characters, {most} fit"
                cure = "show less of it in the card's `items:`"
                yield folder.at(path, ("expect", "card", "items", number), message, cure)


def _row(folder: Folder, spec: CardSpec, row: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """The texts of a shown row with the most that fits."""
    if spec.items is None:
        return
    words = folder.words["zh"]
    filled = {
        key: words.get(v[1:], v) if isinstance(v, str) and v[:1] == "@" else "" if v is None else v
        for key, v in row.items()
    }
    for field, most in (("title", MOST_TITLE), ("note", MOST_NOTE), ("when", MOST_WHEN)):
        text = getattr(spec.items, field)
        for key, value in filled.items():
            text = text.replace(f"{{{key}}}", str(value))
        yield field, text, most
