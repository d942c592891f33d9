"""Places: look-ups by name, escaped for where they go."""

from datetime import datetime
from typing import Any

import pytest
from lxml import etree

from gateway.clock import CITY_ZONE
from gateway.contract.failure import CallOwner
from gateway.contract.recipe import Call
from gateway.hosting.draft import Draft
from gateway.hosting.failures import MissingClaim
from gateway.hosting.recipes.places import BadPlace, Values, plain, template
from gateway.hosting.recipes.requests import request
from gateway.hosting.secrets import Secrets
from tests.gateway.hosting.offices import ask

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=CITY_ZONE)


def values(**claims: str) -> Values:
    """What one ask offers."""
    made = Values(
        ask(**claims),
        NOW,
        {"app": "me", "on": True, "n": 7, "empty": ""},
        {"word": "geheim"}.__getitem__,
    )
    made.kept["first"] = {"id": "A/1"}
    return made


def sent(charset: Any = "utf-8", /, *, claims: dict[str, str] | None = None, **call: Any) -> Draft:
    """The request that a call makes."""
    made = Call.model_validate({"path": "/x", **call})
    return request(made, charset).draft(values(**(claims or {}))).sealed()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{citizen.name}", "李伟"),
        ("a{setting.app}b{setting.on}", "amebtrue"),
        ("{ask.level}/{ask.trace}", "3/t-1"),
        ("{now:%Y-%m-%d}", "2026-11-23"),
        ("{call.first.id}", "A/1"),
        ("{secret.word}", "geheim"),
        ('{{"a": 1}}', '{"a": 1}'),
    ],
)
def test_places(text: str, said: str) -> None:
    """Each source."""
    assert template(text).fill(values(), plain) == said


@pytest.mark.parametrize(
    "text",
    [pytest.param(text, id=f"B69-{n}") for n, text in enumerate((
        "{0.__class__}", "{citizen.__class__}", "{citizen}", "{citizen.name!r}", "{citizen.name:>99}", "{7*7}", "{{{", "}",
        "{", "{ask.claims}", "{setting.a.b[0]}", "{citizen.name.encode}", "{unknown.x}", "{}", "{now}", "{{citizen.name}", "{env.HOME}",
    ))],
)  # fmt: skip
def test_nothing_else_is_a_place(text: str) -> None:
    """No attributes, indexes, formats or arithmetic."""
    with pytest.raises(BadPlace):
        template(text)


@pytest.mark.parametrize("text", ["{{7*7}}", "${{7*7}}", "#{{x}}", "%s%n", "<%= x %>"])
def test_templates_of_others_are_text(text: str) -> None:
    """No template engine looks at what is sent."""
    assert template(text).fill(values(), plain) == text.replace("{{", "{").replace("}}", "}")


def test_a_value_is_never_looked_at_again() -> None:
    """A citizen called `{secret.word}` is called so."""
    assert template("{citizen.name}").fill(values(name="{secret.word}"), plain) == "{secret.word}"


def test_unknown_and_empty_stop_before_anything_is_sent() -> None:
    """Never an empty text in a request."""
    with pytest.raises(MissingClaim):
        template("{citizen.phone}").fill(values(name="a"), plain)
    for text in ("{setting.none}", "{setting.empty}", "{call.first.none}", "{call.second.id}"):
        with pytest.raises(CallOwner):
            template(text).fill(values(), plain)
    with pytest.raises(Exception, match="no folder"):
        template("{secret.x}").fill(
            Values(None, NOW, {}, lambda name: Secrets(None).get("p", name)), plain
        )


@pytest.mark.row("B9")
def test_paths_and_queries_are_encoded() -> None:
    """A value cannot leave its place in the address."""
    draft = sent(
        path="/a/{citizen.name}/名",
        query={"q": "{citizen.name}", "wsdl": ""},
        claims={"name": "李/?#&=%2e ."},
    )
    assert (
        draft.target
        == "/a/%E6%9D%8E%2F%3F%23%26%3D%252e%20./%E5%90%8D?q=%E6%9D%8E%2F%3F%23%26%3D%252e%20.&wsdl="
    )
    assert sent("gb18030", query={"q": "{citizen.name}"}).target == "/x?q=%C0%EE%CE%B0"


@pytest.mark.parametrize("value", ["..", ".", "%2e%2e"])
@pytest.mark.row("B9")
def test_dots_climb_nowhere(value: str) -> None:
    """A whole segment of dots is refused, encoded ones are text."""
    if "%" in value:
        assert sent(path="/a/{citizen.name}/b", claims={"name": value}).path == "/a/%252e%252e/b"
        return
    with pytest.raises(CallOwner):
        sent(path="/a/{citizen.name}/b", claims={"name": value})


def test_secrets_stand_in_no_address() -> None:
    """Addresses end in logs of others."""
    for call in ({"path": "/{secret.word}"}, {"path": "/x", "query": {"k": "{secret.word}"}}):
        with pytest.raises(BadPlace):
            request(Call.model_validate(call), "utf-8")


@pytest.mark.parametrize("value", ["a\r\nX-Admin: 1", "a\nb", "\x00", "名"])
@pytest.mark.row("B8")
def test_headers_take_one_line_of_ascii(value: str) -> None:
    """No second header out of a value."""
    with pytest.raises(CallOwner):
        sent(headers={"X-A": "{citizen.name}"}, claims={"name": value})


@pytest.mark.parametrize(
    "name", ["Host", "Content-Length", "Cookie", "Transfer-Encoding", "Connection"]
)
def test_some_headers_are_ours(name: str) -> None:
    """Framing and cookies are not a recipe's."""
    with pytest.raises(CallOwner):
        sent(headers={name: "x"})


def test_json_keeps_types() -> None:
    """A text that is one place has its value's type; ASCII only, so right in every charset."""
    draft = sent(
        method="POST",
        json={"n": "{setting.n}", "on": "{setting.on}", "who": "{citizen.name}", "s": "a{setting.n}", "l": ["{ask.level}", 1, None]},
        claims={"name": '"},{"x":"李'},
    )  # fmt: skip
    assert draft.body == rb'{"n":7,"on":true,"who":"\"},{\"x\":\"\u674e","s":"a7","l":[3,1,null]}'
    assert dict(draft.headers)["Content-Type"] == "application/json"


def test_forms_are_encoded_in_the_departments_charset() -> None:
    """No second field out of a value."""
    assert (
        sent(method="POST", form={"a b": "{citizen.name}"}, claims={"name": "x&y=1"}).body
        == b"a%20b=x%26y%3D1"
    )
    assert sent("gb18030", method="POST", form={"x": "李"}).body == b"x=%C0%EE"


def test_xml_values_are_escaped() -> None:
    """No element or entity out of a value; what XML cannot hold is refused."""
    draft = sent(
        "gb18030",
        method="POST",
        xml="<a b='{citizen.name}'>{citizen.name}</a>",
        claims={"name": "'<b/>&\"䶮"},
    )
    root = etree.fromstring(draft.body)
    assert (root.get("b"), root.text, len(root)) == ("'<b/>&\"䶮", "'<b/>&\"䶮", 0)
    assert draft.body.startswith(b'<?xml version="1.0" encoding="GB18030"?>')
    with pytest.raises(CallOwner):
        sent(method="POST", xml="<a>{citizen.name}</a>", claims={"name": "\x0b"})


def test_soap_envelopes() -> None:
    """1.1 and 1.2: action, namespaces, lists, escaped values."""
    soap = {
        "action": "urn:a",
        "body": {"q:ask": {"q:name": "{citizen.name}", "q:i": ["1", "2"], "q:on": "{setting.on}"}},
    }
    draft = sent(method="POST", soap=soap, ns={"q": "urn:q"}, read="xml", claims={"name": "<&>"})
    root = etree.fromstring(draft.body)
    names = {"s": "http://schemas.xmlsoap.org/soap/envelope/", "q": "urn:q"}
    assert root.xpath("string(/s:Envelope/s:Body/q:ask/q:name)", namespaces=names) == "<&>"
    assert [i.text for i in root.iterfind(".//q:i", names)] == ["1", "2"]
    assert dict(draft.headers)["SOAPAction"] == '"urn:a"'
    assert dict(draft.headers)["Content-Type"] == "text/xml; charset=UTF-8"

    draft = sent(method="POST", soap={**soap, "version": "1.2"}, ns={"q": "urn:q"}, read="xml")
    assert (
        dict(draft.headers)["Content-Type"] == 'application/soap+xml; charset=UTF-8; action="urn:a"'
    )
    assert b"http://www.w3.org/2003/05/soap-envelope" in draft.body
    for body in ({"x:ask": ""}, {"a b": ""}, {"a": {"<b>": ""}}):
        with pytest.raises(BadPlace):
            request(
                Call.model_validate({"path": "/", "method": "POST", "soap": {"body": body}}),
                "utf-8",
            )


def test_plain_text_takes_one_line_values() -> None:
    """A protocol of lines gets no line out of a value."""
    assert (
        sent(method="POST", text="ID={citizen.name}\n", claims={"name": "a b"}).body == b"ID=a b\n"
    )
    with pytest.raises(CallOwner):
        sent(method="POST", text="ID={citizen.name}\n", claims={"name": "a\nADMIN"})
