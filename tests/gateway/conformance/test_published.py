"""What the contract publishes: schemas that hold the shipped plugins, and the standard kind."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.generated import contract_files
from gateway.conformance import published
from tests.gateway.conformance.folders import change, found, judge, recipe

ROOT = Path(__file__).resolve().parents[3]


def test_the_files_are_fresh() -> None:
    """What lies in the contract's folder is what the models say today."""
    for path, make in contract_files().items():
        assert (ROOT / path).read_text("utf-8") == make(), path


@pytest.mark.parametrize("name", published.names())
def test_a_schema_names_itself_and_refuses_unknown_keys(name: str) -> None:
    """Editors complete by it, so a key of a typing slip must be wrong by it."""
    schema = json.loads(published.schema(name))
    assert schema["$schema"] == published.DIALECT
    assert schema["additionalProperties"] is False


def test_every_reference_of_the_openapi_document_leads_somewhere() -> None:
    """The document stands alone."""
    document = json.loads(published.standard_openapi())
    schemas = document["components"]["schemas"]

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [ref for item in value.values() for ref in references(item)]
        if isinstance(value, list):
            return [ref for item in value for ref in references(item)]
        return []

    named = {ref.removeprefix("#/components/schemas/") for ref in references(document)}
    assert named
    assert named <= set(schemas)


def standard(tmp_path: Path) -> Path:
    """The skeleton as a plugin of kind `standard`: the department answers in our words."""
    folder = recipe(tmp_path)
    (folder / "recipe.yaml").unlink()
    change(folder, "plugin.yaml", "kind: recipe", "kind: standard")
    change(folder, "plugin.yaml", "health: {call: ping}", "")
    for name, answer in (
        ("found", '{kind: card, facts: {amount: 12850, until: "2027-06-30"}}'),
        ("nothing", "{kind: empty, reason: no_record, words: none}"),
        ("busy", "{kind: failure, failure: try_again, words: busy}"),
    ):
        path = folder / "samples" / f"{name}.yaml"
        lines = path.read_text("utf-8").splitlines()
        lines = [f"  card: {{json: {answer}}}" if "record: {json" in one else one for one in lines]
        path.write_text("\n".join(lines) + "\n", "utf-8")
    for name in ("silent", "page"):
        change(folder, f"samples/{name}.yaml", "  record:", "  card:")
    return folder


def test_a_department_may_answer_in_our_words(tmp_path: Path) -> None:
    """Kind `standard` passes with an address and samples, without a recipe."""
    report = judge(standard(tmp_path))
    assert report.findings == ()


def test_an_answer_that_the_contract_does_not_know_is_the_owners(tmp_path: Path) -> None:
    """[C12] An unknown member is refused, not shown."""
    folder = standard(tmp_path)
    change(folder, "samples/found.yaml", "kind: card,", "kind: card, html: x,")
    (finding,) = found(judge(folder), "C12")[:1]
    assert "expected card, it gives failure" in finding.message
