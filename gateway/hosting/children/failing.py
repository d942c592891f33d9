"""The contract's failures as they travel between worker and child, and what a child's own end is."""

import builtins
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, Field, TypeAdapter, ValidationError

from gateway.contract.failure import AskCitizen, CallOwner, Failure, ShowLast, TryAgain, Unsure
from gateway.hosting.children.frames import Why

_KINDS: Final = {one.__name__: one for one in (TryAgain, ShowLast, CallOwner, AskCitizen, Unsure)}
# The fields as a child may give them: nothing else, nothing long.
_Words = Annotated[str, Field(pattern=r"^@?[a-z][a-z0-9_.-]{0,59}$")]
_FIELDS: Final[dict[str, TypeAdapter[Any]]] = {
    "after": TypeAdapter(Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] | None),
    "words": TypeAdapter(_Words | None),
    "reason": TypeAdapter(Annotated[str, Field(max_length=200)]),
    "until": TypeAdapter(AwareDatetime | None),
    "what": TypeAdapter(Annotated[str, Field(max_length=1000)]),
    "need": TypeAdapter(Annotated[str, Field(pattern="^(consent|binding|level|field)$")]),
    "hint": TypeAdapter(Annotated[str, Field(max_length=200)]),
}
# An error's own name may hold anything, so only names that we know are repeated.
_NAMES: Final = frozenset(
    {
        *(name for name, one in vars(builtins).items() if isinstance(one, type)),
        *("ValidationError", "JSONDecodeError", "InvalidOperation", "Failure", "ParseError"),
    }
)
_LAST_LINE: Final = 100_000


class ChildFailed(Exception):
    """A code plugin failed as no contract allows; `why` from the closed list, `what` for the owner."""

    def __init__(self, why: Why, detail: str = "") -> None:
        self.why = why
        self.told = False  # one failure may reach many who waited; it is told once
        self.what = f"{why}: {detail or _SAID[why]}"
        super().__init__(self.what)


_SAID: Final = {
    Why.RAISED: "an error left a hook",
    Why.WRONG_ANSWER: "a hook answered neither CardAnswer nor Empty, or with values that are none",
    Why.PRINTED: "it wrote to its output; nothing of that is kept",
    Why.MEMORY: "it wanted more than 256 MiB",
    Why.EXITED: "it ended itself",
    Why.CRASHED: "it crashed",
    Why.BLOCKED: "it did not hand back control in time and was ended",
    Why.LATE: "it waited for itself beyond the deadline",
    Why.SOCKET: "it tried to open a connection of its own",
    Why.PROCESS: "it tried to start a process",
    Why.FORBIDDEN: "it made a system call that is not allowed",
    Why.FRAMES: "it sent what was not agreed",
    Why.UNLOADABLE: "plugin.py cannot be loaded",
    Why.UNCAGED: "this machine cannot confine code plugins and nobody accepted that by name",
    Why.PAUSED: "it failed a moment ago and is not started again yet",
    Why.BUSY: "as many questions as one child takes are being answered",
    Why.GONE: "its process was ended from outside",
}


def spelled(failure: Failure) -> dict[str, Any] | None:
    """A failure as JSON; None for one that is none of the five."""
    for name, kind in _KINDS.items():
        if isinstance(failure, kind):
            values = {field: getattr(failure, field) for field in kind.__dataclass_fields__}
            if isinstance(until := values.get("until"), datetime):
                values["until"] = until.isoformat()
            return {"failure": name, "with": values}
    return None


def read(told: dict[str, Any]) -> Failure:
    """The failure that was spelled so.

    Raises:
        ValueError: it is none of the five, or its values are not what the contract says.
    """
    kind = _KINDS.get(told["failure"])
    if kind is None:
        raise ValueError("no failure of the contract")
    given = told["with"]
    if not isinstance(given, dict) or set(given) != set(kind.__dataclass_fields__):
        raise ValueError("other fields than the contract's")
    try:
        values = {name: _FIELDS[name].validate_python(value) for name, value in given.items()}
    except ValidationError:
        raise ValueError("values that the contract does not allow") from None
    return kind(**values)


def bug(told: dict[str, Any]) -> ChildFailed:
    """What a child says of an error in the plugin: its kind and line, never its text."""
    try:
        why = Why(str(told["why"]))
    except (KeyError, ValueError):
        return ChildFailed(Why.FRAMES)
    name, line = told.get("error"), told.get("line")
    if not isinstance(name, str) or why is Why.WRONG_ANSWER:
        return ChildFailed(why)
    known = name if name in _NAMES else "an error of its own"
    at = f" at line {line}" if isinstance(line, int) and 0 < line < _LAST_LINE else ""
    return ChildFailed(why, f"{known}{at}")
