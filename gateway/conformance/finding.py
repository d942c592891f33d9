"""One sentence about a document: where, what is wrong, and how to mend it."""

from dataclasses import dataclass, replace
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, order=True, slots=True)
class Finding:
    """One mistake at one place; findings sort by file, line and column.

    `line` and `column` count from 1 in characters; `field` is the dotted way to the value
    ("services.0.card"), empty where there is none. `message` says what is wrong and names the
    value, `cure` what to do. Neither ever holds a secret or a citizen's data.
    """

    file: str
    line: int
    column: int
    code: str
    severity: Severity
    field: str
    message: str
    cure: str

    def coded(self, code: str) -> "Finding":
        """The same sentence under another code (a rule's, such as `C02`)."""
        return replace(self, code=code)

    def in_file(self, file: str) -> "Finding":
        """The same sentence about a file named from elsewhere (`plugins/gjj/plugin.yaml`)."""
        return replace(self, file=file)

    def line_of_text(self, sign: str = "") -> str:
        """One printed line: `C07 S recipe.yaml:31:7 field: message; cure`."""
        mark = sign or ("E" if self.severity == "error" else "W")
        what = f"{self.field}: {self.message}" if self.field else self.message
        cure = f"; {self.cure}" if self.cure else ""
        return f"{self.code} {mark} {self.file}:{self.line}:{self.column} {what}{cure}"


def errors(findings: "list[Finding]") -> "list[Finding]":
    """Those that keep a document from being applied."""
    return [finding for finding in findings if finding.severity == "error"]
