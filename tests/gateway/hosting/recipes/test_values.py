"""Raw values to facts: exact or refused."""

from decimal import Decimal
from typing import Any

import pytest

from gateway.contract.card import FactKind
from gateway.contract.failure import CallOwner
from gateway.contract.recipe import Value
from gateway.hosting.recipes.expressions import compiled
from gateway.hosting.recipes.values import reader


def read(raw: Any, kind: str, **spec: Any) -> Any:
    """A value as its kind."""
    said = Value.model_validate({"at": "v", **spec})
    return reader("x", said, compiled("v", "json"), FactKind(kind)).read({"v": raw})


@pytest.mark.parametrize(
    ("raw", "kind", "spec", "value"),
    [
        ("52340.18", "money", {}, 5234018),
        ("1,234,567.8", "money", {}, 123456780),
        ("¥0.01", "money", {}, 1),
        (-3, "money", {}, -300),
        ("1.5", "money", {"unit": "wan"}, 1_500_000),
        ("7", "money", {"unit": "fen"}, 7),
        (Decimal("0.1"), "money", {}, 10),
        ("12", "count", {}, 12),
        ("12.5%", "percent", {}, 12.5),
        ("是", "flag", {}, True),
        (0, "flag", {}, False),
        ("20261123", "date", {"format": "%Y%m%d"}, "2026-11-23"),
        ("2026-11-23 09:30:00", "datetime", {}, "2026-11-23T09:30:00+08:00"),
        ("2026-11-22T18:00:00Z", "date", {}, "2026-11-23"),
        ("2026-11-23 24:00:00", "datetime", {}, "2026-11-24T00:00:00+08:00"),
        (1795400000, "datetime", {"format": "unix"}, "2026-11-23T10:13:20+08:00"),
        ("01", "text", {"map": {"01": "@status.ok"}}, "@status.ok"),
        ("99", "text", {"map": {"01": "a"}, "else": "@other"}, "@other"),
        (None, "text", {"else": "无"}, "无"),
        ("@evil", "text", {}, "＠evil"),
        ("a\u202eb\u200b\n c", "text", {}, "a b c"),
        ("e\u0301" + "\u0301" * 40, "text", {}, "é" + "\u0301" * 3),
    ],
)
def test_values(raw: Any, kind: str, spec: dict[str, Any], value: Any) -> None:
    """By the kind that the manifest gives the fact."""
    assert read(raw, kind, **spec) == value


@pytest.mark.parametrize(
    ("raw", "kind"),
    [pytest.param(*row, id=f"F17-{n}") for n, row in enumerate((
        ("0.001", "money"), ("NaN", "money"), ("1e5", "money"), ("12元", "money"), (True, "money"), ("9" * 19, "money"),
        ("", "money"), (None, "text"), ({}, "text"), ([1], "text"), ("1.5", "count"), ("maybe", "flag"),
        ("2026-13-01", "date"), ("0000-00-00", "date"), ("9999-12-31", "date"), ("yesterday", "datetime"),
        ("x" * 201, "text"), ("\ud800", "text"), ("锟斤拷", "text"), ("ä½\xa0å¥½", "text"), ("\ufffd", "text"),
    ))],
)  # fmt: skip
def test_what_does_not_fit_is_refused_without_being_named(raw: Any, kind: str) -> None:
    """Never rounded, guessed or shown."""
    with pytest.raises(CallOwner) as caught:
        read(raw, kind)
    if isinstance(raw, str) and len(raw) > 3:
        assert raw not in caught.value.what
