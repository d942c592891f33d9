"""One front door for all tests of pages: starting it takes a second."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.web.front import Front, open_front


@pytest.fixture(scope="session")
def site_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation's host check files, with what must not be reachable beside them."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "host_check-1.txt").write_text("abc")
    (folder / "secret.json").write_text("{}")
    (folder / "notes.md").write_text("no")
    (folder / ".hidden.txt").write_text("no")
    (folder / "outside.txt").symlink_to("/etc/hostname")
    known = folder / ".well-known"
    known.mkdir()
    (known / "assetlinks.json").write_text('[{"a":1}]')
    (folder / "apple-app-site-association").write_text('{"applinks":{}}')
    return folder


@pytest.fixture(scope="session")
async def front(
    tmp_path_factory: pytest.TempPathFactory, valkey_url: str, site_files: Path
) -> AsyncIterator[Front]:
    """The whole program, once."""
    async with open_front(
        tmp_path_factory.mktemp("front"),
        valkey_url,
        site_files=site_files,
        embed_ancestors="https://news.example,https://paper.example",
    ) as opened:
        yield opened
