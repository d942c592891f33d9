"""One service as HTML: the same bytes in hall, service page, embed, gallery and store.

A fragment depends on the item and the language alone. It holds no token (buttons belong to the
page's one form) and no mode: the elder edition hides by attribute.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any, Final

import orjson
from markupsafe import Markup
from pydantic import ValidationError

from gateway.cards.item import Action, ActionKind, Item
from gateway.cards.state import GATED, Code
from gateway.contract.card import Card, Fact, ListItem, Template
from gateway.contract.manifest import Text
from gateway.web import pages
from gateway.words.loader import Language, say

ROWS: Final = 3  # of a list that a card shows; the others are counted
_TONES: Final = {
    Code.ACTION_REQUIRED: "hot",
    Code.IN_PROGRESS: "calm",
    Code.PENDING: "calm",
    Code.DONE: "good",
    Code.UNAVAILABLE: "warn",
    Code.MAINTENANCE: "warn",
    Code.SUSPENDED: "warn",
    Code.RETIRED: "warn",
    Code.CLOSED: "warn",
}
_FIGURES: Final = (Template.FIGURE,)
# Nobody gets in by this service now, whoever she is.
CLOSED_TO_ALL: Final = frozenset(
    {
        Code.RETIRED,
        Code.SUSPENDED,
        Code.MAINTENANCE,
        Code.CLOSED,
        Code.UPGRADE_REQUIRED,
        Code.OUT_OF_REGION,
        Code.NOT_IN_RELEASE,
    }
)
_SAME_FOR_MANY: Final = GATED | {Code.PENDING}
_QUIET: Final = (ActionKind.DETAILS, ActionKind.RETRY, ActionKind.CALL)


@dataclass(frozen=True, slots=True)
class Button:
    """One action as it is drawn."""

    label: str
    target: str
    posts: bool  # by the page's form; else a link
    outside: bool  # leads off our own pages
    quiet: bool


@dataclass(frozen=True, slots=True)
class View:
    """What the card's macro draws: plain values, in one language."""

    service: str
    topic: str
    title: str
    department: str
    code: str
    message: str
    icon: str = ""
    link: bool = True
    badges: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    items: tuple[ListItem, ...] = ()
    more: int = 0
    main: bool = False  # the first fact is the figure that people come for
    stage: str = ""
    holder: str = ""
    due: str = ""
    copied: bool = False
    when: str = ""
    trace: str = ""
    speak: str = ""  # what the reading button says, where she has switched it on
    fallback: str = ""  # the card is of a kind that we do not know
    actions: tuple[Button, ...] = ()

    @property
    def tone(self) -> str:
        """The colour of its tag; never the only sign."""
        return _TONES.get(Code(self.code), "")

    @property
    def tag(self) -> bool:
        """Whether its state is named: a card that simply shows its facts needs no word for it."""
        return self.code != Code.READY

    @property
    def says(self) -> bool:
        """Whether its sentence is shown: facts speak for themselves."""
        if self.code in (Code.READY, Code.DONE):
            return not (self.facts or self.items or self.fallback or self.stage)
        return True


def view_of(item: Item, language: Language) -> View:
    """An item as plain values."""
    entry = item.entry
    card, fallback = _card(item)
    message = item.state.message
    body = _body(card, message, language) if card is not None else {"fallback": fallback}
    return View(
        service=item.service,
        topic=entry.topic,
        title=_text(entry.short, language),
        department=_text(entry.owner.name, language),
        code=item.state.code,
        message=message,
        speak=item.state.speak,
        icon=entry.icon,
        badges=item.badges,
        copied=item.freshness is not None and item.freshness.source == "copy",
        when=_when(item, language),
        trace=item.trace if item.state.code is Code.UNAVAILABLE else "",
        actions=buttons(item.actions),
        **body,
    )


def view_of_card(
    card: Card,
    code: Code,
    message: str,
    *,
    when: str = "",
    copied: bool = False,
    actions: tuple[Button, ...] = (),
) -> View:
    """A card document in a state, without an entry behind it: gallery and `plugin preview`."""
    language: Language = "en" if card.language == "en" else "zh"
    said = say(language, "hall.copy" if copied else "hall.as_of", when=when) if when else ""
    return View(
        service=card.service,
        topic="grid",
        title=card.header.title,
        department=card.header.department,
        code=code,
        message=message,
        link=False,
        copied=copied,
        when=said,
        actions=actions,
        **_body(card, message, language),
    )


def render_view(view: View, language: Language) -> bytes:
    """A card as HTML."""
    return _usual(view, language) if view.code in _SAME_FOR_MANY else _drawn(view, language)


def render_item(item: Item, language: Language) -> bytes:
    """A card as HTML, the bytes that were kept where there are any."""
    if item.fragment is not None:
        return item.fragment
    return render_view(view_of(item, language), language)


def render_tile(view: View, summary: str, language: Language) -> bytes:
    """One line of the directory as HTML."""
    text: str = _macros().tile(partial(say, language), view, summary)
    return text.encode()


def tagged(tile: bytes, code: Code, language: Language) -> bytes:
    """A prepared tile with the word for a state that is not the usual one."""
    if code not in CLOSED_TO_ALL:
        return tile
    tag: str = _macros().tag(partial(say, language), code.value, _TONES.get(code, ""))
    return tile.replace(b"</b>", b"</b>" + tag.encode(), 1)


def markup_of(item: Item, language: Language) -> Markup:
    """A card for a template."""
    return pages.markup(render_item(item, language))


def draw(topics: Sequence[tuple[str, str]]) -> Markup:
    """The topics' drawings that cards and tiles refer to, as one hidden picture."""
    macros: Any = pages.environment().get_template("_icons.html").module
    return Markup(macros.sprite(topics))  # noqa: S704 - comes from our own template


def buttons(actions: Sequence[Action]) -> tuple[Button, ...]:
    """Actions as they are drawn; the card's own title leads to its page already."""
    if len(actions) > 1:
        actions = [action for action in actions if action.kind is not ActionKind.DETAILS]
    return tuple(
        Button(
            label=action.label,
            target=action.target,
            posts=action.target.endswith("/launch"),
            outside=action.target.startswith(("http://", "https://")),
            quiet=action.kind in _QUIET,
        )
        for action in actions
    )


@lru_cache(maxsize=2048)
def _usual(view: View, language: Language) -> bytes:
    """What is decided without asking anybody holds nothing personal and is the same for many."""
    return _drawn(view, language)


def _drawn(view: View, language: Language) -> bytes:
    text: str = _macros().card(partial(say, language), view)
    return text.encode()


@cache
def _macros() -> Any:
    return pages.environment().get_template("_card.html").module


def _card(item: Item) -> tuple[Card | None, str]:
    """The body, or the sentence of one that this version cannot draw."""
    if item.body is None:
        return None, ""
    try:
        return Card.model_validate_json(item.body), ""
    except ValidationError:
        document = orjson.loads(item.body)
        return None, str(document.get("fallback_text", ""))[:160]


def _body(card: Card, message: str, language: Language) -> dict[str, Any]:
    """The body's values; what the state's sentence says already is not said again."""
    progress = card.progress
    stage, holder, due = (
        (progress.stage, progress.holder, progress.due_text) if progress else ("", "", "")
    )
    return {
        "facts": card.facts,
        "items": card.items[:ROWS],
        "more": card.more_items + len(card.items[ROWS:]),
        "main": card.template in _FIGURES,
        "stage": "" if stage in message else stage,
        "holder": say(language, "hall.holder", holder=holder) if holder else "",
        "due": say(language, "hall.due", when=due) if due not in message else "",
    }


def _when(item: Item, language: Language) -> str:
    freshness = item.freshness
    if freshness is None or item.body is None:
        return ""
    when = pages.moment(freshness.as_of, language)
    key = "hall.copy" if freshness.source == "copy" else "hall.as_of"
    return say(language, "hall.copy_asked" if item.in_air else key, when=when)


def _text(text: Text, language: Language) -> str:
    return text.en if language == "en" else text.zh
