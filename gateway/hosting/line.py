"""The line to one department: every request of a recipe or code plugin is proved and signed here.

What is asked (a `Draft`) and where it goes (`connect.base`) meet the credentials at this one place,
so neither recipes nor children ever hold a secret.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from gateway.clock import Clock, instant
from gateway.contract.connection import Sign
from gateway.hosting.auth import proof
from gateway.hosting.draft import Draft, literal_path
from gateway.hosting.failures import NoAnswer, Sent
from gateway.hosting.limits import Rate, RetryBudget
from gateway.hosting.outbound import Outbound, Received
from gateway.hosting.outcome import Reason
from gateway.hosting.package import Package
from gateway.hosting.recipes.places import Values, each_text, plain, template
from gateway.hosting.signing import signed

RETRY_WAIT: Final = 0.1  # at most; spread, so that retries do not come together
LEAST_LEFT: Final = 0.05
AGENT: Final = "Citygate"


@dataclass(frozen=True, slots=True)
class Base:
    """`connect.base` taken apart."""

    origin: str
    path: str
    host: str

    @classmethod
    def of(cls, address: str) -> "Base":
        """Take an address apart; its path has no slash at the end."""
        parts = urlsplit(address)
        path = literal_path(parts.path.rstrip("/"))
        return cls(f"{parts.scheme}://{parts.netloc}", path, parts.netloc.lower())


class Line:
    """One department's line; `exchange` is all that others call."""

    def __init__(
        self,
        package: Package,
        outbound: Outbound,
        *,
        clock: Clock,
        secret: Callable[[str], str],
        rate: Rate,
        retries: RetryBudget,
    ) -> None:
        connect = package.manifest.connect
        self._package = package
        self._outbound = outbound
        self._clock = clock
        self._secret = secret
        self._rate = rate
        self._retries = retries
        self.base = Base.of(connect.base if connect else "")
        self._sign = package.manifest.sign
        for block in (package.manifest.auth, self._sign):
            if block is not None:  # a brace that is no place is found now, not at the first ask
                each_text(block.model_dump(), template)
        self._proof = proof(
            package.manifest.auth,
            fill=self._fill,
            values=self._values,
            clock=clock,
            fetch=self._fetch,
        )

    async def exchange(self, draft: Draft, seconds: float) -> Received:
        """Send one request, proved and signed.

        Raises:
            NoAnswer: none came in time, after a second try where that is allowed.
            MissingSecret: a credential is not there.
            Failure: a token endpoint said no.
        """
        end = self._clock.monotonic() + seconds
        self._retries.called()
        try:
            return await self._renewing(draft, end)
        except NoAnswer as error:
            if not self._may_repeat(draft, error, end):
                raise
        left = end - self._clock.monotonic()
        await self._clock.sleep(random.uniform(0, min(RETRY_WAIT, left / 4)))  # noqa: S311 - spreads
        return await self._renewing(draft, end)

    def _may_repeat(self, draft: Draft, error: NoAnswer, end: float) -> bool:
        """Once more only where nothing can happen twice, time is left and the budget allows."""
        harmless = draft.idempotent or error.sent is Sent.NO
        passing = error.reason is Reason.UNREACHABLE
        left = end - self._clock.monotonic()
        return passing and harmless and left > LEAST_LEFT and self._retries.take()

    async def _renewing(self, draft: Draft, end: float) -> Received:
        """Once; with a fresh token when the kept one was refused."""
        proved, mark = await self._proof.prove(draft, end - self._clock.monotonic())
        got = await self._send(proved, end)
        if got.status == 401 and self._proof.renew(mark):  # noqa: PLR2004 - unauthorised
            proved, _ = await self._proof.prove(draft, end - self._clock.monotonic())
            got = await self._send(proved, end)
        return got

    async def _send(self, draft: Draft, end: float, origin: str = "") -> Received:
        if not self._rate.take():
            raise NoAnswer(Reason.BUSY, Sent.NO, "the minute's requests are used up")
        left = end - self._clock.monotonic()
        if left <= 0:
            raise NoAnswer(Reason.TIMEOUT, Sent.NO, "no time is left")
        prefix = "" if origin else self.base.path
        if self._sign is not None and not origin:
            draft = self._signed(self._sign, draft)
        headers = [("User-Agent", AGENT), *draft.headers]
        url = f"{origin or self.base.origin}{prefix}{draft.target}"
        return await self._outbound.exchange(draft.method, url, headers, draft.body, seconds=left)

    def _signed(self, sign: Sign, draft: Draft) -> Draft:
        headers = {name: self._fill(value) for name, value in sign.headers.items()}
        return signed(
            sign if headers == sign.headers else sign.model_copy(update={"headers": headers}),
            draft,
            key=self._fill(sign.key),
            prefix=self.base.path,
            now=self._clock.now(),
        )

    async def _fetch(self, draft: Draft, origin: str, left: float) -> Received:
        """A request for a token, at the base or at an origin of its own."""
        return await self._send(replace(draft), self._clock.monotonic() + left, origin)

    def _values(self) -> Values:
        """What the manifest's own texts can stand for: settings and secrets, no citizen."""
        now = instant(self._clock.now())
        return Values(None, now, self._package.settings, self._secret)

    def _fill(self, text: str) -> str:
        return template(text).fill(self._values(), plain)
