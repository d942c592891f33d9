"""A raw value of an answer to the value of a fact: exact, bounded, in our zone, or refused.

Money is integer fen by way of Decimal; dates are ISO; texts are NFC, without control, invisible or
direction-changing characters (reliability B14). What does not fit is the owner's to mend.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from gateway.clock import CITY_ZONE
from gateway.contract.answer import FactValue
from gateway.contract.card import FactKind
from gateway.contract.failure import CallOwner
from gateway.contract.recipe import Scalar, Value
from gateway.hosting.recipes.expressions import Expression, spelled

MAX_TEXT: Final = 200
MAX_FEN: Final = 10**15
MAX_COUNT: Final = 10**15
YEARS: Final = range(1850, 2200)
MARKS: Final = 3  # combining marks in a row that a script needs; more is vandalism

_NUMBER: Final = re.compile(r"[-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,18})(?:\.[0-9]{1,12})?")
_UNITS: Final = {"fen": Decimal(1), "yuan": Decimal(100), "wan": Decimal(1_000_000)}
_FLAGS: Final = {
    "true": True, "1": True, "y": True, "yes": True, "是": True,
    "false": False, "0": False, "n": False, "no": False, "否": False,
}  # fmt: skip
_HIDDEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)


def broken(name: str, what: str) -> CallOwner:
    """The department answered what it promised not to; no value is named."""
    return CallOwner(what=f"{name}: {what}")


@dataclass(frozen=True, slots=True)
class Reader:
    """A compiled `Value`: where it stands and what it becomes."""

    name: str  # for the owner's log
    at: Expression
    kind: FactKind
    source: str | None = None  # the call; None: the card's first
    unit: str = "yuan"
    format: str | None = None
    map: dict[str, Scalar] | None = None
    otherwise: Scalar | None = None
    optional: bool = field(default=False)

    def read(self, document: Any) -> FactValue:
        """The value in a document; None where it is missing and may be.

        Raises:
            CallOwner: missing, unmapped, or not of its kind.
        """
        raw = self.at.one(document) if document is not None else None
        if raw is None or (isinstance(raw, str) and not raw.strip()):
            if self.otherwise is not None:
                return convert(self.otherwise, self, ours=True)
            if self.optional:
                return None
            raise broken(self.name, "missing")
        if isinstance(raw, dict | list):
            raise broken(self.name, "a mapping or list where one value was promised")
        if self.map is not None:
            shown = self.map.get(spelled(raw), self.otherwise)
            if shown is None:
                raise broken(self.name, "a code that the map does not hold")
            return convert(shown, self, ours=True)
        return convert(raw, self)


def reader(
    name: str, spec: Value | str, at: Expression, kind: FactKind, *, optional: bool = False
) -> Reader:
    """Compile a value whose expression is compiled already."""
    if isinstance(spec, str):
        return Reader(name, at, kind, optional=optional)
    return Reader(
        name=name,
        at=at,
        kind=kind,
        source=spec.from_,
        unit=spec.unit,
        format=spec.format,
        map=spec.map,
        otherwise=spec.else_,
        optional=optional,
    )


def convert(raw: Any, spec: Reader, *, ours: bool = False) -> FactValue:
    """A scalar as its kind; `ours` says it stands in the recipe and may be a words key."""
    match spec.kind:
        case FactKind.MONEY:
            return money(raw, spec.unit, spec.name)
        case FactKind.COUNT:
            return count(raw, spec.name)
        case FactKind.PERCENT:
            return percent(raw, spec.name)
        case FactKind.DATE:
            return day(raw, spec.format, spec.name).isoformat()
        case FactKind.DATETIME:
            return moment(raw, spec.format, spec.name).isoformat(timespec="seconds")
        case FactKind.FLAG:
            return flag(raw, spec.name)
        case FactKind.TEXT:
            return text(raw, spec.name, ours=ours)


def number(raw: Any, name: str) -> Decimal:
    """An exact number: digits with or without groups, or a JSON number."""
    if isinstance(raw, bool):
        raise broken(name, "a truth value where a number was promised")
    if isinstance(raw, int | Decimal):
        made = Decimal(raw)
    elif isinstance(raw, float):
        made = Decimal(repr(raw))
    else:
        said = str(raw).strip().removeprefix("¥").removeprefix("￥").strip()
        if _NUMBER.fullmatch(said) is None:
            raise broken(name, "not a number")
        made = Decimal(said.replace(",", ""))
    if not made.is_finite() or abs(made.adjusted()) > 20:  # noqa: PLR2004 - beyond any sum of money
        raise broken(name, "a number out of bounds")
    return made


def money(raw: Any, unit: str, name: str) -> int:
    """Integer fen, exactly: a fraction of a fen is refused, never rounded."""
    fen = number(raw, name) * _UNITS[unit]
    if fen != fen.to_integral_value():
        raise broken(name, "not a whole number of fen")
    if abs(fen) > MAX_FEN:
        raise broken(name, "a sum out of bounds")
    return int(fen)


def count(raw: Any, name: str) -> int:
    """A whole number."""
    made = number(raw, name)
    if made != made.to_integral_value() or abs(made) > MAX_COUNT:
        raise broken(name, "not a whole number within bounds")
    return int(made)


def percent(raw: Any, name: str) -> float:
    """A percentage: `12.5`, `"12.5%"`."""
    made = number(raw.strip().removesuffix("%") if isinstance(raw, str) else raw, name)
    if abs(made) > 10**6:
        raise broken(name, "a percentage out of bounds")
    return float(made)


def flag(raw: Any, name: str) -> bool:
    """Yes or no."""
    if isinstance(raw, bool):
        return raw
    found = _FLAGS.get(spelled(raw).lower())
    if found is None:
        raise broken(name, "neither yes nor no")
    return found


def text(raw: Any, name: str, *, ours: bool = False) -> str:
    """A text fit to be shown: NFC, one line, no hidden characters, at most 200 of them."""
    said = raw if isinstance(raw, str) else spelled(raw)
    if ours:
        return said
    if any("\ud800" <= letter <= "\udfff" for letter in said):
        raise broken(name, "half a character (lone surrogate)")
    if "\ufffd" in said or _twice_encoded(said):
        raise broken(name, "text that was decoded wrongly before it reached us")
    said = _few_marks(unicodedata.normalize("NFC", _HIDDEN.sub(" ", said)))
    said = " ".join(said.split())
    if len(said) > MAX_TEXT:
        raise broken(name, f"a text of more than {MAX_TEXT} characters")
    # "@key" is a word of the plugin: a department's own text must not be taken for one
    return "＠" + said[1:] if said.startswith("@") else said


def _twice_encoded(said: str) -> bool:
    """UTF-8 that somebody decoded as Latin-1 (`å…¬`), or the well-known ruin of GBK."""
    if "锟斤拷" in said:
        return True
    if said.isascii():
        return False
    try:
        again = said.encode("cp1252").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return False
    return any(letter > "\u00ff" for letter in again)


def _few_marks(said: str) -> str:
    """No more combining marks in a row than a script needs."""
    if said.isascii():
        return said
    out: list[str] = []
    row = 0
    for letter in said:
        row = row + 1 if unicodedata.combining(letter) else 0
        if row <= MARKS:
            out.append(letter)
    return "".join(out)


def day(raw: Any, form: str | None, name: str) -> date:
    """A date: ISO, or by the format; of an instant its day in the city."""
    said = spelled(raw)
    if form is None and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", said):
        try:
            made = date.fromisoformat(said)
        except ValueError:
            raise broken(name, "not a date") from None
        return _in_bounds(made, name)
    return moment(raw, form, name).date()


def moment(raw: Any, form: str | None, name: str) -> datetime:
    """An instant in the city's zone; what has no offset is the city's own time."""
    said = spelled(raw)
    late = timedelta()
    if re.search(r"[ T]24:00(:00)?$", said):  # the end of a day, as registers write it
        said, late = re.sub(r"24:00((:00)?)$", r"00:00\1", said), timedelta(days=1)
    try:
        if form in ("unix", "unix_ms"):
            units = number(raw, name) / (1000 if form == "unix_ms" else 1)
            made = datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(units))
        elif form is not None:
            made = datetime.strptime(said, form)  # noqa: DTZ007 - the zone is set below
        else:
            made = datetime.fromisoformat(said)
        if made.tzinfo is None:
            made = made.replace(tzinfo=CITY_ZONE)
        made = made.astimezone(CITY_ZONE) + late
    except (ValueError, OverflowError, InvalidOperation):
        raise broken(name, "not a time") from None
    _in_bounds(made.date(), name)
    return made


def _in_bounds(made: date, name: str) -> date:
    if made.year not in YEARS:
        raise broken(name, "a year out of bounds")
    return made
