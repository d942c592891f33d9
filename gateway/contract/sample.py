"""`samples/<case>.yaml`: a recorded answer, and the card or failure that it must give.

Samples hold marked test people only: their identity numbers begin with 00, their telephone numbers
with 100. `citygate plugin check` runs every sample, `citygate plugin preview` shows it.
"""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, model_validator

from gateway.contract.answer import CardAnswer, EmptyReason
from gateway.contract.block import Block
from gateway.contract.manifest import Text

FailureWord = Literal["try_again", "show_last", "call_owner", "ask_citizen"]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]


class Recorded(Block):
    """What a department answered to one request; at most one of `json`, `text`, `file`.

    `text` is sent in the charset of `connect`; `file` names raw bytes in `samples/`. `lost` means
    that no answer came at all.
    """

    status: Annotated[int, Field(ge=100, le=599)] = 200
    content_type: Annotated[str, Field(max_length=120)] | None = None
    json_: Any = Field(default=None, alias="json")
    text: str | None = None
    file: FileName | None = None
    lost: Literal["timeout", "reset"] | None = None

    @model_validator(mode="after")
    def _one_body(self) -> "Recorded":
        if sum(body is not None for body in (self.json_, self.text, self.file, self.lost)) > 1:
            raise ValueError("give at most one of json, text, file, lost")
        return self


class Expected(Block):
    """What a sample must give: exactly one of `card`, `empty`, `failure`; `words` with the last two."""

    card: CardAnswer | None = None
    empty: EmptyReason | None = None
    failure: FailureWord | None = None
    words: Annotated[str, Field(max_length=60)] | None = None

    @model_validator(mode="after")
    def _one(self) -> "Expected":
        if sum(x is not None for x in (self.card, self.empty, self.failure)) != 1:
            raise ValueError("give exactly one of card, empty, failure")
        if self.card is not None and self.words is not None:
            raise ValueError("`words` goes with `empty` or `failure`")
        return self


class Sample(Block):
    """One recorded case of one card.

    `answers` holds, for a recipe, the answer of each call by its name; for a code plugin the answer
    of each request by method and path (`POST /cases/query`), several in order where it is sent
    again. `row` is the row of a drop, by the recipe's own column names.
    """

    sample: Literal[1]
    title: Text
    service: Annotated[str, Field(max_length=63)]  # the service's id in the manifest
    card: Annotated[str, Field(max_length=31)]
    citizen: dict[str, str] = Field(default_factory=dict)  # consented data items
    now: AwareDatetime  # the clock of this case
    answers: dict[str, Recorded | tuple[Recorded, ...]] = Field(default_factory=dict)
    row: dict[str, str] | None = None
    row_as_of: AwareDatetime | None = None  # when the drop's file was written; None: `now`
    expect: Expected
