"""What a plugin answers when asked for a card: values, never a document, layout or address."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.contract.card import Template


class AnswerState(StrEnum):
    """How the citizen's matter stands, as far as a department can say."""

    READY = "ready"
    ACTION_REQUIRED = "action_required"
    IN_PROGRESS = "in_progress"
    DONE = "done"


class EmptyReason(StrEnum):
    """Why a department has nothing for this citizen; a normal answer, not an error."""

    NO_RECORD = "no_record"
    NOT_OPEN_HERE = "not_open_here"
    NOT_ELIGIBLE = "not_eligible"


# A value by the kind its fact declares in the manifest: money is integer fen, date an ISO date,
# datetime RFC 3339, text a string (or "@key" for a word of the plugin), flag a bool.
FactValue = Annotated[str, Field(max_length=200)] | int | float | bool | None
Row = dict[str, FactValue]


class CardAnswer(BaseModel):
    """The values of one card for one citizen.

    `facts` holds one value for each fact that the manifest's card declares (an undeclared name is
    refused); `items` holds the rows of a `list`, `event` or `case` card. `stage`, `holder` are
    words keys ("@stage.review") or plain text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["card"] = "card"
    facts: dict[str, FactValue] = Field(default_factory=dict, max_length=8)
    items: tuple[Row, ...] = Field(default=(), max_length=50)
    state: AnswerState = AnswerState.READY
    due: date | None = None
    stage: Annotated[str, Field(max_length=60)] | None = None
    holder: Annotated[str, Field(max_length=60)] | None = None
    as_of: datetime | None = None  # with offset; None means "now"
    template: Template | None = None  # one the manifest allows; None means the declared one


class Empty(BaseModel):
    """The department has no record that would make a card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["empty"] = "empty"
    reason: EmptyReason = EmptyReason.NO_RECORD
    words: Annotated[str, Field(max_length=60)] | None = None  # key in the plugin's words files


class Probe(BaseModel):
    """Whether the department's back end is there and accepts our credentials."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ok: bool
    note: Annotated[str, Field(max_length=200)] = ""
