"""Cards in other people's pages: public ones only, the same bytes for everybody."""

import html

import pytest

from tests.gateway.web.front import ORIGIN, Front


async def test_the_frame_may_stand_at_the_newspaper_only(front: Front) -> None:
    """`frame-ancestors` names the settings' origins; the rest of the policy stays strict."""
    async with front.browser() as browser:
        answer = await browser.get("/embed/cards/id-card")
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors https://news.example https://paper.example" in policy
    assert "default-src 'none'" in policy
    assert answer.headers["cache-control"].startswith("public")
    assert f'target="_top" href="{ORIGIN}/s/id-card"' in answer.text
    assert "<script" not in answer.text
    assert "form_token" not in answer.text


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
async def test_nobodys_cookies_are_looked_at(front: Front, accept: str) -> None:
    """A signed-in reader sees what everybody sees: no figure, no form, no name."""
    async with front.browser() as nobody:
        plain = await nobody.get("/embed/cards/gjj", headers={"accept": accept})
    async with await front.signed_in("reader") as reader:
        reader.cookies.set("citygate-look", "elder.4.high.en.0.")
        hers = await reader.get("/embed/cards/gjj", headers={"accept": accept})
    assert hers.content == plain.content
    assert hers.headers["etag"] == plain.headers["etag"]
    assert "set-cookie" not in hers.headers


async def test_what_caches_keep_sets_no_cookie(front: Front) -> None:
    """A shared copy with somebody's browser cookie in it would tie readers together."""
    async with front.browser() as browser:
        answer = await browser.get("/embed/cards/gjj")
    assert "set-cookie" not in answer.headers


async def test_the_element_gets_plain_values(front: Front) -> None:
    """JSON for <service-card>: readable from everywhere, revalidated by digest."""
    json = {"accept": "application/json"}
    async with front.browser() as browser:
        answer = await browser.get("/embed/cards/gjj", headers=json)
        tag = {"if-none-match": answer.headers["etag"]}
        same = await browser.get("/embed/cards/gjj", headers={**json, **tag})
        english = await browser.get("/embed/cards/gjj?lang=en", headers=json)
        unknown = await browser.get("/embed/cards/no-such", headers=json)
    said = answer.json()
    assert (said["service"], said["facts"], said["address"]) == ("gjj", [], f"{ORIGIN}/s/gjj")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert (same.status_code, same.content) == (304, b"")
    assert "fund" in english.json()["name"].lower()
    assert unknown.status_code == 404


async def test_oembed_is_found_from_a_services_address(front: Front) -> None:
    """`rich`, with a frame in a sandbox; other addresses are unknown."""
    async with front.browser() as browser:
        answer = await browser.get("/oembed", params={"url": f"{ORIGIN}/s/gjj", "maxwidth": "320"})
        wrong = [
            await browser.get("/oembed", params={"url": url})
            for url in (
                "https://evil.example/s/gjj",
                f"{ORIGIN}/s/no-such",
                f"{ORIGIN}/",
                "",
                "x://[",
            )
        ]
        xml = await browser.get("/oembed", params={"url": f"{ORIGIN}/s/gjj", "format": "xml"})
        wide = await browser.get("/oembed", params={"url": f"{ORIGIN}/s/gjj", "maxwidth": "x"})
    said = answer.json()
    assert (said["version"], said["type"], said["width"]) == ("1.0", "rich", 320)
    assert f'src="{ORIGIN}/embed/cards/gjj"' in html.unescape(said["html"])
    assert "sandbox=" in said["html"]
    assert [a.status_code for a in wrong] == [404] * len(wrong)
    assert (xml.status_code, wide.status_code) == (400, 422)
