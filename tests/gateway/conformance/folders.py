"""Plugin folders for tests: the skeleton of `plugin new`, and the same as a code plugin."""

from pathlib import Path
from typing import Final

from gateway.cli.plugin import write_skeleton
from gateway.conformance.finding import Finding
from gateway.conformance.kit import Report, judged

CODE: Final = '''\
"""A department's back end, asked by code."""

from gateway.contract import CardAnswer, CardAsk, Context, Empty, TryAgain
from gateway.contract.hooks import Asked


async def card(ctx: Context, ask: CardAsk) -> CardAnswer | Empty:
    """The citizen's record."""
    asked = Asked("GET", "/records", query={"id": ask.claims["id_number"]})
    reply = await ctx.http.send(asked)
    said = reply.json()
    if said["code"] == 404:
        return Empty(words="none")
    if said["code"] == 503:
        raise TryAgain(words="busy")
    data = said["data"]
    fen = int(data["amount"].replace(".", ""))
    return CardAnswer(facts={"amount": fen, "until": data["until"]})
'''


def recipe(tmp_path: Path) -> Path:
    """A recipe plugin as `plugin new` writes it."""
    folder = tmp_path / "parks"
    write_skeleton(folder, "parks")
    return folder


def code(tmp_path: Path) -> Path:
    """A code plugin that does the same."""
    folder = recipe(tmp_path)
    (folder / "recipe.yaml").unlink()
    change(folder, "plugin.yaml", "kind: recipe", "kind: code")
    change(folder, "plugin.yaml", "health: {call: ping}", "")
    (folder / "plugin.py").write_text(CODE)
    for sample in (folder / "samples").iterdir():
        change(folder, f"samples/{sample.name}", "  record:", "  GET /records:")
    return folder


def change(folder: Path, file: str, old: str, new: str) -> None:
    """Replace a text that stands in the file."""
    text = (folder / file).read_text("utf-8")
    assert old in text, f"{file} does not hold {old!r}"
    (folder / file).write_text(text.replace(old, new, 1), "utf-8")


def line_of(folder: Path, file: str, text: str) -> int:
    """The line of a text in a file, from 1."""
    lines = (folder / file).read_text("utf-8").splitlines()
    return next(n for n, line in enumerate(lines, 1) if text in line)


def found(report: Report, rule: str) -> list[Finding]:
    """The findings of one rule."""
    return [finding for finding in report.findings if finding.code == rule]


def judge(folder: Path, **more: bool) -> Report:
    """Hold the folder against all rules."""
    return judged(folder, **more)
