"""What could not be done: in words, with a way on, and nothing from inside."""

import pytest

from gateway.errors import MALFORMED, Malformed, Problem, code_of
from gateway.web.problems import document
from gateway.words.loader import table
from tests.gateway.web.front import Front


def _kinds() -> list[Problem]:
    return [kind() for kind in Problem.__subclasses__() if kind is not Malformed] + [
        Problem(),
        *(Malformed(status) for status in MALFORMED),
    ]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_kind_of_problem_has_words(language: str) -> None:
    """A title and a sentence in both languages for each code of the closed list."""
    for problem in _kinds():
        for part in ("title", "text"):
            assert table(language)[f"problem.{code_of(problem)}.{part}"]  # type: ignore[index,arg-type]  # parametrised


async def test_programs_get_problem_json(front: Front) -> None:
    """Addresses for programs, and callers that want JSON, get RFC 9457."""
    async with front.browser() as browser:
        api = await browser.get("/api/v1/cards/no-such")
        wanted = await browser.get("/s/no-such", headers={"accept": "application/json"})
    for answer in (api, wanted):
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        said = answer.json()
        assert said["type"] == "urn:citygate:problem:not-found"
        assert (said["status"], said["title"]) == (404, "没有找到这一页")
        assert said["trace"] == answer.headers["x-trace-id"]


async def test_people_get_a_page_with_a_way_on(front: Front) -> None:
    """A trace number, the hall, the telephone, and a report that knows the trace."""
    async with front.browser() as browser:
        answer = await browser.get("/nothing-here")
    trace = answer.headers["x-trace-id"]
    assert trace in answer.text
    assert f'href="/feedback?trace={trace}"' in answer.text
    assert 'class="button" href="/"' in answer.text
    assert 'href="tel:12345"' in answer.text


@pytest.mark.parametrize(
    ("path", "back"),
    [
        ("/me/consents", "/sign-in?next=/me/consents"),
        ("/consent/gjj", "/sign-in?next=/consent/gjj"),
    ],
)
async def test_who_is_not_signed_in_comes_back_here(front: Front, path: str, back: str) -> None:
    """The button leads through signing in and back to the page that was wanted."""
    async with front.browser() as browser:
        answer = await browser.get(path)
    assert answer.status_code == 401
    assert f'href="{back}"' in answer.text


async def test_a_launch_signed_out_leads_back_to_the_service(front: Front) -> None:
    """What was a button press cannot be repeated by a link: its service's page is."""
    async with front.browser() as browser:
        page = (await browser.get("/s/gjj")).text
        token = page.partition('name="form_token" value="')[2].partition('"')[0]
        answer = await browser.post("/s/gjj/launch", data={"form_token": token})
    assert answer.status_code == 401
    assert 'href="/sign-in?next=/s/gjj"' in answer.text


async def test_a_foreign_form_is_refused_in_words(front: Front) -> None:
    """Nothing was changed, and the page says so."""
    async with front.browser() as browser:
        answer = await browser.post("/feedback", data={"form_token": "x", "text": "hello"})
    assert answer.status_code == 403
    assert "什么都没有改动" in answer.text


def test_private_detail_is_never_sent() -> None:
    """Detail goes to the log only; members are public."""
    problem = Problem(detail="secret inside", members={"fields": []})
    said = document(problem, "zh", "t1")
    assert b"secret" not in said
    assert b'"fields":[]' in said


async def test_what_breaks_inside_is_a_500_with_a_number_only(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No stack trace, no message, no name of a file."""

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("inner /etc/secret")

    monkeypatch.setattr(type(front.parts.cards), "feed", broken)
    async with front.browser() as browser:
        answer = await browser.get("/")
    assert answer.status_code == 500
    assert "inner" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["x-trace-id"] in answer.text
    assert "出了点问题" in answer.text
