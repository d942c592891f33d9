"""Secrets come from files and go nowhere else."""

from pathlib import Path

import pytest

from gateway.hosting.secrets import MAX_BYTES, MissingSecret, Secrets


def test_a_secret_is_read_and_read_again_when_it_changed(tmp_path: Path) -> None:
    """A rotated secret needs no restart; a newline at the end is an editor's."""
    folder = tmp_path / "office"
    folder.mkdir()
    (folder / "key").write_text("one\n")
    secrets = Secrets(tmp_path)
    assert secrets.get("office", "key") == "one"
    (folder / "key").write_text("number two\r\n")
    assert secrets.get("office", "key") == "number two"


@pytest.mark.parametrize(
    ("plugin", "name"),
    [
        ("office", "none"),
        ("none", "key"),
        ("..", "key"),
        ("office", "../other/key"),
        ("office", ""),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, plugin: str, name: str) -> None:
    """Also what would lead out of the folder."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "key").write_text("x")
    (tmp_path / "office").mkdir()
    with pytest.raises(MissingSecret, match=r"secret .*/"):
        Secrets(tmp_path).get(plugin, name)
    with pytest.raises(MissingSecret, match="no folder"):
        Secrets(None).get("office", "key")


@pytest.mark.parametrize("raw", [b"", b"\n", b"\xff\xfe", b"x" * (MAX_BYTES + 1)])
def test_a_broken_secret_is_said_without_its_text(tmp_path: Path, raw: bytes) -> None:
    """Empty, no text, too big."""
    (tmp_path / "office").mkdir()
    (tmp_path / "office" / "key").write_bytes(raw)
    with pytest.raises(MissingSecret) as caught:
        Secrets(tmp_path).get("office", "key")
    assert "xx" not in str(caught.value)
