"""People find what they mean, however they type it."""

import pytest

from gateway.cards.search import Search, prepared
from gateway.contract.ids import ServiceId
from gateway.registry.generation import DraftGeneration, Generation
from tests.gateway.cards.stage import directory, entry, generation


def _extras(draft: DraftGeneration) -> dict[str, bytes]:
    return {"search": prepared(draft)}


@pytest.fixture(scope="module")
def city() -> Generation:
    """Two services, one of them with a function."""
    return generation(
        entry("gjj"), entry("matters", service="matters"), directory(), extras=_extras
    )


@pytest.mark.parametrize(
    "typed",
    ["公积金", "gongjijin", "gjj", "GJJ", "ＧＪＪ", "gong ji jin", "公基金", "gongjijn", "gongji",
     "公积", "查公积金余额", "Service gjj", "公 积 金"],
)  # fmt: skip
def test_the_provident_fund_is_found(city: Generation, typed: str) -> None:
    """By name, pinyin, initials, typos, parts and within a longer question."""
    hits = Search(city).find(typed, "zh", 5)
    assert hits, typed
    assert hits[0].service == "gjj"
    assert hits[0].function is None


@pytest.mark.parametrize(
    "typed", ["提取", "租房提取", "zufangtiqu", "公积金 提取", "公积金提取", "tiqu"]
)
def test_a_function_is_found(city: Generation, typed: str) -> None:
    """What one wants to do leads to that function."""
    hit = Search(city).find(typed, "zh", 5)[0]
    assert (hit.service, hit.function) == ("gjj", "withdraw")


@pytest.mark.parametrize("typed", ["", "   ", "。。", "xyzzy", "量子力学", "\x00", "a" * 10_000])
def test_nonsense_finds_nothing(city: Generation, typed: str) -> None:
    """What means nothing is answered by nothing, quickly."""
    assert Search(city).find(typed, "zh", 5) == []


def test_hits_are_bounded_and_chosen(city: Generation) -> None:
    """No more than asked for, and only of services that may be seen."""
    search = Search(lambda: city)
    assert len(search.find("a", "zh", 1)) <= 1
    assert search.find("公积金", "zh", 5, within={ServiceId("care")}) == []


def test_unchanged_entries_keep_their_keys(city: Generation) -> None:
    """A new generation takes the keys of unchanged entries from the last one."""
    after = generation(
        entry("gjj"), entry("matters", service="matters"), directory(), directory("more"),
        before=city, extras=_extras,
    )  # fmt: skip
    assert Search(after).find("gjj", "zh", 1)[0].service == "gjj"
    assert {hit.service for hit in Search(after).find("居家养老", "zh", 5)} == {"care", "more"}
