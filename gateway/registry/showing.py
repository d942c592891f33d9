"""Which line of an entry's visibility holds at an instant."""

from gateway.clock import instant
from gateway.registry.entry import Entry, Shown


def shown_at(entry: Entry, now: int) -> Shown:
    """The last line whose `since` has come (`now`: UTC microseconds); the first where none has."""
    moment = instant(now)
    held = [line for line in entry.shown if line.since is None or line.since <= moment]
    return held[-1] if held else entry.shown[0]
