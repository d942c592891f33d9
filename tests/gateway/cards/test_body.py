"""Values become one card: formatted, masked, bounded; what was not promised is refused."""

from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cards.body import BadAnswer, Maker
from gateway.cards.saying import cleaned, sentence
from gateway.cards.state import Code
from gateway.cards.values import BadValue, masked, shown
from gateway.contract.answer import AnswerState, CardAnswer, Empty, EmptyReason
from gateway.contract.card import MAX_CARD_BYTES, Card, FactKind, Mask
from gateway.registry.entry import Entry
from gateway.words.loader import Language
from tests.gateway.cards.stage import entry, generation

NOW = 1_795_579_200_000_000  # 2026-11-25T12:00:00+08:00


@cache
def of(service: str) -> Entry:
    """An entry of the test plugin."""
    found = generation(entry(service, service=service)).entry(service)
    assert found is not None
    return found


def maker(
    service: str = "gjj", language: Language = "zh", words: dict[str, str] | None = None
) -> Maker:
    """A maker of its cards."""
    return Maker(of(service), language, words or {}, NOW)


def rows(*values: dict[str, Any]) -> CardAnswer:
    """An answer of rows."""
    return CardAnswer(items=values)


@pytest.mark.parametrize(
    ("kind", "value", "zh", "en"),
    [
        (FactKind.MONEY, 5_234_018, "52,340.18 元", "¥52,340.18"),
        (FactKind.MONEY, 0, "0.00 元", "¥0.00"),
        (FactKind.MONEY, -5, "-0.05 元", "-¥0.05"),
        (FactKind.DATE, "2026-12-05", "2026年12月5日", "5 Dec 2026"),
        (
            FactKind.DATETIME,
            "2026-12-05T20:30:00+00:00",
            "2026年12月6日 04:30",
            "6 Dec 2026, 04:30",
        ),
        (FactKind.COUNT, 12345, "12,345", "12,345"),
        (FactKind.PERCENT, 3.25, "3.25%", "3.25%"),
        (FactKind.PERCENT, 100, "100%", "100%"),
        (FactKind.FLAG, True, "是", "Yes"),
        (FactKind.TEXT, "已缴存", "已缴存", "已缴存"),
        (FactKind.TEXT, "@stage.review", "初审", "初审"),
    ],
)
def test_values_read_as_people_write_them(kind: FactKind, value: Any, zh: str, en: str) -> None:
    """Each kind in both languages."""
    words = {"stage.review": "初审"}
    assert shown(value, kind, Mask.NONE, "zh", words) == zh
    assert shown(value, kind, Mask.NONE, "en", words) == en


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (FactKind.MONEY, "12"), (FactKind.MONEY, 1.5), (FactKind.MONEY, True), (FactKind.MONEY, 10**16),
        (FactKind.DATE, "5.12.2026"), (FactKind.DATE, "2026-13-01"), (FactKind.DATE, 20261205),
        (FactKind.DATETIME, "2026-12-05T20:30:00"), (FactKind.DATETIME, "9999-12-31T23:59:59-12:00"),
        (FactKind.COUNT, float("nan")), (FactKind.PERCENT, float("inf")), (FactKind.PERCENT, True),
        (FactKind.FLAG, "true"), (FactKind.TEXT, True), (FactKind.TEXT, "@nowhere"),
    ],
)  # fmt: skip
def test_values_of_another_kind_are_refused(kind: FactKind, value: Any) -> None:
    """[B16] Nothing is guessed; the error does not carry the value."""
    with pytest.raises(BadValue) as caught:
        shown(value, kind, Mask.NONE, "zh", {})
    assert str(value) not in str(caught.value)


@pytest.mark.parametrize(
    ("mask", "whole", "hidden"),
    [
        (Mask.NAME, "李伟", "李*"),
        (Mask.NAME, "欧阳娜娜", "欧***"),
        (Mask.NAME, "Wei Li", "W** L*"),
        (Mask.NAME, "李", "李*"),
        (Mask.ID_NUMBER, "000102199003070012", "0001************12"),
        (Mask.PHONE, "10012345678", "100****5678"),
        (Mask.ACCOUNT, "6200001234567890", "****7890"),
        (Mask.ACCOUNT, "10802001", "****2001"),
        (Mask.ACCOUNT, "1080200", "*******"),
        (Mask.ACCOUNT, "1234", "****"),
        (Mask.PLACE, "安澜市望江区滨江路12号3幢", "安澜市望江区****"),
        (Mask.PLACE, "滨江路12号", "滨江****"),
        (Mask.ID_NUMBER, "12", "**"),
    ],
)
def test_masks_hide_what_they_should(mask: Mask, whole: str, hidden: str) -> None:
    """The gateway masks, whatever the plugin sends."""
    assert masked(whole, mask) == hidden


@given(st.text(max_size=40), st.sampled_from([m for m in Mask if m is not Mask.NONE]))
def test_no_mask_lets_a_whole_value_through(text: str, mask: Mask) -> None:
    """Short and odd values are hidden too."""
    assert text == "" or masked(text, mask) != text or set(text) <= {"*", " "} or text.isspace()


def test_facts_are_masked_and_undeclared_ones_refused() -> None:
    """The manifest decides what is shown, and how much of it."""
    made = maker().answered(CardAnswer(facts={"balance": 1, "account": "6200001234567890"}))
    card = Card.model_validate_json(made.body)
    assert [fact.value for fact in card.facts] == ["0.01 元", "****7890"]
    assert all(fact.hideable for fact in card.facts)
    assert b"620000" not in made.body
    with pytest.raises(BadAnswer) as caught:
        maker().answered(CardAnswer(facts={"balance": 1, "id_number": "000102199003070012"}))
    assert "0001" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        CardAnswer(facts={}),
        CardAnswer(facts={"balance": None}),
        CardAnswer(facts={"balance": 1}, items=({"what": "x"},)),
        CardAnswer(facts={"balance": 1}, stage="@nowhere"),
        CardAnswer(facts={"balance": 1}, as_of=datetime(2026, 11, 25)),  # noqa: DTZ001 - that is the point
    ],
)
def test_broken_promises(answer: CardAnswer) -> None:
    """[F17] Missing values, rows where none are declared, words that do not exist, naive times."""
    with pytest.raises(BadAnswer):
        maker().answered(answer)


def test_another_template_is_refused() -> None:
    """A plugin cannot choose a kind of card that its manifest does not declare."""
    with pytest.raises(BadAnswer):
        maker().answered(CardAnswer(facts={"balance": 1}, template="case"))  # type: ignore[arg-type]  # pydantic reads it


def test_long_lists_are_cut_and_counted() -> None:
    """[F17] 50 long rows stay under 8 kB; the rest is a number."""
    row = {"what": "整改通知" * 40, "where": "安澜市望江区" + "路" * 150, "day": "2026-12-01"}
    made = maker("matters").answered(rows(*[row] * 50))
    card = Card.model_validate_json(made.body)
    assert len(made.body) <= MAX_CARD_BYTES
    assert len(card.items) + card.more_items == 50
    assert 0 < len(card.items) <= 20
    assert card.items[0].when == "2026年12月1日"


def test_templates_fill_places_and_interpret_nothing() -> None:
    """Braces in a department's value are text."""
    made = maker("matters").answered(
        rows({"what": "{where}{0.__class__}", "where": "安澜市望江区一路"})
    )
    assert Card.model_validate_json(made.body).items[0].title == "{where}{0.__class__}"


def test_as_of_is_the_departments_and_never_in_the_future() -> None:
    """What a department calls tomorrow is now."""
    past = maker().answered(
        CardAnswer(facts={"balance": 1}, as_of=datetime(2026, 11, 24, 0, 0, tzinfo=UTC))
    )
    assert orjson.loads(past.body)["as_of"] == "2026-11-24T08:00:00+08:00"
    later = maker().answered(
        CardAnswer(facts={"balance": 1}, as_of=datetime(2030, 1, 1, tzinfo=UTC))
    )
    assert later.as_of == NOW


@pytest.mark.parametrize(
    ("state", "due", "stage", "code", "reason", "message"),
    [
        (AnswerState.READY, None, None, Code.READY, "facts", "信息可以查看，业务可以办理。"),
        (AnswerState.ACTION_REQUIRED, None, None, Code.ACTION_REQUIRED, "open", "有一件事等您办理。"),
        (AnswerState.ACTION_REQUIRED, date(2026, 12, 5), "补正", Code.ACTION_REQUIRED, "due", "补正，请在2026年12月5日前办理。"),
        (AnswerState.ACTION_REQUIRED, date(2026, 11, 24), "补正", Code.ACTION_REQUIRED, "overdue", "已经过了2026年11月24日的期限，请尽快办理。"),
        (AnswerState.ACTION_REQUIRED, date(2026, 11, 25), None, Code.ACTION_REQUIRED, "due", "请在2026年11月25日前办理。"),
        (AnswerState.IN_PROGRESS, None, "初审", Code.IN_PROGRESS, "open", "正在办理：初审。"),
        (AnswerState.IN_PROGRESS, date(2026, 12, 5), "初审", Code.IN_PROGRESS, "open", "正在办理：初审，承诺2026年12月5日前办结。"),
        (AnswerState.DONE, date(2026, 12, 5), None, Code.DONE, "closed", "已经办结。"),
    ],
)  # fmt: skip
def test_states_in_words(
    state: AnswerState, due: date | None, stage: str | None, code: Code, reason: str, message: str
) -> None:
    """What, by when, who: from the answer's state, stage and day."""
    made = maker().answered(CardAnswer(facts={"balance": 1}, state=state, due=due, stage=stage))
    assert (made.state.code, made.state.reason, made.state.message) == (code, reason, message)
    assert (made.state.until is None) is (due is None or code is Code.DONE)


def test_empty_says_what_it_means() -> None:
    """The manifest's text, or the plugin's own word; the sentence is short, the card has it whole."""
    made = maker().nothing(Empty(reason=EmptyReason.NOT_ELIGIBLE))
    assert (made.state.code, made.state.reason) == (Code.EMPTY, "not_eligible")
    assert made.state.message.startswith("名下没有账户。")
    own = maker(words={"none": "还没有缴存记录。"}).nothing(Empty(words="@none"))
    assert own.state.message == "还没有缴存记录。"
    with pytest.raises(BadAnswer):
        maker().nothing(Empty(words="@nowhere"))


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("余额\u202e001", "余额001"),
        ("a\u200bb\ufeffc", "abc"),
        ("行\n一\x00二", "行 一 二"),
        ("e" + "\u0301" * 1000, "é" + "\u0301" * 4),
        ("\ud800x", "x"),
        ("ok" * 100, "ok" * 30),
    ],
)
@pytest.mark.row("B14")
def test_texts_are_cleaned(dirty: str, clean: str) -> None:
    """[B14] No direction marks, no invisible signs, no towers of accents, no endless lines."""
    assert cleaned(dirty, most=60) == clean


def test_sentences_are_cut_between_sentences() -> None:
    """As many whole ones as fit; a single long one is cut with a sign."""
    text = "名下没有账户。" + "单位为您开户以后，这里会显示余额。" * 5
    assert sentence(text, "zh").endswith("。")
    assert len(sentence(text, "zh")) <= 60
    assert sentence("长" * 100, "zh") == "长" * 59 + "…"


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["what", "where", "day", "odd"]),
        st.text(max_size=200) | st.integers() | st.booleans() | st.none() | st.floats(),
        max_size=4,
    ),
    st.sampled_from(["zh", "en"]),
)
def test_any_row_makes_a_card_or_is_refused(row: dict[str, Any], language: Language) -> None:
    """Nothing that a plugin may answer breaks the maker."""
    try:
        made = maker("matters", language).answered(rows(row))
    except BadAnswer:
        return
    assert len(made.body) <= MAX_CARD_BYTES
    Card.model_validate_json(made.body)
