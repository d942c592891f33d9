"""What `citygate doctor` looks at: each line says what is right, or what to do."""

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from gateway.settings import Settings, unsafe_in_production

LEAST_FREE = 0.2


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at."""

    text: str
    bad: bool = False
    warning: bool = False

    @property
    def mark(self) -> str:
        """`ok`, `!` or `x`, for people and for grep."""
        return "x " if self.bad else "! " if self.warning else "ok"


def examine() -> list[Line]:
    """Look at settings, state folder, stores, cage and registry."""
    try:
        settings = Settings()
    except ValidationError as error:
        return [
            Line(f"CITYGATE_{'__'.join(map(str, e['loc'])).upper()}: {e['msg']}", bad=True)
            for e in error.errors()
        ]
    lines = [Line(f"profile {settings.profile}, environment {settings.registry_environment}")]
    lines += [Line(sentence, bad=True) for sentence in unsafe_in_production(settings)]
    lines += _state(settings.state_dir)
    lines += _keys(settings)
    lines += _cage()
    lines += _files(settings)
    return lines


def _state(folder: Path) -> list[Line]:
    if not folder.exists():
        return [Line(f"state folder {folder} does not exist yet; it is made at the first start")]
    if not os.access(folder, os.W_OK):
        return [Line(f"state folder {folder} cannot be written; give the right", bad=True)]
    disk = shutil.disk_usage(folder)
    free = disk.free / disk.total
    if free < LEAST_FREE:
        return [Line(f"state folder {folder}: only {free:.0%} of the disk is free", warning=True)]
    return [Line(f"state folder {folder}, {free:.0%} of the disk is free")]


def _keys(settings: Settings) -> list[Line]:
    from gateway.store.sealing import BadKek, FileKek

    if not settings.kek_path.exists() and settings.profile != "production":
        return [Line("key file is made at the first start")]
    try:
        FileKek.load(settings.kek_path)
    except BadKek as error:
        return [Line(str(error), bad=True)]
    return [Line(f"key file {settings.kek_path}")]


def _cage() -> list[Line]:
    from gateway.hosting.children.cage import available

    if platform.system() != "Linux":
        return [Line("code plugins cannot be caged on this system: 未隔离", warning=True)]
    held = available()
    if "landlock" in held or os.getuid() == 0:
        return [Line(f"code plugins are caged by {', '.join(sorted(held))}")]
    return [
        Line(
            "code plugins are not caged here (未隔离): neither Landlock nor another user id; "
            "profile production refuses them until CITYGATE_ACCEPT_UNCAGED names them",
            warning=True,
        )
    ]


def _files(settings: Settings) -> list[Line]:
    lines = []
    for name, path in (("registry", settings.registry), ("plugins", settings.plugins)):
        if path.exists():
            lines.append(Line(f"{name} {path}"))
        else:
            lines.append(
                Line(f"{name} {path} does not exist; set CITYGATE_{name.upper()}", bad=True)
            )
    return lines
