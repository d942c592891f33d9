"""The conformance kit: a folder in, a report out. `citygate plugin check` is its command."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.conformance.finding import Finding, errors
from gateway.conformance.folder import Folder, gathered, opened
from gateway.conformance.rules import RULES, Rule, Tier


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found about one plugin folder, in order of file and line."""

    folder: Folder
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing keeps it from being published."""
        return not errors(list(self.findings))

    @property
    def tier(self) -> Tier | None:
        """The tier that the rules of this release give it."""
        return "bronze" if self.passed else None

    def broken(self, rule: Rule) -> int:
        """How many findings that are no mere warnings a rule has."""
        return sum(f.code == rule.id and f.severity == "error" for f in self.findings)


def judge(folder: Folder, *, run: bool = True) -> Report:
    """Hold a folder against every rule; without `run` nothing of it is executed."""
    found: set[Finding] = set()
    for rule in RULES:
        if run or not rule.runs:
            found |= {finding.coded(rule.id) for finding in rule.check(folder)}
    return Report(folder, tuple(sorted(found)))


def judged(
    path: Path, *, variables: Mapping[str, str] = {}, softened: bool = False, run: bool = True
) -> Report:
    """Read a folder from disk and hold it against every rule."""
    files, odd = gathered(path)
    folder = opened(
        path.resolve().name, files, odd=tuple(odd), variables=variables, softened=softened
    )
    return judge(folder, run=run)
