"""How often one caller may do something, counted over all workers in the volatile store.

Callers are keyed digests, so that neither the store nor a log holds anybody's address.
"""

from typing import Final

from gateway.clock import Clock
from gateway.sso.kept import pack
from gateway.store.volatile import Script, Volatile

_SECOND: Final = 1_000_000

# One window a caller: begun at the first act, counted on until it ends. The head is that of
# `sso.kept`; numbers are added up from bytes, because strings compare by the server's language.
_COUNT: Final = Script(
    """
local value = redis.call('GET', KEYS[1])
local head, count, ends = ARGV[3], 1, tonumber(ARGV[2])
if value and #value > 9 and string.sub(value, 1, 1) == string.sub(head, 1, 1) then
  local before = 0
  for place = 2, 9 do before = before * 256 + string.byte(value, place) end
  if before > tonumber(ARGV[1]) then
    head, ends = string.sub(value, 1, 9), before
    count = (tonumber(string.sub(value, 10)) or 0) + 1
  end
end
redis.call('SET', KEYS[1], head .. string.format('%d', count))
return {count, string.format('%d', ends)}
"""
)


class Rates:
    """Counts what callers do; one in each worker, one count for all."""

    def __init__(self, volatile: Volatile, clock: Clock) -> None:
        self._volatile = volatile
        self._clock = clock

    async def wait(self, scope: str, caller: str, *, most: int, seconds: int) -> int:
        """Count one act; 0 where it is within `most` in `seconds`, else how long to wait.

        Raises:
            Away: it could not be counted.
        """
        now = self._clock.now()
        until = now + seconds * _SECOND
        args: list[str | bytes | int] = [now, until, pack(until, b"")]
        count, ends = await self._volatile.script(_COUNT, [f"rate:{scope}:{caller}"], args)
        return max(1, -(-(int(ends) - now) // _SECOND)) if int(count) > most else 0
