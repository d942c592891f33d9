"""Kind `standard`: a department that answers in our own words over HTTP.

`POST {base}/citygate/v1/card` with the ask as JSON answers a card's values (`CardAnswer`), `Empty`,
or a failure by name; `GET {base}/citygate/v1/probe` answers `{"ok": true}`. Its OpenAPI document is
published with the contract.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from gateway.contract.answer import CardAnswer, Empty, Probe
from gateway.contract.block import Block
from gateway.contract.failure import AskCitizen, CallOwner, Failure, ShowLast, TryAgain
from gateway.contract.hooks import CardAsk
from gateway.contract.recipe import Recipe
from gateway.hosting import draft as drafts
from gateway.hosting.draft import Draft
from gateway.hosting.failures import NoAnswer
from gateway.hosting.outbound import Received
from gateway.hosting.recipes.answers import answers
from gateway.hosting.recipes.program import Given


class Failing(Block):
    """A department says why it has no card: the contract's failures by name."""

    kind: Literal["failure"]
    failure: Literal["try_again", "show_last", "ask_citizen"]
    after: Annotated[float, Field(ge=0, le=3600)] | None = None
    until: datetime | None = None
    need: Literal["consent", "binding", "level", "field"] = "binding"
    words: Annotated[str, Field(max_length=60)] | None = None

    def failure_(self) -> Failure:
        """The failure itself."""
        match self.failure:
            case "try_again":
                return TryAgain(after=self.after, words=self.words)
            case "show_last":
                until = self.until if self.until and self.until.tzinfo else None
                return ShowLast(until=until, words=self.words)
            case "ask_citizen":
                return AskCitizen(need=self.need, words=self.words)


StandardAnswer: Final[TypeAdapter[CardAnswer | Empty | Failing]] = TypeAdapter(
    Annotated[CardAnswer | Empty | Failing, Field(discriminator="kind")]
)


class Standard:
    """The runner of kind `standard`; the same two methods as a recipe's `Program`."""

    def __init__(self, recipe: Recipe) -> None:
        self._card = recipe.calls["card"]
        self._probe = recipe.calls["probe"]
        self._card_answers = answers("card", self._card, (), "utf-8")
        self._probe_answers = answers("probe", self._probe, (), "utf-8")

    async def card(self, ask: CardAsk, given: Given) -> CardAnswer | Empty:
        """Ask for one card; raises as `Program.card`."""
        body = drafts.json_body(asked(ask))
        headers = (("Accept", "application/json"), ("Content-Type", "application/json"))
        draft = Draft("POST", self._card.path, headers=headers, body=body)
        got = await given.exchange("card", draft, given.left())
        self._card_answers.read(got, given.now)  # status, strict JSON, bounds
        return _answer(got)

    async def probe(self, given: Given) -> Probe:
        """Whether it is there and accepts us."""
        draft = Draft("GET", self._probe.path, headers=(("Accept", "application/json"),))
        try:
            got = await given.exchange("probe", draft, given.left())
            document, _ = self._probe_answers.read(got, given.now)
        except NoAnswer as error:
            return Probe(ok=False, note=error.what[:200])
        except Failure as error:
            return Probe(ok=False, note=str(getattr(error, "what", type(error).__name__))[:200])
        good = isinstance(document, dict) and document.get("ok") is True
        return Probe(ok=good, note="" if good else "it does not say ok")


def asked(ask: CardAsk) -> dict[str, Any]:
    """The ask as the published contract writes it."""
    return {
        "service": ask.service,
        "card": ask.card,
        "subject": ask.subject,
        "claims": dict(ask.claims),
        "level": ask.level,
        "language": ask.language,
        "trace": ask.trace,
        "seconds": round(ask.seconds, 3),
        "because": ask.because,
    }


def _answer(got: Received) -> CardAnswer | Empty:
    try:
        made = StandardAnswer.validate_json(got.body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
        # an unknown key of the answer stands in `loc`: it is theirs, and might be anything
        known = [str(part) for part in wrong["loc"][:2] if part in _KNOWN]
        raise CallOwner(what=f"answer: {'.'.join(known) or 'it'}: {wrong['type']}") from None
    if isinstance(made, Failing):
        raise made.failure_()
    return made


_KNOWN: Final = frozenset(
    {
        "card",
        "empty",
        "failure",
        *CardAnswer.model_fields,
        *Empty.model_fields,
        *Failing.model_fields,
    }
)
