"""Texts on cards: languages, lengths, dates, the other way; cleaned of what could deceive."""

import re
import unicodedata
from datetime import date, datetime
from typing import Final

from gateway.clock import CITY_ZONE
from gateway.contract.manifest import Text
from gateway.registry.entry import Way
from gateway.words.loader import Language, say

MESSAGE: Final[dict[Language, int]] = {"zh": 60, "en": 120}
SPOKEN: Final = 160
_SENTENCE: Final = re.compile(r"[^。！？!?]*[。！？!?]|[^.]*\.(?=\s|$)")
_MARKS: Final = 4  # combining marks in a row
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun",
                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # fmt: skip


def text_of(text: Text, language: Language) -> str:
    """A text in one language."""
    return text.en if language == "en" else text.zh


def clip(text: str, language: Language, most: int = 0) -> str:
    """A text cut to its limit, with the sign that something is missing."""
    limit = most or MESSAGE[language]
    return text if len(text) <= limit else text[: limit - 1] + "…"


def sentence(text: str, language: Language) -> str:
    """As many whole sentences as a message holds; a longer first one is cut."""
    limit = MESSAGE[language]
    clean = cleaned(text, most=1000)
    if len(clean) <= limit:
        return clean
    kept = ""
    for match in _SENTENCE.finditer(clean):
        if len(kept) + len(match[0]) > limit:
            break
        kept += match[0]
    return kept.strip() or clip(clean, language)


def cleaned(text: str, *, most: int) -> str:
    """Plain text in form NFC: no controls, no direction marks, no invisible signs (B14).

    At most four combining marks follow one another, at most `most` characters are kept.
    """
    if text.isascii() and text.isprintable():
        return text.strip()[:most]
    kept: list[str] = []
    marks = 0
    for char in unicodedata.normalize("NFC", text[: most * 4]):
        category = unicodedata.category(char)
        if category in ("Cc", "Zl", "Zp"):
            kept.append(" ")
            continue
        if category in ("Cf", "Cs", "Co", "Cn"):
            continue
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks <= _MARKS:
            kept.append(char)
    return "".join(kept).strip()[:most]


def day_text(day: date, language: Language) -> str:
    """A date as people read it."""
    if isinstance(day, datetime):
        day = day.astimezone(CITY_ZONE).date()
    if language == "en":
        return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
    return f"{day.year}年{day.month}月{day.day}日"


def moment_text(moment: datetime, language: Language) -> str:
    """An instant in the city's time, to the minute."""
    local = moment.astimezone(CITY_ZONE)
    if language == "en":
        return f"{day_text(local, 'en')}, {local:%H:%M}"
    return f"{day_text(local, 'zh')} {local:%H:%M}"


def other_way(way: Way, language: Language) -> str:
    """The telephone, and the counter where there is one, as a sentence."""
    if way.counter is None:
        return say(language, "state.way_phone", phone=way.phone)
    counter = text_of(way.counter, language)
    return say(language, "state.way_counter", phone=way.phone, counter=counter)
