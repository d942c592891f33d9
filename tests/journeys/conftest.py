"""A running city and a real browser for journeys.

Playwright's synchronous interface leaves a running event loop behind in its thread, so it has a
thread of its own: tests marked `browser` run there, all others never see it.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests import browsing, city
from tests.browsing import Traveller
from tests.city import City

_START_SECONDS = 180  # a city and a browser, on a machine that is busy with other tests


@pytest.fixture(scope="session")
def a_city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    """The city that journeys share; each starts from `forget_everything`."""
    with city.running(tmp_path_factory.mktemp("journeys"), CITYGATE_WORKERS="2") as running:
        yield running


@pytest.fixture(scope="session")
def browser_thread() -> Iterator[ThreadPoolExecutor]:
    """Where the browser lives."""
    with ThreadPoolExecutor(1, "browser") as thread:
        yield thread


@pytest.fixture(scope="session")
def chromium(browser_thread: ThreadPoolExecutor) -> Iterator[Browser]:
    """One headless Chromium; to be used in its thread only."""
    opened = browser_thread.submit(browsing.launch).result()
    yield opened.browser
    browser_thread.submit(opened.close).result()


@pytest.fixture
def phone(
    chromium: Browser, browser_thread: ThreadPoolExecutor
) -> Iterator[Callable[[], Traveller]]:
    """A new phone of somebody's: `phone()` inside the test opens it."""
    made: list[Traveller] = []

    def take() -> Traveller:
        made.append(Traveller.new(chromium))
        return made[-1]

    yield take
    for one in made:
        browser_thread.submit(one.close).result()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Journeys may wait for a city to start, whichever of them comes first."""
    for item in items:
        if item.path.parent.name == "journeys" and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_START_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Run what is marked `browser` in the browser's thread."""
    if pyfuncitem.get_closest_marker("browser") is not None:
        thread: ThreadPoolExecutor = pyfuncitem.funcargs["browser_thread"]
        test: Callable[..., Any] = pyfuncitem.obj
        pyfuncitem.obj = lambda **given: thread.submit(test, **given).result()
    return (yield)
