"""C17, C18: what a code plugin's source says, and what it does on the bench."""

import ast
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from gateway.conformance.bench import OffBench, bench
from gateway.conformance.finding import Finding
from gateway.conformance.folder import Folder
from gateway.conformance.guarded import FILE, MOST_STEP

MOST_IMPORT: Final = 0.1  # seconds of work
HOOKS: Final = ("open", "card", "probe", "close")
# fmt: off
_REACHING: Final = frozenset({
    "socket", "ssl", "subprocess", "multiprocessing", "threading", "_thread", "ctypes", "signal",
    "urllib", "http", "ftplib", "smtplib", "poplib", "imaplib", "telnetlib", "socketserver",
    "xmlrpc", "webbrowser", "pty", "fcntl", "mmap", "importlib", "pickle", "marshal", "shelve",
    "dbm", "sqlite3", "tempfile", "shutil", "glob", "concurrent",
})
# fmt: on
_ALLOWED: Final = frozenset({"urllib.parse", "http", "importlib.metadata"})
_BLOCKING: Final = frozenset({"time.sleep", "open", "input", "os.system", "os.popen", "breakpoint"})


def source_of(folder: Folder) -> ast.Module | None:
    """The plugin's source taken apart; None where it is no Python."""
    try:
        return ast.parse(folder.files[FILE])
    except (KeyError, SyntaxError, ValueError):
        return None


def _said(node: ast.AST, message: str, cure: str) -> Finding:
    line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
    return Finding(FILE, line, column, "", "error", "", message, cure)


def never_blocks(folder: Folder) -> Iterator[Finding]:
    """C17: hooks are asynchronous, nothing in them blocks, no step works longer than 50 ms."""
    tree = source_of(folder)
    if tree is None:
        return
    for top in tree.body:
        if isinstance(top, ast.FunctionDef) and top.name in HOOKS:
            yield _said(top, f"the hook {top.name!r} is not asynchronous", "write `async def`")
    for node in ast.walk(tree):
        name = _dotted(node.func) if isinstance(node, ast.Call) else ""
        own = name in HOOKS and any(_defines(top, name) for top in tree.body)
        if name in _BLOCKING and not own:
            cure = "use ctx.http and `await`; files, programs and waiting are not for plugins"
            yield _said(node, f"{name}() holds up everybody", cure)
    report = report_of(folder)
    for note in report.get("notes", ()):
        if note["during"] == "hook":
            yield _line(note["line"], f"a hook {note['what']}", "ask through ctx.http")
    longest = report.get("longest_step", 0.0)
    if longest > MOST_STEP:
        message = f"a hook works {longest * 1000:.0f} ms without awaiting; at most 50 ms"
        yield _line(1, message, "do less, or await in between")


def imports_purely(folder: Folder) -> Iterator[Finding]:
    """C18: imports the contract and the standard library only; importing it does nothing."""
    if FILE not in folder.files:
        return
    tree = source_of(folder)
    if tree is None:
        yield _syntax(folder.files[FILE])
        return
    for node in ast.walk(tree):
        for name in _imported(node):
            yield from _import(node, name)
    yield from _at_import(report_of(folder))


def _at_import(report: dict[str, Any]) -> Iterator[Finding]:
    """What the bench saw while the plugin was imported."""
    if report.get("off"):
        yield _line(1, report["off"], "a plugin is imported and asked, it ends nothing itself")
    if report.get("broken"):
        yield _line(report["line"], f"importing it fails: {report['broken']}", "mend it")
    elif report.get("card_is_missing"):
        yield _line(1, "there is no hook `card`", "write `async def card(ctx, ask)`")
    for note in report.get("notes", ()):
        if note["during"] == "import":
            yield _line(note["line"], f"importing it {note['what']}", "do nothing at import")
    seconds = report.get("import_seconds", 0.0)
    if seconds > MOST_IMPORT:
        message = f"importing it works for {seconds * 1000:.0f} ms; at most 100 ms"
        yield _line(1, message, "do nothing at import")


def _line(line: int, message: str, cure: str) -> Finding:
    return Finding(FILE, line, 1, "", "error", "", message, cure)


def _syntax(source: bytes) -> Finding:
    try:
        ast.parse(source)
    except SyntaxError as error:
        message, line = f"not Python: {error.msg}", error.lineno or 1
        return Finding(FILE, line, error.offset or 1, "", "error", "", message, "mend it")
    except ValueError as error:
        return _line(1, f"not Python: {error}", "save it as UTF-8")
    return _line(1, "not Python", "mend it")


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return ["." * node.level + (node.module or "")]
    if isinstance(node, ast.Call) and _dotted(node.func) in ("__import__", "import_module"):
        return ["(by name)"]
    return []


def _import(node: ast.AST, name: str) -> Iterator[Finding]:
    top = name.partition(".")[0]
    if name == "gateway.contract" or name.startswith("gateway.contract."):
        return
    if top not in sys.stdlib_module_names:
        cure = "import gateway.contract and the standard library only"
        yield _said(node, f"{name!r} is neither the contract nor the standard library", cure)
    elif top in _REACHING and name not in _ALLOWED:
        cure = "a plugin reaches its department through ctx.http only"
        yield _said(node, f"{name!r} reaches outside the plugin", cure)


def _dotted(node: ast.AST) -> str:
    """`time.sleep` of a call's function; "" where it is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def _defines(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name


@lru_cache(maxsize=4)
def report_of(folder: Folder) -> dict[str, Any]:
    """What the bench saw of a code plugin, once for all rules; {} where it cannot be run."""
    if FILE not in folder.files or source_of(folder) is None:
        return {}
    try:
        return bench(folder)
    except OffBench as error:
        return {"off": str(error)}
