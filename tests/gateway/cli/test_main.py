"""The command line: sentences instead of stack traces, also without the server's packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway.registry import samples
from tests.laptop import STARTED

ROOT = Path(__file__).resolve().parents[3]


def run(
    *arguments: str, base_only: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own."""
    start = ["-c", STARTED] if base_only else ["-m", "gateway"]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("CITYGATE_")}
    return subprocess.run(
        [sys.executable, *start, *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT, encoding="utf-8",
        env={**inherited, **environment},
    )  # fmt: skip


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """A small registry of its own."""
    return samples.write(tmp_path)


def test_a_departments_laptop_needs_no_server(registry: Path, tmp_path: Path) -> None:
    """`check` and `plugin new` work with the base packages alone."""
    done = run("check", str(registry), base_only=True)
    assert done.returncode == 0, done.stderr
    made = run("plugin", "new", "library", "--plugins", str(tmp_path / "p"), base_only=True)
    assert made.returncode == 0, made.stderr
    checked = run("plugin", "check", str(tmp_path / "p" / "library"), base_only=True)
    assert "Traceback" not in checked.stderr


@pytest.mark.parametrize(
    "arguments",
    [("staff", "list"), ("registry", "history"), ("audit", "verify"), ("serve",), ("backup", "."),
     ("run", "--port", "9")],
    ids=lambda a: a[0],
)  # fmt: skip
def test_what_needs_the_server_says_so(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """One sentence that names what to install, exit 2, no stack trace."""
    done = run(
        *arguments, base_only=True, CITYGATE_STATE_DIR=str(tmp_path), CITYGATE_PROFILE="demo"
    )
    assert done.returncode == 2
    assert "citygate[server]" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1", "C.UTF-8", "nonsense"],
                         ids=lambda name: f"F62-{name}")  # fmt: skip
def test_any_locale_will_do(registry: Path, locale: str) -> None:
    """Chinese texts never make a command fail, whatever the terminal can show."""
    registry.write_text(samples.registry().replace("上门服务, en", "上门服务 , en"), "utf-8")
    for extra in ({}, {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}):
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "check", str(registry)],
            capture_output=True, check=False, cwd=ROOT,
            env={"PATH": os.environ["PATH"], "LC_ALL": locale, **extra},
        )  # fmt: skip
        assert done.returncode in (0, 1)
        assert b"Traceback" not in done.stderr
        assert b"UnicodeEncodeError" not in done.stderr


@pytest.mark.parametrize("zone", ["", "UTC", "America/New_York", "Nowhere/Land"])
def test_any_time_zone_will_do(zone: str) -> None:
    """The city's time is the city's, wherever the machine stands."""
    code = "from gateway.clock import rfc3339; print(rfc3339(0))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT,
        env={"PATH": os.environ["PATH"], "TZ": zone},
    )  # fmt: skip
    assert done.stdout.strip() == "1970-01-01T08:00:00+08:00"


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("CITYGATE_PROFILE", "prod", "CITYGATE_PROFILE"),
        ("CITYGATE_PUBLIC_URL", "https://x.example/services", "host name of its own"),
        ("CITYGATE_WORKERS", "many", "CITYGATE_WORKERS"),
        ("CITYGATE_LISTEN", "127.0.0.1:99999", "CITYGATE_LISTEN"),
    ],
)
def test_a_wrong_setting_is_one_sentence(
    tmp_path: Path, setting: str, value: str, words: str
) -> None:
    """`serve` names the setting and ends with 2."""
    environment = {"CITYGATE_STATE_DIR": str(tmp_path / "s"), "CITYGATE_PROFILE": "demo"}
    done = run("serve", **{**environment, setting: value})
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("id_", ["B96", "F61"], ids=["B96", "F61"])
def test_production_refuses_by_name_what_is_unsafe(tmp_path: Path, id_: str) -> None:
    """Debug, plain http, no key file: each named; nothing is started, no key is made."""
    assert id_
    done = run("serve", CITYGATE_STATE_DIR=str(tmp_path / "s"), CITYGATE_DEBUG="1",
               CITYGATE_PUBLIC_URL="http://x.example",
               CITYGATE_ALLOWED_NETWORKS='{"gjj": ["127.0.0.0/8"]}')  # fmt: skip
    assert done.returncode == 2
    for name in ("CITYGATE_DEBUG", "CITYGATE_PUBLIC_URL", "CITYGATE_KEK_FILE", "loopback"):
        assert name in done.stderr
    assert not (tmp_path / "s" / "kek").exists()


def test_the_doctor_says_what_is_missing(registry: Path, tmp_path: Path) -> None:
    """A whole installation is ok; a missing registry and an unknown ledger are named."""
    known = {"CITYGATE_STATE_DIR": str(tmp_path / "s"), "CITYGATE_PROFILE": "demo",
             "CITYGATE_REGISTRY": str(registry), "CITYGATE_PLUGINS": str(tmp_path / "plugins")}  # fmt: skip
    (tmp_path / "s").mkdir(mode=0o700)
    done = run("doctor", **known)
    assert done.returncode == 0, done.stdout
    assert "registry" in done.stdout
    bad = run("doctor", **{**known, "CITYGATE_REGISTRY": "/nowhere.yaml"})
    assert bad.returncode == 1
    assert "/nowhere.yaml" in bad.stdout
    lost = run("doctor", **known, CITYGATE_LEDGER="postgresql://nobody@127.0.0.1:1/none")
    assert lost.returncode == 1
    assert "ledger" in lost.stdout


def test_version_names_the_contract() -> None:
    """What is installed and which contract it speaks."""
    done = run("version")
    assert done.returncode == 0
    assert "contract" in done.stdout
