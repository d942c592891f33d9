"""Places `{citizen.x} {setting.x} {secret.x} {ask.x} {now:%Y-%m-%d} {call.name.kept}` in texts.

A place is a look-up by name and nothing more: no attributes, no formats, no nesting (reliability
B69). What it stands for is escaped by whoever knows where the text goes; an unknown or empty place
is an error before anything is sent, never an empty text. `{{` and `}}` are braces.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from gateway.contract.failure import CallOwner
from gateway.contract.hooks import CardAsk
from gateway.hosting.failures import MissingClaim
from gateway.hosting.package import SettingValue

ASK: Final = ("subject", "level", "language", "trace", "service", "card")
_PART: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME: Final = re.compile(
    r"(?P<source>citizen|setting|ask|secret)\.(?P<name>[a-z][a-z0-9_]{0,63}|(?<=secret\.)[a-z][a-z0-9_.-]{0,63})"
    r"|now:(?P<form>[^{}]{1,40})"
    r"|call\.(?P<call>[a-z][a-z0-9_]{0,30})\.(?P<kept>[a-z][a-z0-9_]{0,30})"
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

Escape = Callable[[str], str]


class BadPlace(ValueError):
    """A text whose braces are not places of ours."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place: where its value comes from and by which name."""

    source: str  # citizen | setting | secret | ask | now | call
    name: str  # for `now` the format, for `call` "name.kept"


@dataclass(frozen=True, slots=True)
class Values:
    """What places can stand for in one ask."""

    ask: CardAsk | None  # None: a probe, nobody is asked about
    now: datetime
    settings: Mapping[str, SettingValue]
    secret: Callable[[str], str]
    kept: dict[str, dict[str, str]] = field(default_factory=dict)  # by call, then name

    def value(self, place: Place) -> SettingValue:
        """What stands there.

        Raises:
            MissingClaim: the citizen has no such datum, or did not agree to it.
            CallOwner: nothing else is there.
        """
        found = self._look_up(place)
        if found is None or found == "":
            if place.source == "citizen":
                raise MissingClaim(place.name)
            raise CallOwner(what=f"{{{place.source}.{place.name}}} has no value")
        return found

    def _look_up(self, place: Place) -> SettingValue | None:
        match place.source:
            case "citizen":
                return self.ask.claims.get(place.name) if self.ask else None
            case "ask":
                found = getattr(self.ask, place.name) if self.ask else None
                return found if isinstance(found, int) else str(found or "")
            case "setting":
                return self.settings.get(place.name)
            case "secret":
                return self.secret(place.name)
            case "now":
                return self.now.strftime(place.name)
            case _:
                call, _, name = place.name.partition(".")
                return self.kept.get(call, {}).get(name)


@dataclass(frozen=True, slots=True)
class Template:
    """A text with places, taken apart once."""

    parts: tuple[str | Place, ...]

    @property
    def places(self) -> tuple[Place, ...]:
        """Its places in order."""
        return tuple(part for part in self.parts if isinstance(part, Place))

    def fill(self, values: Values, escape: Escape) -> str:
        """The text with each place's value, escaped for where the text goes."""
        return "".join(
            part if isinstance(part, str) else escape(_spelled(values.value(part)))
            for part in self.parts
        )

    def typed(self, values: Values) -> SettingValue:
        """For JSON: a text that is one place keeps its value's type."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Place):
            return values.value(self.parts[0])
        return self.fill(values, plain)


def _spelled(value: SettingValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@lru_cache(4096)
def template(text: str, *, allowed: tuple[str, ...] | None = None) -> Template:
    """Take a text apart; `allowed` names the sources that may stand in it.

    Raises:
        BadPlace: a brace that is no place, an unknown place, or one that may not stand here.
    """
    parts: list[str | Place] = []
    at = 0
    for match in _PART.finditer(text):
        parts.append(text[at : match.start()])
        at = match.end()
        if match.group() in ("{{", "}}"):
            parts.append(match.group()[0])
            continue
        place = _place(match[1])
        if allowed is not None and place.source not in allowed:
            raise BadPlace(f"{match.group()} may not stand here; {', '.join(allowed)} may")
        parts.append(place)
    parts.append(text[at:])
    return Template(tuple(part for part in parts if part != ""))


def _place(text: str | None) -> Place:
    match = _NAME.fullmatch(text or "")
    if match is None:
        raise BadPlace(f"{{{(text or '')[:60]}}} is no place; braces of their own are {{{{ }}}}")
    if match["form"]:
        return Place("now", match["form"])
    if match["call"]:
        return Place("call", f"{match['call']}.{match['kept']}")
    if match["source"] == "ask" and match["name"] not in ASK:
        raise BadPlace(f"{{ask.{match['name']}}} is unknown; known: {', '.join(ASK)}")
    return Place(match["source"], match["name"])


def plain(value: str) -> str:
    """No escaping: the text is encoded as a whole afterwards (JSON, query, form)."""
    return value


def one_line(value: str) -> str:
    """For headers and plain text: no line breaks or other control characters (B77, B12).

    Raises:
        CallOwner: the value holds one.
    """
    if _CONTROL.search(value):
        raise CallOwner(what="a value to be sent holds control characters")
    return value


def each_text(value: Any, change: Callable[[str], Any]) -> Any:
    """The same JSON value with every text in it changed; keys stay as they are."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: each_text(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [each_text(item, change) for item in value]
    return value


def filled(value: Any, values: Values) -> Any:
    """A JSON value whose texts were taken apart, with their values in."""
    if isinstance(value, Template):
        return value.typed(values)
    if isinstance(value, Mapping):
        return {key: filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, values) for item in value]
    return value
