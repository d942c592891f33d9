"""Both languages say the same things, in the words of the house."""

import re
import string

import pytest

from gateway.words.loader import table

BANNED = ("系统异常", "长辈模式", "用户您好", "操作失败", "网络开小差")
HALF_WIDTH = re.compile(r"[\u4e00-\u9fff][(),:;!?][\u4e00-\u9fff]")


def places(text: str) -> set[str]:
    """The names that a text wants filled."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_keys() -> None:
    """No text exists in one language only."""
    assert set(table("zh")) == set(table("en"))


def test_both_languages_fill_the_same_places() -> None:
    """A place named in one language is named in the other."""
    differ = [k for k in table("zh") if places(table("zh")[k]) != places(table("en")[k])]
    assert differ == []


def test_no_banned_word_and_no_half_width_punctuation_in_chinese() -> None:
    """Chinese texts say what to do, with Chinese punctuation."""
    for key, text in table("zh").items():
        assert not any(word in text for word in BANNED), key
        assert not HALF_WIDTH.search(text), key


@pytest.mark.parametrize("language", ["zh", "en"])
def test_no_text_is_empty(language: str) -> None:
    """An empty text is a blank on somebody's screen."""
    assert [k for k, v in table(language).items() if not v.strip()] == []  # type: ignore[arg-type]  # parametrised
