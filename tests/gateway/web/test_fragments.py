"""One card as bytes: the same for hall, page, embed and store; nothing in it but what belongs there."""

import orjson
import pytest

from gateway.cards.item import Action, ActionKind, Freshness, Item
from gateway.cards.state import Code, State
from gateway.contract.card import Template
from gateway.web import fragments, prepared
from gateway.web.gallery_samples import _document, states, templates
from gateway.words.loader import LANGUAGES, Language
from tests.gateway.web.front import Front

AS_OF = 1_795_573_920_000_000


def item_of(front: Front, *, code: Code = Code.READY, **changes: object) -> Item:
    """公积金 with a figure."""
    entry = front.parts.live.current.entry("gjj")
    assert entry is not None
    body = _document(Template.FIGURE, code, "zh").model_dump_json(by_alias=True).encode()
    values = {
        "entry": entry,
        "state": State(code, "facts", "一句话", "一句话"),
        "actions": (
            Action(ActionKind.LAUNCH, "去办理", "/s/gjj/launch"),
            Action(ActionKind.DETAILS, "看办事指南", "/s/gjj"),
        ),
        "freshness": Freshness("live", AS_OF),
        "body": body,
        **changes,
    }
    return Item(**values)  # type: ignore[arg-type]  # values of its fields


def drawn(item: Item, language: Language = "zh") -> str:
    """A card as text."""
    return fragments.render_item(item, language).decode()


def test_a_figure_stands_out_and_the_elder_edition_has_less(front: Front) -> None:
    """Four facts are in the bytes; the third and fourth are marked, so that a mode may hide them."""
    text = drawn(item_of(front))
    assert 'class="fact--1 fact--main"' in text
    assert 'class="fact--4"' in text
    assert "52,318.64 元" in text
    assert "11月25日 10:32 更新" in text or "更新" in text
    assert 'formaction="/s/gjj/launch"' in text
    assert 'form="act"' in text


def test_it_holds_no_token_and_no_second_way_to_the_same_page(front: Front) -> None:
    """Buttons belong to the page's one form; the title is the way to the service's page."""
    text = drawn(item_of(front))
    assert "form_token" not in text
    assert text.count("/s/gjj") == 2  # title, launch


def test_a_copy_says_since_when(front: Front) -> None:
    """Its time in words, beside the sign of it."""
    text = drawn(item_of(front, freshness=Freshness("copy", AS_OF, "timeout")))
    assert "data-copy" in text
    assert "部门暂时没有回应" in text


def test_a_copy_whose_department_may_still_answer_says_so(front: Front) -> None:
    """Nobody is called silent before the time is up."""
    text = drawn(item_of(front, freshness=Freshness("copy", AS_OF, "asked")))
    assert "data-copy" in text
    assert "部门暂时没有回应" not in text
    assert "正在向部门查询" in text


def test_an_unknown_kind_of_card_shows_its_fallback(front: Front) -> None:
    """A newer contract, a template that we do not know: the sentence that every card carries."""
    body = orjson.dumps({"schema": "citygate.card/9.0", "fallback_text": "余额 <b>1</b> 元"})
    text = drawn(item_of(front, body=body))
    assert "余额 &lt;b&gt;1&lt;/b&gt; 元" in text


@pytest.mark.row("B11")
def test_what_departments_say_is_text(front: Front) -> None:
    """Facts, rows, stages and messages are escaped."""
    document = _document(Template.EVENT, Code.READY, "zh").model_dump(by_alias=True)
    document["items"] = [{"title": "<img src=x>", "note": "\"'><script>", "when": ""}]
    state = State(Code.ACTION_REQUIRED, "due", "<i>x</i>", "x")
    text = drawn(item_of(front, body=orjson.dumps(document), state=state))
    assert "<img src=x" not in text
    assert "<script>" not in text
    assert "<i>x" not in text


def test_a_kept_fragment_is_used_as_it_is(front: Front) -> None:
    """Warm bodies are spliced, never drawn again."""
    assert fragments.render_item(item_of(front, fragment=b"<kept>"), "zh") == b"<kept>"


@pytest.mark.row("B50")
def test_outside_links_tell_nothing(front: Front) -> None:
    """A plain link to a department carries no referrer, and stays in the window."""
    actions = (Action(ActionKind.LAUNCH, "打开网站", "https://d.example/x?a=1&b=2"),)
    text = drawn(item_of(front, actions=actions))
    assert 'href="https://d.example/x?a=1&amp;b=2" rel="noreferrer"' in text
    assert "target=" not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_is_named_in_words_beside_its_colour(language: Language) -> None:
    """Colour is never the only sign."""
    for name, view in states(language):
        text = fragments.render_view(view, language).decode()
        assert f'data-state="{name}"' in text
        assert ('class="tag' in text) == (name != "ready")


def test_lists_count_what_they_leave_out() -> None:
    """Three rows, and how many more there are."""
    view = next(view for name, view in templates("zh") if name == "event · ready")
    text = fragments.render_view(view, "zh").decode()
    assert text.count("<li>") == 3
    assert "还有 1 条" in text


def test_the_directory_is_exchanged_tile_by_tile(front: Front) -> None:
    """Prepared once; a request leaves out what is not shown and marks what is closed."""
    generation = front.parts.live.current

    def exchange(service: str, tile: bytes) -> bytes:
        if service == prepared.COUNT:
            return b"71"
        if service == "enrol":
            return fragments.tagged(tile, Code.CLOSED, "zh")
        return b"" if service == "gjj" else tile

    for edition in prepared.EDITIONS:
        text = prepared.directory(generation, "zh", edition, exchange).decode()
        assert "\x00" not in text
        assert 'href="/s/gjj"' not in text
        assert 'href="/s/enrol"><b>入学报名</b><span class="tag tag--warn">未开放</span>' in text
        assert ("<details" in text) == (edition == "elder")
        assert text.count('href="/s/') > 60
