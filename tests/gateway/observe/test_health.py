"""The board: all workers' parts, worst first, one sentence's worth of numbers."""

import os
from pathlib import Path

import pytest

from gateway.clock import OffsetClock
from gateway.observe.board import MAX_FAULTS, Board
from gateway.observe.health import Level, Seen, health
from gateway.words.loader import LANGUAGES, table

GOOD = Seen(ledger=True, volatile=True, revision=3)


def state(plugin: str, **facts: object) -> dict[str, object]:
    """One plugin's row as a worker tells it."""
    return {"plugin": plugin, "breaker": "closed", "calls": 10, "failed": 0, "confined": None,
            "reason": "", **facts}  # fmt: skip


def part(*plugins: dict[str, object], **facts: object) -> dict[str, object]:
    """One worker's part."""
    return {"revision": 3, "plugins": list(plugins), "faults": [], **facts}


def test_all_is_well() -> None:
    """Nothing bad, nothing to watch."""
    found = health([part(state("gjj"))], GOOD)
    assert found.worst is Level.GOOD
    assert (found.bad_own, found.bad_plugins, found.warnings) == (0, 0, 0)


@pytest.mark.parametrize(
    ("seen", "key"),
    [
        (Seen(ledger=False, volatile=True, revision=3), "ledger_away"),
        (Seen(ledger=True, volatile=False, revision=3), "volatile_away"),
        (Seen(ledger=True, volatile=True, revision=0), "registry_none"),
        (Seen(ledger=True, volatile=True, revision=3, not_served=4), "registry_not_served"),
    ],
)
def test_our_own_faults_stand_on_top(seen: Seen, key: str) -> None:
    """What is ours comes before any department."""
    found = health([part(state("aaa", breaker="open"))], seen)
    assert found.rows[0].key == key
    assert found.bad_own >= 1


@pytest.mark.parametrize(
    ("seen", "key"),
    [
        (Seen(True, True, 3, errors=2), "registry_errors"),
        (Seen(True, True, 3, drift=True), "registry_drift"),
        (Seen(True, True, 3, free=0.1), "disk_low"),
        (Seen(True, True, 3, workers=2), "workers_missing"),
        (Seen(True, True, 3, trouble="x"), "registry_trouble"),
    ],
)
def test_what_wants_a_look(seen: Seen, key: str) -> None:
    """Warnings are named and counted."""
    found = health([part()], seen)
    assert key in {row.key for row in found.rows if row.level is Level.WARN}
    assert found.warnings == 1


def test_the_worst_that_any_worker_says_of_a_plugin_holds() -> None:
    """One worker's open breaker is not hidden by another's good day."""
    fault = {"plugin": "gjj", "reason": "refused", "what": "connect", "at": 5, "count": 2}
    parts = [part(state("gjj")), part(state("gjj", breaker="open", failed=9), faults=[fault]),
             part(state("gjj", failed=1))]  # fmt: skip
    rows = [row for row in health(parts, GOOD).rows if row.plugin]
    assert [(row.subject, row.key, row.detail) for row in rows] == [
        ("gjj", "plugin_open", "refused: connect")
    ]


def test_a_code_plugin_that_is_not_confined_is_named() -> None:
    """未隔离 is said, and a parked plugin too."""
    seen = Seen(True, True, 3, parked={"jobs": "recipe.yaml:1:1 syntax"})
    found = health([part(state("legal", confined=False), state("gjj", confined=True))], seen)
    keys = {row.subject: row.key for row in found.rows if row.plugin}
    assert keys == {"legal": "plugin_unconfined", "gjj": "plugin", "jobs": "plugin_parked"}


def test_when_most_breakers_are_open_the_fault_is_ours() -> None:
    """More than half of all departments at once: look at the network first."""
    plugins = [state(f"p{n}", breaker="open" if n < 3 else "closed") for n in range(5)]
    found = health([part(*plugins)], GOOD)
    assert found.rows[0].key == "breakers"
    assert "breakers" not in {r.key for r in health([part(*plugins[2:])], GOOD).rows}


def test_workers_that_serve_different_revisions_are_seen() -> None:
    """A worker left behind is named."""
    found = health([part(), {**part(), "revision": 2}], GOOD)
    assert "revisions_differ" in {row.key for row in found.rows}


def test_every_row_has_a_text_in_both_languages() -> None:
    """The page never meets a key without words."""
    source = Path(health.__code__.co_filename).read_text("utf-8")
    keys = {word for word in source.split('"') if word.replace("_", "").isalpha()}
    for language in LANGUAGES:
        known = {k.removeprefix("admin.health.") for k in table(language) if "admin.health." in k}
        for key in keys & {"ledger_away", "volatile_away", "registry_none", "breakers", "disk_low",
                           "plugin_open", "plugin_trial", "plugin_parked", "plugin_idle",
                           "log_dropped", "revisions_differ", "plugin_unconfined"}:  # fmt: skip
            assert key in known


def test_parts_of_all_workers_meet_and_old_ones_go(tmp_path: Path, clock: OffsetClock) -> None:
    """A part older than ten seconds belongs to a worker that is gone."""
    board = Board(tmp_path, clock, lambda: {"revision": 3})
    board.report("gjj", "refused", "connect")
    board.report("gjj", "refused", "x" * 500)
    board.write()
    old = tmp_path / "health-1.json"
    old.write_text('{"revision": 1}')
    os.utime(old, (1, 1))
    (tmp_path / "health-2.json").write_text("{half")
    (found,) = board.read()
    assert found["revision"] == 3
    assert found["faults"][0]["count"] == 2
    assert len(found["faults"][0]["what"]) == 200
    assert not old.exists()


def test_faults_are_bounded(tmp_path: Path, clock: OffsetClock) -> None:
    """The newest of each plugin, and of fifty plugins at most."""
    board = Board(tmp_path, clock)
    for number in range(MAX_FAULTS * 2):
        board.report(f"p{number}", "refused", "x")
    assert len(board.faults) == MAX_FAULTS
    assert f"p{MAX_FAULTS * 2 - 1}" in board.faults
