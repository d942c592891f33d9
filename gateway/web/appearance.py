"""How pages look for one visitor; server state on every page (design 15)."""

from dataclasses import dataclass
from typing import Literal

from gateway.words.loader import Language

Edition = Literal["standard", "elder"]


@dataclass(frozen=True, slots=True)
class Look:
    """How pages look for this visitor: server state on every page (design 15)."""

    edition: Edition = "standard"
    size: int = 1  # font steps 1-4
    contrast: Literal["normal", "high"] = "normal"
    language: Language = "zh"
    speech: bool = False
    region: str = ""  # GB/T 2260 code she chose; "": not said
