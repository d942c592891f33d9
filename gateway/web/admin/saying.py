"""What the consoles' pages share: who did it, what a finding says, the answer to a failed act."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.conformance.finding import Finding
from gateway.errors import Conflict, Invalid, Problem, StaleEdit
from gateway.registry.gather import PLUGINS
from gateway.registry.publish import CannotPrepare
from gateway.web.visit import Visit
from gateway.words.loader import table

MAX_REASON: Final = 400
MAX_SENTENCE: Final = 60
_TAIL: Final = 8  # characters of a citizen id that tell colleagues apart


@dataclass(frozen=True, slots=True)
class Told:
    """One finding as a page shows it."""

    place: str  # file:line:column
    title: str
    text: str
    cure: str
    error: bool
    service: str = ""


def who(visit: Visit, author: str) -> str:
    """An author in words: the file, somebody at a command line, or a colleague by id."""
    if author == "file":
        return visit.say("admin.who.file")
    if author.startswith("cli"):
        name = author.partition(":")[2]
        return visit.say("admin.who.cli", name=name) if name else visit.say("admin.who.cli_unknown")
    return visit.say("admin.who.staff", id=author[-_TAIL:])


def told(visit: Visit, findings: Iterable[Finding]) -> list[Told]:
    """Findings for people, errors first; each with line and cure."""
    titles = table(visit.language)
    rows = []
    for finding in sorted(findings, key=lambda f: (f.severity != "error", f)):
        what = f"{finding.field}: {finding.message}" if finding.field else finding.message
        rows.append(
            Told(
                place=f"{finding.file}:{finding.line}:{finding.column}",
                title=titles.get(f"registry.code.{finding.code}", finding.code),
                text=what,
                cure=finding.cure,
                error=finding.severity == "error",
                service=service_of(finding),
            )
        )
    return rows


def service_of(finding: Finding) -> str:
    """The entry that a finding is about; "" where it is about none alone."""
    parts = finding.field.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "services" else ""


def about(findings: Iterable[Finding], service: str, plugin: str | None) -> list[Finding]:
    """Those about one entry, or about the plugin it uses."""
    folder = f"{PLUGINS}{plugin}/"
    return [
        finding
        for finding in findings
        if service_of(finding) == service or (plugin and finding.file.startswith(folder))
    ]


@dataclass(frozen=True, slots=True)
class Failed:
    """Why an act did nothing, said on the page that it was asked on."""

    status: int
    sentence: str
    findings: tuple[Told, ...] = ()


def failed(visit: Visit, error: Problem | CannotPrepare | Sequence[Finding]) -> Failed:
    """The sentence for what `Publisher` raised or returned; nothing was changed.

    Raises:
        Problem: one that has a page of its own.
    """
    if isinstance(error, StaleEdit):
        return Failed(412, visit.say("admin.failed.stale", current=error.members["current"]))
    if isinstance(error, Invalid):
        return Failed(422, visit.say("admin.failed.reason", most=MAX_REASON))
    if isinstance(error, Conflict):
        return Failed(409, visit.say("admin.failed.conflict", why=error.detail))
    if isinstance(error, CannotPrepare):
        return Failed(503, visit.say("admin.failed.prepare", why=str(error)[:200]))
    if isinstance(error, Problem):
        raise error
    return Failed(422, visit.say("admin.failed.findings"), tuple(told(visit, error)))


def sentence(form: Mapping[str, str]) -> dict[str, str] | None:
    """What citizens shall read, in both languages; None where nothing was written."""
    chinese = form.get("sentence_zh", "").strip()
    if not chinese:
        return None
    return {"zh": chinese, "en": form.get("sentence_en", "").strip() or chinese}


def number(text: str) -> int:
    """A revision's number out of a path or form; 0 where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0  # noqa: PLR2004 - fits the column
