"""The base of every mapping in a document, and durations as people write them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

HostPort = Annotated[str, Field(min_length=1, max_length=260)]
# "3s", "500ms", "5min", "24h", "7d"
Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}(ms|s|min|h|d)$")]

_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(duration: str) -> float:
    """Turn a `Duration` such as `"5min"` into seconds."""
    digits = duration.rstrip("abcdefghijklmnopqrstuvwxyz")
    return int(digits) * _SECONDS[duration[len(digits) :]]


class Block(BaseModel):
    """A mapping in a document: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
