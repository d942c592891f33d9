"""Bytes to documents: strictly, bounded, by the manifest's charset."""

import contextlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contract.failure import CallOwner
from gateway.hosting.recipes.decode import WrongEncoding, decoded, document

GHOST = "䶮"  # a surname that GBK does not have


@pytest.mark.parametrize(
    ("body", "charset", "kind", "text"),
    [pytest.param(*row, id=f"F8-{n}") for n, row in enumerate((
        ("余额".encode(), "auto", "", "余额"),
        ("余额".encode("gbk"), "auto", "", "余额"),
        (f"{GHOST}湖".encode("gb18030"), "gb18030", "text/xml;charset=GBK", f"{GHOST}湖"),
        (f"{GHOST}湖".encode("gb18030"), "auto", "text/xml; charset=gb2312", f"{GHOST}湖"),
        ("余额".encode(), "auto", "application/json; charset=GBK", "余额"),
        (b"\xef\xbb\xbf{}", "utf-8", "", "{}"),
        ("<?xml version='1.0' encoding='GBK'?><a>余</a>".encode("gbk"), "auto", "", "<?xml version='1.0' encoding='GBK'?><a>余</a>"),
    ))],
)  # fmt: skip
def test_charsets(body: bytes, charset: Any, kind: str, text: str) -> None:
    """The manifest's word holds; `auto` looks at label, prolog, then tries strictly."""
    assert decoded(body, charset, kind) == text


@pytest.mark.parametrize(
    ("body", "charset", "kind"),
    [pytest.param(*row, id=f"F8-not-{n}") for n, row in enumerate((
        ("余额".encode("gbk"), "utf-8", ""),
        (b"\xff\xfe\x41\x00", "auto", ""),
        (b"\xfe\xff\x00\x41", "gb18030", ""),
        ("餘額".encode("big5"), "auto", "text/html; charset=big5"),
        (b"\x81", "auto", ""),
        (b"abc", "auto", "text/plain; charset=utf-7"),
    ))],
)  # fmt: skip
def test_what_is_in_no_charset_of_ours_is_not_shown(body: bytes, charset: Any, kind: str) -> None:
    """Never mojibake on a card."""
    with pytest.raises(WrongEncoding):
        decoded(body, charset, kind)


XXE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
LAUGHS = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>'


@pytest.mark.parametrize(
    "text",
    [XXE, LAUGHS, " \n" + XXE, "<!-- x -->" + XXE, "<?xml version='1.0'?>" + LAUGHS, "<!DOCTYPE a><a/>",
     "<a>&x;</a>", "<a>", "", "a", "<a/><b/>", "<a>" * 70 + "</a>" * 70, "<a>" + "<b/>" * 100_001 + "</a>", "<a>\x00</a>",
     "<a xmlns:x='1'><y:z/></a>", "{}"],
    ids=range(16),
)  # fmt: skip
@pytest.mark.row("B18")
def test_xml_with_every_door_shut(text: str) -> None:
    """DOCTYPE, entities, depth, nodes, garbage."""
    with pytest.raises(CallOwner) as caught:
        document(text, "xml")
    assert "passwd" not in caught.value.what


def test_xml_is_read_by_our_charset_not_by_its_own_word() -> None:
    """The prolog of a decoded document is not believed."""
    root = document(
        f"<?xml version='1.0' encoding='GBK'?>\n<a><!-- c --><?p i?>{GHOST}<![CDATA[<b>]]></a>",
        "xml",
    )
    assert "".join(root.itertext()) == f"{GHOST}<b>"


@pytest.mark.parametrize(
    "text",
    ["", " ", "<html>", '{"a":1,"a":2}', '{"a":NaN}', '{"a":Infinity}', "[" * 100_000, "[" * 65 + "]" * 65, "{} {}",
     "9" * 6000, "[" + "0," * 100_001 + "0]", "{'a':1}", "nul", '{"a":1e99999999999}{'],
    ids=range(14),
)  # fmt: skip
@pytest.mark.row("B20")
def test_json_is_strict(text: str) -> None:
    """Twins, NaN, depth, size, trailing data, HTML."""
    with pytest.raises(CallOwner):
        document(text, "json")


def test_numbers_stay_exact() -> None:
    """Money never passes through a float."""
    assert document('{"a": 0.1, "b": 52340.18}', "json") == {
        "a": Decimal("0.1"),
        "b": Decimal("52340.18"),
    }


@pytest.mark.parametrize("text", ["", "a,a\n1,2\n", "a,b\n1\n", "a,b\n1,2,3\n", 'a,b\n"1,2\n'])
def test_csv_is_strict(text: str) -> None:
    """A cut-off file is no file."""
    with pytest.raises(CallOwner):
        document(text, "csv")


def test_csv_by_header() -> None:
    """Quotes, other delimiters, empty lines."""
    assert document('a;b\n1;"x;y"\n\n2; z \n', "csv", ";") == {
        "rows": [{"a": "1", "b": "x;y"}, {"a": "2", "b": "z"}]
    }


def test_feeds_are_plain_values() -> None:
    """RSS and Atom alike; HTML is taken out, dates are instants."""
    rss = (
        "<rss><channel><title>T</title><item><title>A &amp; B</title><link>http://x/</link>"
        "<pubDate>Mon, 23 Nov 2026 08:00:00 +0800</pubDate><description>&lt;b&gt;Hi&lt;/b&gt;&amp;nbsp;you</description></item></channel></rss>"
    )
    feed = document(rss, "rss")
    assert feed["title"] == "T"
    assert feed["items"][0] == {
        "title": "A & B", "link": "http://x/", "published": "2026-11-23T08:00:00+08:00", "description": "Hi you",
    }  # fmt: skip
    atom = '<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>E</title><link href="http://y/"/><updated>2026-11-23</updated></entry></feed>'
    assert document(atom, "rss")["items"][0]["link"] == "http://y/"
    with pytest.raises(CallOwner):
        document("<html/>", "rss")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["json", "xml", "csv", "rss", "text"]))
def test_any_bytes_are_a_document_or_the_owners_to_mend(raw: bytes, read: Any) -> None:
    """Nothing else is ever raised."""
    with contextlib.suppress(CallOwner):
        document(decoded(raw, "auto"), read)
