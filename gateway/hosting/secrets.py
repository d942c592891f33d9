"""What departments and we share, one small file each: `<folder>/<plugin>/<name>`.

Read when it is needed and again when the file changed, so that a rotated secret needs no restart. A
value never leaves this module but to the place where a request is made; `repr` shows none.
"""

import re
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 65_536
_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


class MissingSecret(Exception):
    """A secret is not there or cannot be read; the text names it and never holds its value."""

    def __init__(self, plugin: str, name: str, why: str) -> None:
        super().__init__(f"secret {plugin}/{name}: {why}")


class Secrets:
    """The folder of the departments' secrets; without a folder there are none."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._kept: dict[tuple[str, str], tuple[tuple[int, int, int], str]] = {}

    def get(self, plugin: str, name: str) -> str:
        """The secret's text, without a newline at its end.

        Raises:
            MissingSecret: no folder, no such file, too big, not UTF-8, empty.
        """
        if self._folder is None:
            raise MissingSecret(plugin, name, "no folder of secrets is configured")
        if not _NAME.fullmatch(plugin) or not _NAME.fullmatch(name):
            raise MissingSecret(plugin[:64], name[:64], "not a name of a secret")
        path = self._folder / plugin / name
        try:
            seen = path.stat()
            version = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
            kept = self._kept.get((plugin, name))
            if kept is not None and kept[0] == version:
                return kept[1]
            if seen.st_size > MAX_BYTES:
                raise MissingSecret(plugin, name, f"more than {MAX_BYTES} bytes")
            value = path.read_bytes().decode().rstrip("\r\n")
        except FileNotFoundError:
            raise MissingSecret(plugin, name, "the file is not there") from None
        except OSError as error:
            raise MissingSecret(plugin, name, f"not readable ({error.strerror})") from None
        except UnicodeDecodeError:
            raise MissingSecret(plugin, name, "not UTF-8") from None
        if not value:
            raise MissingSecret(plugin, name, "the file is empty")
        self._kept[plugin, name] = (version, value)
        return value
