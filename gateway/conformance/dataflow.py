"""C07: no personal datum is used that the manifest does not declare for that service."""

import ast
from collections.abc import Iterable, Iterator

from gateway.conformance.finding import Finding
from gateway.conformance.folder import Folder
from gateway.conformance.mistakes import near
from gateway.conformance.reader import Loc
from gateway.conformance.walking import places, texts
from gateway.contract.manifest import Manifest
from gateway.contract.recipe import Recipe, Source


def uses_declared_data(folder: Folder) -> Iterator[Finding]:
    """C07: every `{citizen.x}` and `ask.claims["x"]` is a data item of the services that ask."""
    manifest = folder.manifest
    if manifest is None:
        return
    if folder.recipe is not None:
        yield from _recipe(folder, manifest, folder.recipe)
    if "plugin.py" in folder.files:
        yield from _code(folder, manifest)


def citizen_places(loc: Loc, value: object) -> Iterator[tuple[Loc, str]]:
    """Where a part of the recipe names a datum of the citizen."""
    for way, text in texts(value, loc):
        for place in places(text):
            source, _, name = place.partition(".")
            if source == "citizen":
                yield way, name


def _recipe(folder: Folder, manifest: Manifest, recipe: Recipe) -> Iterator[Finding]:
    raw = folder.documents["recipe.yaml"].value
    declared = {item.id for item in manifest.data}
    calls = raw.get("calls", {})
    for name, call in calls.items():
        users = [card for card, spec in recipe.cards.items() if _uses(spec.sources, name)]
        for way, item in citizen_places(("calls", name), call):
            yield from _item(folder, manifest, "recipe.yaml", way, item, declared, users)
    if recipe.drop is not None:
        users = [card for card, spec in recipe.cards.items() if not spec.sources]
        key = {"key_is": recipe.drop.key_is}
        for way, item in citizen_places(("drop",), key):
            yield from _item(folder, manifest, "recipe.yaml", way, item, declared, users)


def _uses(sources: Iterable[Source], call: str) -> bool:
    return any(source.call == call for source in sources)


def _item(
    folder: Folder,
    manifest: Manifest,
    file: str,
    way: Loc,
    item: str,
    declared: set[str],
    cards: list[str],
) -> Iterator[Finding]:
    if item not in declared:
        cure = near(item, declared) or "declare it under `data:` in plugin.yaml with its purpose"
        yield folder.at(file, way, f"the citizen's {item!r} is used and not declared", cure)
        return
    for service in manifest.services:
        if service.card in cards and item not in service.data:
            cure = f"add {item} to services.{service.id}.data, so that citizens are asked"
            message = f"the card of service {service.id!r} uses {item!r} without asking for it"
            yield folder.at(file, way, message, cure)


def _code(folder: Folder, manifest: Manifest) -> Iterator[Finding]:
    try:
        tree = ast.parse(folder.files["plugin.py"])
    except (SyntaxError, ValueError):
        return  # C18 says so
    declared = {item.id for item in manifest.data}
    for node in ast.walk(tree):
        name = _claim(node)
        if name is not None and name not in declared:
            line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
            cure = near(name, declared) or "declare it under `data:` in plugin.yaml"
            message = f"the citizen's {name!r} is used and not declared"
            yield Finding("plugin.py", line, column, "", "error", "", message, cure)


def _claim(node: ast.AST) -> str | None:
    """The name in `….claims["name"]` or `….claims.get("name")`."""
    held: ast.AST | None = None
    key: ast.AST | None = None
    if isinstance(node, ast.Subscript):
        held, key = node.value, node.slice
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        held, key = (node.func.value, node.args[0]) if node.func.attr == "get" else (None, None)
    if isinstance(held, ast.Attribute) and held.attr == "claims":
        return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None
    return None
