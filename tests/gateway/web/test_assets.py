"""Static files, icons, host check files: what is reachable, and how it is kept."""

import gzip
import hashlib
from pathlib import Path

import pytest

from gateway.web import statics
from gateway.web.statics import asset
from tests.gateway.web.front import Front

HTMX = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"  # htmx.org 2.0.11, npm
VENDOR = Path(statics.__file__).parent / "static" / "vendor"


def test_htmx_is_the_one_that_was_published() -> None:
    """The vendored file is byte for byte the package's, and its licence lies beside it."""
    content = (VENDOR / "htmx-2.0.11.min.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == HTMX
    assert "Zero-Clause BSD" in (VENDOR / "htmx-LICENSE.txt").read_text("utf-8")


@pytest.mark.parametrize("name", ["app.css", "app.js", "htmx-2.0.11.min.js", "mark.svg"])
async def test_static_files_are_kept_for_ever(front: Front, name: str) -> None:
    """Digest in the name, immutable, stored compressed, plain for who takes no gzip."""
    async with front.browser() as browser:
        zipped = await browser.get(asset(name), headers={"accept-encoding": "gzip, br"})
        plain = await browser.get(asset(name), headers={"accept-encoding": "identity"})
        refused = await browser.get(asset(name), headers={"accept-encoding": "gzip;q=0"})
    assert zipped.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert zipped.headers["content-encoding"] == "gzip"
    assert zipped.headers["vary"] == "Accept-Encoding"
    assert zipped.headers["x-content-type-options"] == "nosniff"
    assert "content-encoding" not in plain.headers
    assert "content-encoding" not in refused.headers
    assert zipped.content == plain.content == refused.content
    assert int(zipped.headers["content-length"]) == len(gzip.compress(plain.content, 9, mtime=0))
    assert hashlib.sha256(plain.content).hexdigest()[:12] in asset(name)


@pytest.mark.row("B75")
async def test_what_is_no_static_file_is_unknown(front: Front) -> None:
    """Old digests, licences, Python files, ways out of the folder."""
    async with front.browser() as browser:
        for name in ("app.css", "app-000000000000.css", "htmx-LICENSE.txt", "..%2fpages.py"):
            answer = await browser.get(f"/static/{name}")
            assert answer.status_code in (400, 404), name


async def test_icons_are_drawn_and_nothing_else(front: Front) -> None:
    """By digest, as a picture, in a sandbox of its own."""
    entry = front.parts.live.current.entry("gjj")
    assert entry is not None
    async with front.browser() as browser:
        answer = await browser.get(f"/icons/{entry.icon}")
        unknown = await browser.get(f"/icons/{'0' * 64}")
        odd = await browser.get("/icons/search")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "immutable" in answer.headers["cache-control"]
    assert hashlib.sha256(answer.content).hexdigest() == entry.icon
    assert unknown.status_code == odd.status_code == 404


@pytest.mark.parametrize(
    ("path", "content", "media"),
    [
        ("/host_check-1.txt", "abc", "text/plain; charset=utf-8"),
        ("/.well-known/assetlinks.json", '[{"a":1}]', "application/json"),
        ("/.well-known/apple-app-site-association", '{"applinks":{}}', "application/json"),
        ("/apple-app-site-association", '{"applinks":{}}', "application/json"),
    ],
)
async def test_host_check_files_are_answered_as_they_are(
    front: Front, path: str, content: str, media: str
) -> None:
    """What app stores and hosts look for, at / and /.well-known/."""
    async with front.browser() as browser:
        answer = await browser.get(path)
    assert (answer.status_code, answer.text) == (200, content)
    assert answer.headers["content-type"] == media


@pytest.mark.parametrize(
    "path",
    ["/secret.json", "/notes.md", "/.hidden.txt", "/outside.txt", "/missing.txt", "/.well-known",
     "/.well-known/secret.json", "/..%2fhost_check-1.txt", "/%2e%2e/kek", "/.well-known/..%5csecret.json",
     "/host_check-1.txt%00", "/host_check-1.txt/"],
)  # fmt: skip
@pytest.mark.row("B75")
async def test_nothing_else_of_the_folder_is_reachable(front: Front, path: str) -> None:
    """Other names, links out of it, and every way of writing a path to climb with."""
    async with front.browser() as browser:
        answer = await browser.get(path)
    assert answer.status_code in (400, 404)
    assert answer.text != "no"
