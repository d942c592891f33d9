"""The log loses lines before it holds up a request, and never says who somebody is."""

import json
import logging
import os
import time
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import SystemClock
from gateway.observe import log
from gateway.observe.log import QUEUE_LINES, Trouble, Writer
from gateway.observe.scrub import MAX_TEXT, scrub, scrub_text

SECRETS = {
    "identity": "000102199001011234",
    "identity-x": "00010219900101123X",
    "phone": "13800000000",
    "permit": "H0123456789",
    "jwt": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "token": "A" * 43,
    "mail": "someone@anlan.example",
}


@pytest.fixture
def lines() -> Iterator[tuple[int, Writer]]:
    """The log of this test's own, over a pipe."""
    read, write = os.pipe()
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    writer = log.set_up(SystemClock(), "info", write)
    yield read, writer
    structlog.configure(**before)
    root.handlers[:], root.level = handlers, level
    os.close(read)
    os.close(write)


def written(read: int, writer: Writer) -> list[dict[str, object]]:
    """What has been logged."""
    writer.flush()
    time.sleep(0.02)
    return [json.loads(line) for line in os.read(read, 1 << 20).splitlines()]


def test_no_fact_of_a_line_hides_when_it_was(lines: tuple[int, Writer]) -> None:
    """A fact that is named like the line's own stands beside it."""
    structlog.get_logger().error("odd", at="module:12", level="low")
    (found,) = written(*lines)
    assert str(found["at"]).startswith("20")
    assert (found["level"], found["at_"], found["level_"]) == ("error", "module:12", "low")


@pytest.mark.parametrize("id_", ["B77"], ids=["B77"])
def test_a_line_is_one_json_object_whatever_is_in_it(lines: tuple[int, Writer], id_: str) -> None:
    """Line breaks, escapes and a megabyte of text stay inside one bounded line."""
    assert id_
    evil = 'a\r\n{"level":"error"}\x1b[31m\u2028"'
    structlog.get_logger().info("odd", said=evil, long="x" * 1_000_000)
    found = written(*lines)
    assert len(found) == 1
    assert found[0]["said"] == evil
    assert len(str(found[0]["long"])) <= MAX_TEXT + 1


@pytest.mark.parametrize("kind", SECRETS, ids=[f"B94-{k}" for k in SECRETS])
def test_no_value_that_looks_personal_is_logged(lines: tuple[int, Writer], kind: str) -> None:
    """In texts, lists, keys of a dictionary's values and errors."""
    value = SECRETS[kind]
    structlog.get_logger().warning(
        "leak", text=f"for {value} here", deep={"a": [value, {"b": value}]}, error=KeyError(value)
    )
    logging.getLogger("library").error("failed for %s", value)
    assert value not in json.dumps(written(*lines))


def test_keys_that_name_a_secret_hide_their_value(lines: tuple[int, Writer]) -> None:
    """Whatever stands under `name` or `token` is hidden, long or short."""
    structlog.get_logger().info("x", name="李伟", token="t", form={"phone": "1"}, Cookie="c")
    (found,) = written(*lines)
    assert {found[key] for key in ("name", "token", "form", "Cookie")} == {"[hidden]"}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_anything_can_be_logged(value: object) -> None:
    """No value makes logging fail."""
    json.dumps(scrub(value))


def test_texts_without_anything_personal_stay_as_they_are() -> None:
    """Ordinary sentences are not eaten."""
    for text in ("registry.published 12", "公积金：暂停服务", "2026-11-25T09:00:00+08:00"):
        assert scrub_text(text) == text


@pytest.mark.parametrize("id_", ["F60"], ids=["F60"])
def test_a_reader_that_stopped_costs_lines_and_no_time(id_: str) -> None:
    """A full pipe: lines are dropped and counted, nobody waits; later ones are written again."""
    assert id_
    read, write = os.pipe()
    writer = Writer(write)
    began = time.monotonic()
    for _ in range(QUEUE_LINES * 3):
        writer.put(b"x" * 1000 + b"\n")
    assert time.monotonic() - began < 2
    assert writer.dropped >= QUEUE_LINES
    drained = 0
    while drained < 2_000_000:
        drained += len(os.read(read, 1 << 20))
    writer.flush(0.2)
    dropped = writer.dropped
    writer.put(b"after\n")
    seen = b""
    while b"after" not in seen:
        seen = seen[-10:] + os.read(read, 1 << 20)
    assert writer.dropped == dropped
    os.close(read)


def test_trouble_is_told_when_it_begins_and_when_it_ends(lines: tuple[int, Writer]) -> None:
    """A thousand failures are two lines."""
    trouble = Trouble("department.away")
    for _ in range(1000):
        trouble.bad("gjj", reason="refused")
    trouble.good("gjj")
    trouble.good("gjj")
    found = written(*lines)
    assert [f["event"] for f in found] == ["department.away", "department.away_ended"]
    assert found[1]["failures"] == 1000
