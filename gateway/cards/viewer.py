"""Who looks at cards, and from where: everything that gate states depend on beside the entry."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.contract.citizen import Agreement, Citizen
from gateway.contract.ids import ServiceId
from gateway.words.loader import Language


@dataclass(frozen=True, slots=True)
class Viewer:
    """One request's view of the hall."""

    citizen: Citizen | None = None
    language: Language = "zh"
    host_version: str | None = (
        None  # of the host app; None: not inside it, `min_host` does not apply
    )
    region: str | None = None  # GB/T 2260 code she chose or the host said; None: not known
    testers: frozenset[str] = frozenset()  # tester groups she is in
    trace: str = ""
    store_away: bool = False  # sessions cannot be read now


@dataclass(frozen=True, slots=True)
class Me:
    """What the feed needs to know of a citizen beside her session; sealed in `cards:{c}` `.me`."""

    agreements: Mapping[ServiceId, Agreement] = field(default_factory=dict)
