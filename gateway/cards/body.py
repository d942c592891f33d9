"""From a plugin's values to one card document in one language, and the state that goes with it.

The plugin never makes the document: labels, formats, masks, spoken text and lengths are ours and
the manifest's. Whatever the manifest did not promise is refused (`BadAnswer`), never shown.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final

from pydantic import ValidationError

from gateway.cards.saying import SPOKEN, cleaned, clip, day_text, sentence, text_of
from gateway.cards.state import Code, State
from gateway.cards.values import BadValue, shown, word
from gateway.clock import CITY_ZONE, instant, microseconds, rfc3339
from gateway.contract.answer import AnswerState, CardAnswer, Empty, FactValue
from gateway.contract.card import (
    MAX_CARD_BYTES,
    Card,
    Fact,
    FactKind,
    Header,
    ListItem,
    Mask,
    Progress,
    Template,
)
from gateway.contract.manifest import CardSpec, ItemSpec
from gateway.registry.entry import Entry
from gateway.words.loader import Language, say

MAX_ROWS: Final = 20
_PLACE: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_LANGUAGES: Final[dict[Language, str]] = {"zh": "zh-Hans", "en": "en"}
_KEYS: Final = {
    Code.ACTION_REQUIRED: "action",
    Code.IN_PROGRESS: "progress",
    Code.DONE: "done",
}
_LABEL: Final[dict[Language, int]] = {"zh": 12, "en": 24}


class BadAnswer(Exception):
    """The plugin answered what its manifest does not promise; says what, without any value."""


@dataclass(frozen=True, slots=True)
class Made:
    """One card, ready to be kept and shown."""

    body: bytes
    state: State
    as_of: int  # UTC microseconds


@dataclass(frozen=True, slots=True)
class Maker:
    """What is the same for everything made for one service in one language."""

    entry: Entry
    language: Language
    words: Mapping[str, str]  # the plugin's own
    now: int  # UTC microseconds

    def answered(self, answer: CardAnswer) -> Made:
        """The card that a department's values make.

        Raises:
            BadAnswer: they are not what the manifest promises.
        """
        try:
            return self._answered(answer)
        except BadValue as error:
            raise BadAnswer(str(error)) from None
        except ValidationError as error:
            raise BadAnswer(f"{error.errors()[0]['loc']} {error.errors()[0]['type']}") from None

    def _answered(self, answer: CardAnswer) -> Made:
        spec = self._spec()
        if answer.template not in (None, spec.template):
            raise BadAnswer("another template than the declared one")
        as_of = self._as_of(answer.as_of)
        facts, places = self._facts(spec, answer.facts)
        rows = self._rows(spec.items, answer.items)
        stage = _line(answer.stage, self.words)
        holder = _line(answer.holder, self.words)
        spoken = _filled(text_of(spec.speak, self.language), places)
        name = text_of(self.entry.short, self.language)
        told = say(self.language, "card.join").join(
            f"{fact.label}{say(self.language, 'card.colon')}{fact.value}" for fact in facts
        ) or say(self.language, "card.join").join(row.title for row in rows[:3])
        card = Card(
            service=self.entry.id,
            language=_LANGUAGES[self.language],
            template=spec.template,
            header=self._header(),
            facts=tuple(facts),
            items=tuple(rows[:MAX_ROWS]),
            more_items=max(len(rows) - MAX_ROWS, 0),
            progress=self._progress(stage, holder, answer.due),
            as_of=rfc3339(as_of),
            speak=clip(spoken or name, self.language, SPOKEN),
            fallback_text=clip(f"{name} {told}".strip(), self.language, SPOKEN),
        )
        return Made(_fitting(card), self._state(answer, stage), as_of)

    def nothing(self, answer: Empty) -> Made:
        """The card that explains why there is no record.

        Raises:
            BadAnswer: it names a word that the plugin does not have.
        """
        try:
            said = _keyed(answer.words, self.words)
        except BadValue as error:
            raise BadAnswer(str(error)) from None
        spec = self.entry.card
        said = said or (text_of(spec.empty, self.language) if spec is not None else "")
        said = said or say(self.language, "state.empty")
        state = State(
            Code.EMPTY, answer.reason, sentence(said, self.language), cleaned(said, most=SPOKEN)
        )
        return Made(self._plain(said), state, self.now)

    def for_citizen(self, need: str, words: str | None) -> Made:
        """The card that asks her to mend something over there."""
        reason = need if need in ("consent", "binding", "level", "field") else "field"
        try:
            said = _keyed(words, self.words)
        except BadValue:
            said = ""
        said = said or say(self.language, f"state.ask_{reason}")
        state = State(
            Code.ACTION_REQUIRED, reason, sentence(said, self.language), cleaned(said, most=SPOKEN)
        )
        return Made(self._plain(said), state, self.now)

    def sheet(self) -> Made:
        """The card of a service that shows no data: what it is and whose."""
        name = text_of(self.entry.short, self.language)
        summary = text_of(self.entry.summary, self.language)
        spoken = say(self.language, "card.speak_sheet", name=name, summary=summary)
        said = say(self.language, "state.ready" if self.entry.launch else "state.ready_sheet")
        card = Card(
            service=self.entry.id,
            language=_LANGUAGES[self.language],
            template=Template.LAUNCH,
            header=self._header(),
            items=(ListItem(title=clip(summary, self.language, 60)),),
            as_of=rfc3339(self.now),
            speak=clip(spoken, self.language, SPOKEN),
            fallback_text=clip(spoken, self.language, SPOKEN),
        )
        return Made(_fitting(card), State(Code.READY, "sheet", said, said), self.now)

    def _plain(self, said: str) -> bytes:
        name = text_of(self.entry.short, self.language)
        spec = self.entry.card
        text = clip(
            say(self.language, "card.empty", name=name, said=cleaned(said, most=400)),
            self.language,
            SPOKEN,
        )
        card = Card(
            service=self.entry.id,
            language=_LANGUAGES[self.language],
            template=spec.template if spec is not None else Template.LAUNCH,
            header=self._header(),
            as_of=rfc3339(self.now),
            speak=text,
            fallback_text=text,
        )
        return _fitting(card)

    def _spec(self) -> CardSpec:
        if self.entry.card is None:
            raise BadAnswer("a card where the manifest declares none")
        return self.entry.card

    def _header(self) -> Header:
        return Header(
            title=clip(text_of(self.entry.short, self.language), self.language, 36),
            department=clip(text_of(self.entry.owner.name, self.language), self.language, 60),
            icon=self.entry.icon,
        )

    def _as_of(self, said: datetime | None) -> int:
        if said is None:
            return self.now
        if said.tzinfo is None:
            raise BadAnswer("as_of without an offset")
        return min(microseconds(said), self.now)

    def _facts(
        self, spec: CardSpec, values: Mapping[str, FactValue]
    ) -> tuple[list[Fact], dict[str, str]]:
        declared = {fact.id for fact in spec.facts}
        if not values.keys() <= declared:
            raise BadAnswer("a fact that the manifest does not declare")
        facts: list[Fact] = []
        for fact in spec.facts:
            value = values.get(fact.id)
            if value is None or value == "":
                if not fact.optional:
                    raise BadAnswer(f"no value for {fact.id}")
                continue
            facts.append(
                Fact(
                    name=fact.id,
                    label=clip(
                        text_of(fact.label, self.language), self.language, _LABEL[self.language]
                    ),
                    value=shown(value, fact.kind, fact.mask, self.language, self.words),
                    kind=fact.kind,
                    hideable=fact.kind is FactKind.MONEY or fact.mask is not Mask.NONE,
                )
            )
        return facts, {fact.name: fact.value for fact in facts}

    def _rows(
        self, spec: ItemSpec | None, rows: tuple[dict[str, FactValue], ...]
    ) -> list[ListItem]:
        if not rows:
            return []
        if spec is None:
            raise BadAnswer("rows where the manifest declares none")
        return [self._row(spec, row) for row in rows]

    def _row(self, spec: ItemSpec, row: Mapping[str, FactValue]) -> ListItem:
        named = {
            place for text in (spec.title, spec.note, spec.when) for place in _PLACE.findall(text)
        }
        values = {
            name: shown(
                value,
                spec.kinds.get(name, FactKind.TEXT),
                spec.masks.get(name, Mask.NONE),
                self.language,
                self.words,
            )
            for name in named
            if (value := row.get(name)) not in (None, "")
        }
        title = _filled(spec.title, values)
        if not title:
            raise BadAnswer("a row without a title")
        return ListItem(
            title=clip(title, self.language, 60),
            note=clip(_filled(spec.note, values), self.language, 80),
            when=clip(_filled(spec.when, values), self.language, 40),
        )

    def _progress(self, stage: str, holder: str, due: date | None) -> Progress | None:
        if not (stage or holder or due):
            return None
        return Progress(
            stage=clip(stage, self.language, 60),
            holder=clip(holder, self.language, 60),
            due=due.isoformat() if due else "",
            due_text=day_text(due, self.language) if due else "",
        )

    def _state(self, answer: CardAnswer, stage: str) -> State:
        if answer.state is AnswerState.READY:
            said = say(self.language, "state.ready")
            return State(Code.READY, "facts", said, said)
        code = Code(answer.state.value)
        due = answer.due if code is not Code.DONE else None
        reason = "closed" if code is Code.DONE else "open"
        overdue = due is not None and due < instant(self.now).date()
        if code is Code.ACTION_REQUIRED and due is not None:
            reason = "overdue" if overdue else "due"
        key = "action_overdue" if reason == "overdue" else _KEYS[code]
        places = {"due": day_text(due, self.language)} if due is not None else {}
        if reason != "overdue":
            key += ("_stage" if stage else "") + ("_due" if due is not None else "")
            places |= {"stage": stage} if stage else {}
        said = say(self.language, f"state.{key}", **places)
        until = datetime.combine(due, time(23, 59, 59), CITY_ZONE) if due is not None else None
        return State(code, reason, sentence(said, self.language), said[:SPOKEN], until)


def _line(text: str | None, words: Mapping[str, str]) -> str:
    return word(text, words) if text else ""


def _keyed(key: str | None, words: Mapping[str, str]) -> str:
    """A key of the plugin's words files, as failures and `Empty` name it; the "@" may be left out."""
    return word(f"@{key.removeprefix('@')}", words) if key else ""


def _filled(text: str, places: Mapping[str, str]) -> str:
    """A text with `{name}` places filled, nothing else of it interpreted; missing ones are blank."""
    return " ".join(_PLACE.sub(lambda match: places.get(match[1], ""), text).split())


def _fitting(card: Card) -> bytes:
    """The document, with fewer rows where it would be larger than a card may be.

    Raises:
        BadAnswer: it is too large without any.
    """
    while True:
        document = card.model_dump_json(by_alias=True).encode()
        if len(document) <= MAX_CARD_BYTES:
            return document
        if not card.items:
            raise BadAnswer("more than a card may hold")
        keep = len(card.items) * 2 // 3
        card = card.model_copy(
            update={
                "items": card.items[:keep],
                "more_items": card.more_items + len(card.items) - keep,
            }
        )
