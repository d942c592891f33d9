"""`citygate check | diff | registry …`: the registry from the command line.

Everything works with the server down, straight on the ledger. Data on stdout, talk on stderr;
exit 0 clean, 1 findings or differences, 2 usage or tool failure.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from gateway.cli import registry_tools as tools
from gateway.conformance.finding import Finding

app = typer.Typer(help="The registry's revisions.", no_args_is_help=True)

Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; compulsory.")]
Author = Annotated[str, typer.Option(help="Who; by default the system's account.")]
Json = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Environment = Annotated[
    str, typer.Option(help="demo, staging or production; by default that of this installation.")
]
FileOption = Annotated[Path | None, typer.Option("--file", help="The registry file.")]
Plugins = Annotated[Path | None, typer.Option(help="The folder of plugin folders.")]


def mount(root: typer.Typer) -> None:
    """Put the commands on the command line."""
    root.command()(check)
    root.command()(diff)
    root.add_typer(app, name="registry")


def check(
    file: Annotated[Path | None, typer.Argument(help="The registry file.")] = None,
    plugins: Plugins = None,
    environment: Environment = "",
    as_json: Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
) -> None:
    """Name everything that is wrong with a registry and its plugins, with line and column."""
    place = tools.find(file, plugins, environment)
    prepared, found = tools.prepared(place)
    wrong = [f for f in found if f.severity == "error" or strict]
    if as_json:
        rows = [tools.as_row(place, finding) for finding in found]
        errors = sum(f.severity == "error" for f in found)
        counts = {"errors": errors, "warnings": len(found) - errors}
        _data({"environment": place.environment, **counts, "findings": rows})
    else:
        _tell_findings(place, found)
        tools.talk(tools.summary(place, prepared, found))
    raise typer.Exit(1 if wrong else 0)


def diff(
    revisions: Annotated[
        str, typer.Argument(metavar="[A..B]", help="Two revisions; by default the live one..file.")
    ] = "",
    file: FileOption = None,
    plugins: Plugins = None,
    environment: Environment = "",
    language: Annotated[str, typer.Option(help="zh or en")] = "zh",
    as_json: Json = False,
) -> None:
    """Say in sentences what changes from one revision to another, or to the file."""
    place = tools.find(file, plugins, environment)
    first, _, second = revisions.partition("..")
    with tools.reporting():
        before, after = tools.two(place, first, second)
        told = tools.difference(place, before, after, "en" if language == "en" else "zh")
    same = before == after
    if as_json:
        _data({"same": same, "sentences": told})
    else:
        for sentence in told:
            print(sentence)
    raise typer.Exit(0 if same else 1)


@app.command()
def publish(
    file: Annotated[Path | None, typer.Argument(help="The registry file.")] = None,
    reason: Reason = "",
    author: Author = "",
    plugins: Plugins = None,
    environment: Environment = "",
    as_json: Json = False,
) -> None:
    """Make the file and the plugin folders the live revision; nothing while one error stands."""
    _needs(reason)
    place = tools.find(file, plugins, environment)
    with tools.reporting():
        done, found = tools.publish(place, author=tools.author(author), reason=reason)
    _tell_published(place, done, found, as_json=as_json)


@app.command()
def restore(
    revision: Annotated[
        int, typer.Argument(help="The revision whose content shall be live again.", min=1)
    ],
    reason: Reason = "",
    author: Author = "",
    environment: Environment = "",
    as_json: Json = False,
) -> None:
    """Publish an older revision's content, plugins included, as a new revision."""
    _needs(reason)
    place = tools.find(None, None, environment)
    with tools.reporting():
        done, found = tools.restore(place, revision, author=tools.author(author), reason=reason)
    _tell_published(place, done, found, as_json=as_json)


@app.command()
def suspend(
    service: Annotated[str, typer.Argument(help="The service's id.")],
    reason: Reason = "",
    zh: Annotated[str, typer.Option(help="What citizens read, in Chinese.")] = "",
    en: Annotated[str, typer.Option(help="The same in English.")] = "",
    author: Author = "",
    environment: Environment = "",
) -> None:
    """Switch one service off at once."""
    _needs(reason)
    place = tools.find(None, None, environment)
    sentence = {"zh": zh, "en": en or zh} if zh else None
    with tools.reporting():
        done, found = tools.suspend(
            place, service, author=tools.author(author), reason=reason, sentence=sentence
        )
    _tell_published(place, done, found, as_json=False)


@app.command()
def resume(
    service: Annotated[str, typer.Argument(help="The service's id.")],
    reason: Reason = "",
    author: Author = "",
    environment: Environment = "",
) -> None:
    """Open a suspended service again."""
    _needs(reason)
    place = tools.find(None, None, environment)
    with tools.reporting():
        done, found = tools.resume(place, service, author=tools.author(author), reason=reason)
    _tell_published(place, done, found, as_json=False)


@app.command()
def history(
    most: Annotated[int, typer.Option(help="How many.", min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """List revisions, newest first: number, time, author, reason."""
    place = tools.find(None, None, "")
    with tools.reporting():
        rows = tools.history(place, most)
    if as_json:
        _data(rows)
        return
    for row in rows:
        print(f"{row['id']:>6}  {row['at']}  {row['author']}  {row['reason']}")


@app.command()
def show(
    revision: Annotated[int, typer.Argument(help="The revision's number.", min=1)],
    path: Annotated[str, typer.Option("--path", help="Print this file of it as it was.")] = "",
    environment: Environment = "",
    as_json: Json = False,
) -> None:
    """Show a revision: who, when, why, what it changed, its files."""
    place = tools.find(None, None, environment)
    with tools.reporting():
        row, files = tools.show(place, revision)
        if path:
            if path not in files:
                tools.talk(f"citygate: revision {revision} has no file {path!r}")
                raise typer.Exit(2)
            sys.stdout.buffer.write(files[path])
            sys.stdout.flush()
            return
        before = tools.files_of(place, revision - 1) if revision > 1 else {}
        row["changes"] = tools.difference(place, before, files, "zh")
    if as_json:
        _data(row)
        return
    print(f"{row['id']}  {row['at']}  {row['author']}  {row['reason']}")
    for sentence in row["changes"]:
        print(f"  {sentence}")
    for name, digest in row["manifest"].items():
        print(f"  {digest[:12]}  {name}")


@app.command()
def add(
    plugin: Annotated[
        str, typer.Argument(metavar="PLUGIN/SERVICE", help="What the plugin offers.")
    ],
    topic: Annotated[str, typer.Option(help="The topic's id.")] = "",
    service: Annotated[
        str, typer.Option("--id", help="The entry's id; it appears in addresses.")
    ] = "",
    file: FileOption = None,
    plugins: Plugins = None,
) -> None:
    """Write an entry for a plugin's service into the registry file; comments are kept."""
    place = tools.find(file, plugins, "")
    with tools.reporting():
        written = tools.add(place, plugin, topic=topic, service=service)
    tools.talk(written)


def _needs(reason: str) -> None:
    if not reason.strip():
        tools.talk('citygate: a reason is required: --reason "…"')
        raise typer.Exit(2)


def _data(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")


def _tell_findings(place: "tools.Place", found: list[Finding]) -> None:
    for finding in found:
        print(tools.as_line(place, finding))


def _tell_published(
    place: "tools.Place", done: dict[str, Any] | None, found: list[Finding], *, as_json: bool
) -> None:
    if as_json:
        _data({"published": done, "findings": [tools.as_row(place, f) for f in found]})
    elif done is None:
        _tell_findings(place, found)
    else:
        for finding in found:
            tools.talk(tools.as_line(place, finding))
        print(done["revision"])
    if done is None:
        tools.talk("nothing was published: mend the findings above")
        raise typer.Exit(1)
    word = f"revision {done['revision']} is published" if done["changed"] else "nothing has changed"
    tools.talk(word)
