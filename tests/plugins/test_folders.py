"""What holds for every shipped plugin folder."""

import pytest

from gateway.conformance.kit import judged
from gateway.simulated.people import PERSONAL_VALUES
from tests.plugins.conftest import PLUGINS

FOLDERS = sorted(folder.name for folder in PLUGINS.iterdir() if folder.is_dir())


@pytest.mark.parametrize("name", FOLDERS)
def test_every_rule_holds(name: str) -> None:
    """The shipped plugins are what their departments promise; loopback is the only warning."""
    report = judged(PLUGINS / name)
    assert report.passed, [finding.line_of_text() for finding in report.findings]
    assert {finding.code for finding in report.findings} <= {"C08"}


@pytest.mark.parametrize("name", FOLDERS)
def test_no_folder_holds_anybody_of_the_city(name: str) -> None:
    """Folders are kept in revisions: their samples have people of their own."""
    for path in (PLUGINS / name).rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for value in PERSONAL_VALUES:
                for charset in ("utf-8", "gb18030"):
                    assert value.encode(charset) not in content, path.name
