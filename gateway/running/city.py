"""The simulated city as a child process, and what the gateway is told about it.

Nothing in the gateway asks whether a department is simulated: the city is other people's systems on
loopback ports. This module starts it and hands its addresses over as the settings that a maintainer
would write by hand.
"""

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from gateway.running.lock import CannotStart

READY_SECONDS = 30.0
LEVELS = {f"urn:anlan:level:{level}": level for level in (1, 2, 3, 4)}


@dataclass(slots=True)
class City:
    """The child process and its folder."""

    folder: Path
    gateway_url: str
    free_ports: bool
    control: bool
    first_port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; `wait` tells when it listens."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "addresses.json").unlink()
        command = [sys.executable, "-m", "gateway.simulated", "--state", str(self.folder)]
        command += ["--gateway-url", self.gateway_url, "--parent", str(os.getpid())]
        command += ["--free-ports"] if self.free_ports else ["--ports-from", str(self.first_port)]
        if self.control:
            command.append("--control")
        log = (self.folder / "city.log").open("ab")
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        log.close()

    def wait(self) -> dict[str, str]:
        """Name to address of each system.

        Raises:
            CannotStart: it ended or did not listen in time.
        """
        path = self.folder / "addresses.json"
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if path.exists():
                found: dict[str, str] = orjson.loads(path.read_bytes())
                return found
            if self.process is not None and self.process.poll() is not None:
                break
            time.sleep(0.02)
        log = self.folder / "city.log"
        last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
        raise CannotStart(
            f"the simulated city did not start ({' '.join(last)[:200] or 'no word from it'}); "
            f"where a port from {self.first_port} on is in use, set CITYGATE_CITY_PORT to another "
            f"number; see {log}"
        )

    def alive(self) -> bool:
        """Whether its process lives."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """End it."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def settings_for(folder: Path, addresses: dict[str, str]) -> dict[str, str]:
    """The environment variables that tell the gateway where the city's systems are."""
    variables = {
        f"CITYGATE_VAR_PORT_{name.upper()}": address.rsplit(":", 1)[1]
        for name, address in addresses.items()
    }
    upstreams = folder / "upstreams.json"
    upstreams.write_bytes(orjson.dumps([_identity(folder, addresses["identity"])]))
    return {
        **variables,
        "CITYGATE_VAR_CITY_DROPS": str((folder / "drops").resolve()),
        "CITYGATE_SECRETS_DIR": str((folder / "secrets").resolve()),
        "CITYGATE_UPSTREAMS_FILE": str(upstreams.resolve()),
    }


def _identity(folder: Path, issuer: str) -> dict[str, Any]:
    return {
        "id": "anlan",
        "name_zh": "安澜市统一身份认证平台",
        "name_en": "Anlan City Identity Platform",
        "issuer": issuer,
        "client_id": "citygate",
        "client_key_file": str((folder / "secrets" / "identity" / "client_key").resolve()),
        "levels": LEVELS,
    }
