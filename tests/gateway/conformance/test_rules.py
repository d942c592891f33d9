"""Each rule: what breaks it is named in its file, line and column; what keeps it is silent."""

from pathlib import Path

import pytest

from gateway.conformance.rules import RULES
from tests.gateway.conformance.folders import change, code, found, judge, line_of, recipe

KEY = "-----BEGIN PRIVATE KEY-----"
TOKEN = "Zk3Qv9Lx7TmB2pRw8YcN5sHd1GfJ6aUe4oKi0XzQyWtE"

# rule, file, what stood there, what stands there now, where the finding is, a word of it
# fmt: off
BROKEN = [
    ("C01", "plugin.yaml", "id: parks #", "id: park #", "id: park #", "the folder is called 'parks'"),
    ("C01", "icon.svg", "<rect", "<script/><rect", "<script", "may not stand in an icon"),
    ("C02", "plugin.yaml", "kind: recipe #", "kind: receipt #", "kind: receipt", "did you mean 'recipe'"),
    ("C02", "plugin.yaml", "version: 0.1.0", "version: 0.1.0\nverzion: 1", "verzion", "did you mean 'version'"),
    ("C02", "recipe.yaml", "recipe: 1", "recipe: 1\nrecipe: 1 # again", "# again", "twice"),
    ("C02", "samples/busy.yaml", "failure: try_again", "failure: try_agian", "try_agian", "try_again"),
    ("C02", "words.zh.yaml", "none: ", "none:  1\nnone2: ", "none:  1", "put it in quotes"),
    ("C04", "plugin.yaml", 'contract: "1.0"', 'contract: "9.0"', "contract", "does not speak"),
    ("C04", "plugin.yaml", '">=0.1"', '">=99"', "requires_gateway", "asks for >=99"),
    ("C04", "plugin.yaml", '">=0.1"', '"new"', "requires_gateway", "is no version"),
    ("C07", "recipe.yaml", 'query: {id: "{citizen.id_number}"}', 'query: {id: "{citizen.name}"}', "{citizen.name}", "not declared"),
    ("C07", "plugin.yaml", "    data: [id_number]", "    data: []", 'recipe.yaml:query: {id: "{citizen.id_number}"}', "without asking"),
    ("C08", "plugin.yaml", '["api.department.example:443"]', '["other.example:443"]', "connect:", "not in `network`"),
    ("C08", "plugin.yaml", '["api.department.example:443"]', '["api.department.example:443", "127.0.0.1:80"]', "network:", "this machine itself"),
    ("C08", "plugin.yaml", '["api.department.example:443"]', '["api.department.example:443", "169.254.169.254:80"]', "network:", "link-local"),
    ("C14", "plugin.yaml", "https://api.department.example # ←", "ftp://api.department.example # ←", "ftp://", "must be an http"),
    ("C09", "plugin.yaml", '# auth: {kind: header, name: Authorization, value: "Bearer {secret.token}"}', "auth: {kind: header, name: Authorization, value: Bearer abcdefgh}", "auth:", "secret is written"),
    ("C09", "README.md", "# parks", f"# parks\n{KEY}", KEY, "looks like a secret"),
    ("C09", "README.md", "# parks", "# parks\nhttps://user:hunter22@api.example/", "hunter22", "looks like a secret"),
    ("C09", "recipe.yaml", "recipe: 1", f"recipe: 1\n# password: {TOKEN}", TOKEN, "looks like a secret"),
    ("C09", "samples/busy.yaml", "{code: 503}", f"{{code: 503, ticket: {TOKEN}}}", TOKEN, "looks like a secret"),
    ("C09", "recipe.yaml", "path: /records", "path: /records/{secret.token}", "{secret.token}", "may not stand here"),
    ("C12", "samples/found.yaml", "amount: 12850", "amount: 12851", "amount: 12851", "it gives 12850"),
    ("C12", "samples/found.yaml", '"128.50"', '"128.505"', "  card:", "expected card, it gives failure"),
    ("C12", "samples/nothing.yaml", "words: none", "words: busy", "words: busy", "it gives 'none'"),
    ("C12", "samples/busy.yaml", "expect: {failure: try_again, words: busy}", "expect: {empty: no_record}", "expect:", "it gives failure"),
    ("C12", "samples/silent.yaml", "record: {lost: timeout}", "ping: {lost: timeout}", "answers:", "no recorded answer"),
    ("C14", "recipe.yaml", "amount: data.amount", "amount: sum(data)", "sum(data)", "functions are not allowed"),
    ("C14", "recipe.yaml", "from: record", "from: rekord", "from: rekord", "did you mean 'record'"),
    ("C14", "recipe.yaml", "amount: data.amount", "amuont: data.amount", "amuont", "did you mean 'amount'"),
    ("C14", "recipe.yaml", "      amount: data.amount\n", "", "    facts:", "has no value"),
    ("C14", "recipe.yaml", "words: none", "words: nnoe", "words: nnoe", "did you mean 'none'"),
    ("C14", "recipe.yaml", "path: /ping", "path: /ping/{setting.apo}", "{setting.apo}", "did you mean 'api'"),
    ("C14", "recipe.yaml", "path: /ping", "path: /ping/{citizen.id_number}", "probe:", "asks without a citizen"),
    ("C14", "recipe.yaml", "path: /ping", "path: /ping/{call.record.x}", "{call.record.x}", "kept by record"),
    ("C14", "recipe.yaml", "probe: {call: ping}", "probe: {call: pnig}", "probe:", "did you mean 'ping'"),
    ("C14", "recipe.yaml", "check: [{at: code, is: 0}]", 'check: [{at: code, matches: "(?=a)"}]', "(?=a)", "RE2"),
    ("C14", "plugin.yaml", 'base: "{setting.api}"', 'base: "{setting.apy}"', "{setting.apy}", "did you mean 'api'"),
    ("C14", "plugin.yaml", '金额 {amount}"', '金额 {amuont}"', "speak", "did you mean 'amount'"),
    ("C14", "recipe.yaml", "cards:\n  record:", "cards:\n  rekord:", "plugin.yaml:  - id: record", "the recipe has no card"),
    ("C02", "plugin.yaml", "    card: record", "    card: rekord", "card: rekord", "no card 'rekord'"),
    ("C14", "words.en.yaml", "busy: ", "busyy: ", "busyy", "one language only"),
    ("C14", "samples/busy.yaml", "card: record", "card: rekord", "card: rekord", "did you mean 'record'"),
]
CODE_BROKEN = [
    ("C07", 'ask.claims["id_number"]', 'ask.claims["name"]', 'ask.claims["name"]', "not declared"),
    ("C12", "fen = int", "fen = 1 + int", "samples/found.yaml:amount: 12850", "it gives 12851"),
    ("C12", 'said["code"] == 404', 'said["cod"] == 404', 'said["cod"]', "KeyError"),
    ("C12", '"/records"', '"/other"', "samples/busy.yaml:answers:", "asks GET /other"),
    ("C17", "async def card", "def card", "def card", "not asynchronous"),
    ("C17", "    said = reply.json()\n", "    import time\n    time.sleep(1)\n    said = reply.json()\n", "time.sleep", "holds up"),
    ("C17", "    said = reply.json()\n", '    open("/etc/passwd")\n    said = reply.json()\n', "open(", "opens a file"),
    ("C17", "    said = reply.json()\n", "    said = reply.json()\n    sum(i * i for i in range(3_000_000))\n", '"""A dep', "without awaiting"),
    ("C18", "from gateway.contract import", "import httpx\nfrom gateway.contract import", "import httpx", "neither the contract"),
    ("C18", "from gateway.contract import", "import gateway.settings\nfrom gateway.contract import", "import gateway.settings", "neither the contract"),
    ("C18", "from gateway.contract import", "import socket\nfrom gateway.contract import", "import socket", "reaches outside"),
    ("C18", "\n\nasync def card", "\nopen(__file__)\n\n\nasync def card", "open(__file__)", ""),
    ("C18", "\n\nasync def card", "\nraise SystemExit(3)\n\n\nasync def card", "", "importing it fails"),
    ("C18", "\n\nasync def card", "\nsum(i * i for i in range(6_000_000))\n\n\nasync def card", "", "importing it works for"),
    ("C18", "async def card", "async def cards", "", "no hook `card`"),
    ("C18", "async def card", "async deff card", "async deff", "not Python"),
    ("C18", "\n\nasync def card", "\nimport os\nos._exit(3)\n\n\nasync def card", "", "ended its process"),
]
# fmt: on


def test_the_skeleton_keeps_every_rule(tmp_path: Path) -> None:
    """What `plugin new` writes passes, as recipe and as code, without a warning."""
    assert judge(recipe(tmp_path / "a")).findings == ()
    assert judge(code(tmp_path / "b")).findings == ()


@pytest.mark.parametrize(
    ("rule", "file", "old", "new", "where", "word"),
    [pytest.param(*row, id=f"{row[0]}-{number}") for number, row in enumerate(BROKEN)],
)
def test_a_broken_recipe_is_named(  # one row of the table
    tmp_path: Path, rule: str, file: str, old: str, new: str, where: str, word: str
) -> None:
    """The finding stands in the line that is wrong and says what to do."""
    folder = recipe(tmp_path)
    change(folder, file, old, new)
    report = judge(folder)
    assert not report.passed
    _stands(folder, report.findings, rule, file, where, word)


@pytest.mark.parametrize(
    ("rule", "old", "new", "where", "word"),
    [pytest.param(*row, id=f"{row[0]}-code-{number}") for number, row in enumerate(CODE_BROKEN)],
)
def test_a_broken_module_is_named(
    tmp_path: Path, rule: str, old: str, new: str, where: str, word: str
) -> None:
    """Source and behaviour of a code plugin, each in its line where there is one."""
    folder = code(tmp_path)
    change(folder, "plugin.py", old, new)
    report = judge(folder)
    assert not report.passed
    _stands(folder, report.findings, rule, "plugin.py", where, word)


def _stands(folder: Path, findings: object, rule: str, file: str, where: str, word: str) -> None:
    other, colon, text = where.partition(":")
    if colon and (folder / other).is_file():
        file, where = other, text
    line = line_of(folder, file, where) if where else 1
    said = [f"{f.code} {f.file}:{f.line} {f.message}; {f.cure}" for f in findings]  # type: ignore[attr-defined]
    start = f"{rule} {file}:{line} " if where else f"{rule} {file}:"
    assert any(one.startswith(start) and word in one for one in said), said


@pytest.mark.parametrize(
    ("rule", "path", "content"),
    [
        pytest.param("C01", "notes.docx", b"x", id="C01-unknown"),
        pytest.param("C01", "samples/big.bin", b"\0" * 300_000, id="C01-binary"),
        pytest.param("C03", "plugin.py", b"async def card(ctx, ask): ...\n", id="C03-both"),
    ],
)
def test_a_file_too_many(tmp_path: Path, rule: str, path: str, content: bytes) -> None:
    """Only known files, of one kind of plugin."""
    folder = recipe(tmp_path)
    (folder / path).write_bytes(content)
    assert [f.file for f in found(judge(folder), rule)] == [path]


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        pytest.param("C01", "icon.svg", id="C01-missing"),
        pytest.param("C03", "recipe.yaml", id="C03-neither"),
    ],
)
def test_a_file_too_few(tmp_path: Path, rule: str, path: str) -> None:
    """What must be there and is not."""
    folder = recipe(tmp_path)
    (folder / path).unlink()
    assert found(judge(folder), rule)


@pytest.mark.parametrize("where", ["a file", "a folder"])
def test_links_are_refused(tmp_path: Path, where: str) -> None:
    """[C01] A link could lead anywhere: it is named, not followed."""
    folder = recipe(tmp_path)
    secret = tmp_path / "secret"
    if where == "a file":
        secret.write_text("x")
    else:
        secret.mkdir()
    (folder / "CHANGELOG.md").symlink_to(secret)
    (finding,) = found(judge(folder), "C01")
    assert finding.message == "a link, not a file"


def test_loopback_is_a_warning_where_it_belongs(tmp_path: Path) -> None:
    """[C08] Under environments.demo, and in profiles demo and test, elsewhere it stops."""
    folder = recipe(tmp_path)
    change(
        folder,
        "plugin.yaml",
        "  demo: {}",
        '  demo: {settings: {api: "http://127.0.0.1:9000"}, network: ["127.0.0.1:9000"]}',
    )
    report = judge(folder)
    assert report.passed
    assert [f.severity for f in found(report, "C08")] == ["warning"]
    change(folder, "plugin.yaml", '"api.department.example:443"', '"127.0.0.1:9000"')
    change(folder, "plugin.yaml", "  demo: {settings", "  staging: {settings")
    assert not judge(folder).passed
    assert judge(folder, softened=True).passed


def test_a_plugin_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[C18] The bench gives up by itself."""
    monkeypatch.setattr("gateway.conformance.bench.MOST_SECONDS", 2.0)
    folder = code(tmp_path)
    change(folder, "plugin.py", "\n\nasync def card", "\nwhile True:\n    pass\n\n\nasync def card")
    assert "did not end within" in found(judge(folder), "C18")[0].message


def test_no_finding_shows_a_secret(tmp_path: Path) -> None:
    """[C09] What is found is not repeated."""
    folder = recipe(tmp_path)
    change(folder, "README.md", "# parks", f"# parks\ntoken: {TOKEN}")
    report = judge(folder)
    assert found(report, "C09")
    assert not any(TOKEN[:12] in f.line_of_text() for f in report.findings)


def test_every_rule_is_broken_somewhere_above() -> None:
    """A rule without a test of its breaking could never fire."""
    broken = {row[0] for row in BROKEN} | {row[0] for row in CODE_BROKEN} | {"C03"}
    assert broken == {rule.id for rule in RULES}
