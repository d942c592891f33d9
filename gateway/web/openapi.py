"""The OpenAPI 3.1 document of what programs may call: built from the models, once."""

from functools import cache
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema

from gateway.cards.item import ActionKind
from gateway.cards.state import Code
from gateway.contract.card import Card
from gateway.contract.ids import SERVICE_ID_PATTERN
from gateway.contract.version import CONTRACT_VERSION

_REF: Final = "#/components/schemas/{model}"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_SERVICES: Final = 200


class _Said(BaseModel):
    """Minor versions add optional members only, so readers ignore what they do not know."""

    model_config = ConfigDict(extra="ignore")


class State(_Said):
    """Exactly one state holds for each service."""

    code: Code
    reason: str = Field(description="Why, as a word of a closed list for each code.")
    until: AwareDatetime | None = Field(description="When it ends or is due, where that is known.")
    retry_after: float | None = Field(description="Seconds after which asking again makes sense.")
    message: str = Field(max_length=120, description="One sentence for people.")
    speak: str = Field(description="The same for a screen reader, with the other way.")


class Freshness(_Said):
    """Where the card's body comes from."""

    source: Literal["live", "copy"]
    as_of: AwareDatetime = Field(description="When the department said so.")
    reason: str | None = Field(description="Of a copy: why the department could not be asked now.")


class Action(_Said):
    """One button."""

    kind: ActionKind
    label: str
    target: str = Field(description="A path of this host, `tel:…`, or the address of a plain link.")


class Envelope(_Said):
    """One service as the caller sees it now, around an immutable card."""

    service: Annotated[str, Field(pattern=SERVICE_ID_PATTERN)]
    state: State
    freshness: Freshness | None
    badges: Annotated[tuple[Literal["trial", "gray", "new"], ...], Field(max_length=2)]
    actions: Annotated[tuple[Action, ...], Field(max_length=2)]
    card: Card | None


class Feed(_Said):
    """Every service that the caller may see, in showing order."""

    cards: tuple[Envelope, ...]
    complete: bool = Field(
        description="True when nothing is pending or unavailable and no copy is past its window."
    )


class Problem(_Said):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str | None = None
    trace: str | None = Field(None, description="Reference for questions about this answer.")


class RedeemForm(BaseModel):
    """A ticket in, proved by the department's own key (private_key_jwt, RFC 7523)."""

    ticket: str
    address: str = Field(description="The landing address where the ticket arrived, exactly.")
    client_assertion_type: Literal["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
    client_assertion: str
    client_id: str | None = None


class Redeemed(_Said):
    """Who came out of a ticket."""

    subject: str = Field(description="The citizen's pseudonym at this department.")
    department: str
    service: str
    level: Annotated[int, Field(ge=0, le=5)]
    claims: dict[str, str] = Field(description="The data items that she agreed to, by id.")
    session: str
    function: str | None
    nonce: str | None


class Oembed(_Said):
    """oEmbed 1.0, `rich`."""

    version: Literal["1.0"]
    type: Literal["rich"]
    title: str
    html: str
    width: int
    height: int


@cache
def document() -> bytes:
    """The document as JSON."""
    models: list[type[BaseModel]] = [Feed, Envelope, Problem, RedeemForm, Redeemed, Oembed]
    _, definitions = models_json_schema(
        [(model, "serialization") for model in models], by_alias=True, ref_template=_REF
    )
    whole: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Citygate 城市服务聚合网关",
            "version": CONTRACT_VERSION,
            "description": "What host apps and departments' servers may call. Pages show the same "
            "values. Unknown parameters are refused; unknown members of answers are to be ignored.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": _paths(),
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-citygate",
                    "description": "Set by signing in. Without it the answer is what anybody sees.",
                }
            },
        },
    }
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _paths() -> dict[str, Any]:
    return {
        "/api/v1/cards": {"get": _feed()},
        "/api/v1/cards/{service}": {"get": _card()},
        "/api/v1/tickets/redeem": {"post": _redeem()},
        "/oembed": {"get": _oembed()},
        "/openapi.json": {
            "get": {
                "operationId": "openapi",
                "summary": "This document",
                "responses": {"200": _json("The document", {"type": "object"})},
            }
        },
    }


def _feed() -> dict[str, Any]:
    listed = {
        "type": "string",
        "pattern": r"^[a-z][a-z0-9-]{0,62}(,[a-z][a-z0-9-]{0,62})*$",
        "maxLength": 64 * MAX_SERVICES,
    }
    return {
        "operationId": "feed",
        "summary": "Every service with what is true for the caller now",
        "description": "Answers within its budget whatever departments do: what is not answered "
        "yet is `pending`. `private, no-cache` with an ETag.",
        "security": [{}, {"session": []}],
        "parameters": [
            _query("topic", "Only services of this topic.", {"type": "string", "maxLength": 64}),
            _query("services", "Only these services, separated by commas.", listed),
            _header("If-None-Match", "An ETag of an earlier answer."),
        ],
        "responses": {
            "200": _json("The feed", _ref("Feed"), etag=True),
            "304": {"description": "Unchanged"},
            **_problems("400", "503"),
        },
    }


def _card() -> dict[str, Any]:
    return {
        "operationId": "card",
        "summary": "One service with what is true for the caller now",
        "security": [{}, {"session": []}],
        "parameters": [
            {
                "name": "service",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "pattern": SERVICE_ID_PATTERN},
            }
        ],
        "responses": {
            "200": _json("The service", _ref("Envelope")),
            **_problems("400", "404", "410", "503"),
        },
    }


def _redeem() -> dict[str, Any]:
    return {
        "operationId": "redeem",
        "summary": "Exchange a launch ticket for who came",
        "description": f"For departments' servers: `client_assertion_type` is `{_ASSERTION}`. A "
        "ticket lives 60 s, works once and only with the address that it was made for.",
        "requestBody": {
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": _ref("RedeemForm")}},
        },
        "responses": {
            "200": _json("Who came", _ref("Redeemed")),
            **_problems("400", "401", "403", "413", "415", "503"),
        },
    }


def _oembed() -> dict[str, Any]:
    return {
        "operationId": "oembed",
        "summary": "The frame that shows one service in an article",
        "parameters": [
            _query("url", "The service's address.", {"type": "string"}, required=True),
            _query("format", "Only json.", {"type": "string", "const": "json"}),
            _query("maxwidth", "Pixels.", {"type": "integer", "minimum": 1}),
        ],
        "responses": {
            "200": _json("The frame", _ref("Oembed"), etag=True),
            "304": {"description": "Unchanged"},
            **_problems("400", "404", "422"),
        },
    }


def _ref(model: str) -> dict[str, str]:
    return {"$ref": _REF.format(model=model)}


def _json(text: str, schema: dict[str, Any], *, etag: bool = False) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": text,
        "content": {"application/json": {"schema": schema}},
    }
    if etag:
        answer["headers"] = {"ETag": {"schema": {"type": "string"}}}
    return answer


def _problems(*statuses: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": _ref("Problem")}}
    return {status: {"description": "See `title`", "content": content} for status in statuses}


def _query(
    name: str, text: str, schema: dict[str, Any], *, required: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": text,
        "schema": schema,
    }


def _header(name: str, text: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"name": name, "in": "header", "required": False, "description": text, "schema": schema}
