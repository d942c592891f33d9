"""One value of a department as a citizen reads it: formatted by its kind, then masked."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from math import isfinite
from typing import Final

from gateway.cards.saying import cleaned, day_text, moment_text
from gateway.contract.answer import FactValue
from gateway.contract.card import FactKind, Mask
from gateway.words.loader import Language, say

LONGEST: Final = 60
_MOST: Final = 10**15  # fen or pieces; more is a mistake, not a fortune
_STAR: Final = "*"
_PLACE: Final = re.compile(r"^.{1,12}?(?:区|县|镇|乡|街道|市(?!.{0,6}[区县]))")


class BadValue(Exception):
    """The plugin gave a value that its manifest does not promise; says what, without the value."""


def shown(
    value: FactValue,
    kind: FactKind,
    mask: Mask,
    language: Language,
    words: Mapping[str, str],
) -> str:
    """The value as text.

    Raises:
        BadValue: it is not of its kind.
    """
    text = _TEXTS[kind](value, language, words)
    text = masked(text, mask) if mask is not Mask.NONE else text
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def word(text: str, words: Mapping[str, str]) -> str:
    """A plain text, or the plugin's own word where it begins with "@".

    Raises:
        BadValue: the plugin has no such word.
    """
    if not text.startswith("@"):
        return cleaned(text, most=200)
    if text[1:] not in words:
        raise BadValue("a word that the plugin does not have")
    return cleaned(words[text[1:]], most=200)


def _text(value: FactValue, language: Language, words: Mapping[str, str]) -> str:  # noqa: ARG001 - one signature
    if isinstance(value, str):
        return word(value, words)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(_whole(value))
    raise BadValue("not a text")


def _money(value: FactValue, language: Language, words: Mapping[str, str]) -> str:  # noqa: ARG001 - one signature
    fen = _whole(value)
    yuan, rest = divmod(abs(fen), 100)
    sign = "-" if fen < 0 else ""
    return sign + say(language, "card.money", amount=f"{yuan:,}.{rest:02}")


def _date(value: FactValue, language: Language, words: Mapping[str, str]) -> str:  # noqa: ARG001 - one signature
    if not isinstance(value, str):
        raise BadValue("not a date")
    try:
        return day_text(date.fromisoformat(value), language)
    except ValueError:
        raise BadValue("not an ISO date") from None


def _datetime(value: FactValue, language: Language, words: Mapping[str, str]) -> str:  # noqa: ARG001 - one signature
    if not isinstance(value, str):
        raise BadValue("not an instant")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise BadValue("not an RFC 3339 instant") from None
    if moment.tzinfo is None:
        raise BadValue("an instant without an offset")
    try:
        return moment_text(moment, language)
    except (OverflowError, ValueError):
        raise BadValue("an instant out of range") from None


def _count(value: FactValue, language: Language, words: Mapping[str, str]) -> str:  # noqa: ARG001 - one signature
    return f"{_whole(value):,}"


def _percent(value: FactValue, language: Language, words: Mapping[str, str]) -> str:  # noqa: ARG001 - one signature
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue("not a number")
    if not isfinite(value) or abs(value) > _MOST:
        raise BadValue("a number out of range")
    return f"{value:,.2f}".rstrip("0").rstrip(".") + "%"


def _flag(value: FactValue, language: Language, words: Mapping[str, str]) -> str:  # noqa: ARG001 - one signature
    if not isinstance(value, bool):
        raise BadValue("not a flag")
    return say(language, "card.flag_yes" if value else "card.flag_no")


def _whole(value: FactValue) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadValue("not a whole number")
    if abs(value) > _MOST:
        raise BadValue("a number out of range")
    return value


_TEXTS: Final = {
    FactKind.TEXT: _text,
    FactKind.MONEY: _money,
    FactKind.DATE: _date,
    FactKind.DATETIME: _datetime,
    FactKind.COUNT: _count,
    FactKind.PERCENT: _percent,
    FactKind.FLAG: _flag,
}


def masked(text: str, mask: Mask) -> str:
    """A text with the middle of it hidden; what is too short to hide a part of is hidden whole."""
    return _MASKS[mask](text)


def _ends(text: str, first: int, last: int) -> str:
    if len(text) <= first + last:
        return _STAR * max(len(text), 1) if text else ""
    return text[:first] + _STAR * (len(text) - first - last) + text[len(text) - last :]


def _name(text: str) -> str:
    """李伟 → 李*; Wei Li → W** L*."""
    if text.isascii():
        return " ".join(part[:1] + _STAR * max(len(part) - 1, 1) for part in text.split())
    return text[:1] + _STAR * max(len(text) - 1, 1) if text else ""


def _account(text: str) -> str:
    tail = 4
    return _STAR * 4 + text[-tail:] if len(text) >= tail * 2 else _STAR * max(len(text), 1)


def _place(text: str) -> str:
    """安澜市望江区滨江路 12 号 → 安澜市望江区****."""
    head = _PLACE.match(text)
    if head is None or head.end() >= len(text):
        return text[:2] + _STAR * 4 if text else ""
    return head[0] + _STAR * 4


_MASKS: Final[Mapping[Mask, Callable[[str], str]]] = {
    Mask.NONE: lambda text: text,
    Mask.NAME: _name,
    Mask.ID_NUMBER: lambda text: _ends(text, 4, 2),
    Mask.PHONE: lambda text: _ends(text, 3, 4),
    Mask.ACCOUNT: _account,
    Mask.PLACE: _place,
}
