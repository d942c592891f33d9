"""Nonces and assertion ids that were seen, for as long as they could be sent again."""


class Seen:
    """Remembers values until they cannot be valid any more."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self._until: dict[str, float] = {}

    def first(self, value: str, now: float, seconds: float) -> bool:
        """Whether this is the first time; remembered for that many seconds."""
        if len(self._until) > 10_000:
            self._until = {one: until for one, until in self._until.items() if until > now}
        if self._until.get(value, 0.0) > now:
            return False
        self._until[value] = now + seconds
        return True
