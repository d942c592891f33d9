"""What the contract publishes as files: JSON Schemas and the OpenAPI document of kind `standard`.

`citygate generated` writes them into `gateway/contract/`; `make check` names a stale one.
"""

import json
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from gateway.conformance.folder import Aim
from gateway.contract.answer import CardAnswer, Empty, Probe
from gateway.contract.card import Card
from gateway.contract.hooks import CardAsk
from gateway.contract.manifest import Manifest
from gateway.contract.recipe import Recipe
from gateway.contract.sample import Sample
from gateway.contract.version import CONTRACT_VERSION
from gateway.hosting.standard import Failing, StandardAnswer

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_MODELS: Final[dict[str, type[BaseModel]]] = {
    "plugin": Manifest,
    "recipe": Recipe,
    "sample": Sample,
    "conformance": Aim,
    "card": Card,
    "card-answer": CardAnswer,
    "empty": Empty,
    "failure": Failing,
    "probe": Probe,
}
_REF: Final = "#/components/schemas/{model}"


def names() -> tuple[str, ...]:
    """The documents that have a schema."""
    return tuple(_MODELS)


def schema(name: str) -> str:
    """The JSON Schema of one document, as a file's text."""
    made = _MODELS[name].model_json_schema(by_alias=True)
    head = {
        "$schema": DIALECT,
        "$id": f"https://citygate.example/contract/{CONTRACT_VERSION}/{name}.schema.json",
    }
    return _text({**head, **made})


def standard_openapi() -> str:
    """The HTTP contract that a department of kind `standard` implements, as a file's text."""
    return _text(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Citygate standard contract",
                "version": CONTRACT_VERSION,
                "summary": "What a department answers that implements the contract itself",
                "description": _ABOUT,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "servers": [
                {
                    "url": "{base}",
                    "description": "`connect.base` of plugin.yaml",
                    "variables": {"base": {"default": "https://api.department.example"}},
                }
            ],
            "paths": {
                "/citygate/v1/card": {"post": _card_operation()},
                "/citygate/v1/probe": {"get": _probe_operation()},
            },
            "components": {"schemas": _schemas()},
        }
    )


_ABOUT: Final = (
    "The gateway asks for the values of one card for one citizen; the department answers values, "
    "never a document, a layout or an address. Labels, formats, masks and words come from "
    "plugin.yaml and the words files. Money is integer fen, a date is ISO 8601, an instant is "
    "RFC 3339 with an offset. Requests carry what `auth` and `sign` of plugin.yaml say. Unknown "
    "members of the ask are to be ignored: a minor version only adds some. An answer has at most "
    "1 MiB, in UTF-8, and comes within `connect.timeout`."
)


def _card_operation() -> dict[str, Any]:
    return {
        "operationId": "card",
        "summary": "The values of one card for one citizen: an idempotent read",
        "requestBody": {"required": True, "content": _json({"$ref": _ref("CardAsk")})},
        "responses": {
            "200": {
                "description": "Values, an explained emptiness, or a failure by name",
                "content": _json({"$ref": _ref("Answer")}),
            },
            "401": {"description": "Our credentials or signature are not accepted"},
            "429": _later("Too many requests"),
            "503": _later("Busy; the last copy is shown meanwhile"),
        },
    }


def _probe_operation() -> dict[str, Any]:
    return {
        "operationId": "probe",
        "summary": "Whether the back end is there and accepts us; no citizen in it, within 1 s",
        "responses": {
            "200": {"description": "It is", "content": _json({"$ref": _ref("Probe")})},
            "401": {"description": "Our credentials or signature are not accepted"},
            "503": {"description": "It is not ready"},
        },
    }


def _later(description: str) -> dict[str, Any]:
    seconds = {"description": "Seconds, or an HTTP date", "schema": {"type": "string"}}
    return {"description": description, "headers": {"Retry-After": seconds}}


def _json(schema_: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema_}}


def _ref(name: str) -> str:
    return _REF.format(model=name)


def _schemas() -> dict[str, Any]:
    adapters: dict[str, TypeAdapter[Any]] = {
        "CardAsk": TypeAdapter(CardAsk),
        "Answer": StandardAnswer,
        "Probe": TypeAdapter(Probe),
    }
    found: dict[str, Any] = {}
    for name, adapter in adapters.items():
        made = adapter.json_schema(by_alias=True, ref_template=_REF)
        found |= made.pop("$defs", {})
        found[name] = made
    return dict(sorted(found.items()))


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
