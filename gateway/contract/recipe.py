"""`recipe.yaml`: what to ask a back end and how to read its answer, without code.

No conditions, loops or arithmetic: what needs them is a code plugin. Texts that are sent may hold
places `{citizen.x} {setting.x} {secret.x} {ask.x} {now:%Y-%m-%d} {call.name.kept}`; `{{` and `}}`
are braces. Expressions read answers: JMESPath (json, csv, rss), XPath (xml) or `re:` with one group
(text), each cut down to what cannot run away. Where the back end is and how requests are proved
stands in `plugin.yaml` (`connect`, `auth`, `sign`).
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gateway.contract.answer import AnswerState, EmptyReason
from gateway.contract.block import Block, Duration

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
Expression = Annotated[str, Field(min_length=1, max_length=200)]
Pattern = Annotated[str, Field(min_length=1, max_length=200)]
Words = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,59}$")]  # a key in words.zh.yaml
Scalar = str | int | bool
Status = Annotated[int, Field(ge=100, le=599)]
Read = Literal["json", "xml", "csv", "rss", "text"]


class Test(Block):
    """Look at a value: exactly one of `is`, `in`, `matches`, `missing`."""

    at: Expression
    is_: Scalar | None = Field(default=None, alias="is")
    in_: Annotated[tuple[Scalar, ...], Field(min_length=1)] | None = Field(default=None, alias="in")
    matches: Pattern | None = None  # RE2, the whole value
    missing: Literal[True] | None = None  # absent, null or ""

    @model_validator(mode="after")
    def _one(self) -> "Test":
        if sum(x is not None for x in (self.is_, self.in_, self.matches, self.missing)) != 1:
            raise ValueError("give exactly one of is, in, matches, missing")
        return self


class Unwrap(Block):
    """A document inside a string of the answer (CDATA, JSON text): read it instead."""

    at: Expression
    as_: Literal["xml", "json"] = Field(alias="as")


class Soap(Block):
    """A SOAP request: the envelope is made by us, values are escaped."""

    version: Literal["1.1", "1.2"] = "1.1"
    action: Annotated[str, Field(max_length=300)] = ""
    body: Annotated[dict[str, Any], Field(min_length=1, max_length=1)]  # {prefix:Element: map|text}


class Call(Block):
    """One request and how its answer is read."""

    method: Literal["GET", "POST", "PUT", "HEAD"] = "GET"
    path: Annotated[str, Field(min_length=1, max_length=600, pattern=r"^/")]
    query: dict[str, str] = Field(default_factory=dict)
    headers: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,60}$")], str] = Field(
        default_factory=dict
    )
    json_: dict[str, Any] | list[Any] | None = Field(default=None, alias="json")
    form: dict[str, str] | None = None
    xml: str | None = None  # a document with places; values are escaped
    text: str | None = None
    soap: Soap | None = None
    ns: dict[Name, str] = Field(default_factory=dict)  # XML prefixes for body and expressions
    idempotent: bool | None = None  # None: GET and HEAD are; a read by POST says true
    read: Read = "json"
    delimiter: Literal[",", ";", "|", "\t"] = ","  # csv
    unwrap: Unwrap | None = None
    keep: dict[Name, Expression] = Field(default_factory=dict)  # for {call.<this>.<name>} later
    check: tuple[Test, ...] = ()  # business success inside HTTP 200; failing: call_owner

    @model_validator(mode="after")
    def _one_body(self) -> "Call":
        bodies = [self.json_, self.form, self.xml, self.text, self.soap]
        if sum(body is not None for body in bodies) > 1:
            raise ValueError("give at most one of json, form, xml, text, soap")
        if self.method in ("GET", "HEAD") and any(b is not None for b in bodies[:4]):
            raise ValueError(f"{self.method} sends no body; use query, or method: POST")
        return self


class SoapFault(Block):
    """Which SOAP fault: its code without prefix, and a pattern for its text."""

    code: str | None = None
    matches: Pattern | None = None


class ErrorRule(Block):
    """What an answer that is no success means; the first rule that matches wins."""

    call: Name | None = None  # only for this call
    status: tuple[Status, ...] | Status | None = None
    at: Expression | None = None
    is_: Scalar | None = Field(default=None, alias="is")
    in_: Annotated[tuple[Scalar, ...], Field(min_length=1)] | None = Field(default=None, alias="in")
    matches: Pattern | None = None
    soap_fault: SoapFault | None = None
    timeout: Literal[True] | None = None
    then: Literal["try_again", "show_last", "call_owner", "ask_citizen", "empty"]
    after: Duration | None = None  # try_again
    need: Literal["consent", "binding", "level", "field"] = "binding"  # ask_citizen
    reason: EmptyReason = EmptyReason.NO_RECORD  # empty
    words: Words | None = None

    @model_validator(mode="after")
    def _something(self) -> "ErrorRule":
        tests = [x is not None for x in (self.is_, self.in_, self.matches)]
        if (self.at is None) != (sum(tests) != 1):
            raise ValueError("`at` goes with exactly one of is, in, matches")
        if not any((self.at, self.status, self.soap_fault, self.timeout)):
            raise ValueError("name at least one of status, at, soap_fault, timeout")
        return self


class Value(Block):
    """One value of an answer; its kind is that of the fact it fills."""

    at: Expression
    from_: Name | None = Field(default=None, alias="from")  # a call; None: the card's first
    unit: Literal["yuan", "fen", "wan"] = "yuan"  # money
    format: Annotated[str, Field(max_length=40)] | None = None  # dates: %Y%m%d; else ISO
    map: dict[str, Scalar] | None = None  # raw -> shown ("@key" for a word)
    else_: Scalar | None = Field(default=None, alias="else")  # not in map, or missing


ValueOrExpression = Value | Expression


class Items(Block):
    """The rows of a list."""

    each: Expression
    from_: Name | None = Field(default=None, alias="from")
    fields: Annotated[dict[Name, ValueOrExpression], Field(min_length=1, max_length=8)]
    limit: Annotated[int, Field(ge=1, le=50)] = 20
    where: Test | None = None  # only rows that pass
    sort: Name | None = None  # by this field
    descending: bool = False


class StateRule(Block):
    """How the matter stands: the department's word mapped to ours."""

    at: Expression
    from_: Name | None = Field(default=None, alias="from")
    map: Annotated[dict[str, AnswerState], Field(min_length=1)]
    else_: AnswerState | None = Field(default=None, alias="else")  # None: call_owner
    stage: ValueOrExpression | None = None
    holder: ValueOrExpression | None = None
    due: ValueOrExpression | None = None


class Source(Block):
    """A call that a card needs; the answer of an optional one may be missing or empty."""

    call: Name
    optional: bool = False


class CardRecipe(Block):
    """One card: the calls it needs and where its values stand."""

    from_: Annotated[tuple[Source | Name, ...], Field(min_length=1, max_length=8)] | Name | None = (
        Field(default=None, alias="from")
    )  # calls in order; None: the drop
    facts: dict[Name, ValueOrExpression] = Field(default_factory=dict)
    items: Items | None = None
    empty_when: Test | None = None
    empty_if_no_items: bool = False
    as_of: ValueOrExpression | None = None
    state: StateRule | None = None

    @property
    def sources(self) -> tuple[Source, ...]:
        """The calls in order, each with whether it may fail."""
        if self.from_ is None:
            return ()
        names = (self.from_,) if isinstance(self.from_, str) else self.from_
        return tuple(Source(call=n) if isinstance(n, str) else n for n in names)


class Drop(Block):
    """Files that a department leaves in a folder, for departments without a live back end."""

    folder: Annotated[str, Field(max_length=200)]  # "{setting.folder}"
    files: Annotated[str, Field(pattern=r"^[^/\\]{1,80}$")]  # glob
    charset: Literal["auto", "utf-8", "gb18030"] = "auto"
    delimiter: Literal[",", ";", "|", "\t"] = ","
    columns: Annotated[dict[Name, str], Field(min_length=1, max_length=40)]  # ours -> header
    key: Name  # a column; stored only as keyed HMAC
    key_is: Annotated[str, Field(pattern=r"^\{(citizen\.[a-z0-9_]+|ask\.subject)\}$")]
    as_of: Name | None = None  # a column; None: the file's time
    as_of_format: str | None = None
    max_age: Duration = "3d"
    min_rows: Annotated[int, Field(ge=0)] = 0
    max_change: Annotated[int, Field(ge=1, le=100)] | None = None  # percent of rows that may go
    done: Annotated[str, Field(pattern=r"^[^/\\]{1,80}$")] | None = None  # "{file}.done"


class ProbeCall(Block):
    """How to see that the back end is there and accepts us; no citizen in it."""

    call: Name


class Recipe(Block):
    """One `recipe.yaml`."""

    recipe: Literal[1]
    calls: Annotated[dict[Name, Call], Field(max_length=20)] = Field(default_factory=dict)
    errors: Annotated[tuple[ErrorRule, ...], Field(max_length=100)] = ()
    cards: dict[Name, CardRecipe] = Field(default_factory=dict)
    drop: Drop | None = None
    probe: ProbeCall | None = None
