"""Assurance levels: what an upstream's `acr` is worth here. Nothing else ever raises a level."""

from collections.abc import Mapping

from gateway.settings import Upstream


def level_of(upstream: Upstream, claims: Mapping[str, object]) -> int:
    """The level of a verified ID token; an `acr` that is not mapped counts as the default."""
    acr = claims.get("acr")
    known = upstream.levels.get(acr) if isinstance(acr, str) else None
    return upstream.default_level if known is None else known


def acr_for(upstream: Upstream, level: int) -> str:
    """The `acr_values` that are worth at least this level, the least first; "": none is."""
    good = [(worth, acr) for acr, worth in upstream.levels.items() if worth >= level]
    return " ".join(acr for _, acr in sorted(good))


def reaches(upstream: Upstream, level: int) -> bool:
    """Whether this upstream can vouch for a level at all."""
    return max([upstream.default_level, *upstream.levels.values()]) >= level
