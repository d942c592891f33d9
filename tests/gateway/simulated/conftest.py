"""The simulated city as a child process on free ports, and hands to speak with it."""

import base64
import hmac
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1, sha256
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from gateway.simulated.loopback import Loopback
from gateway.simulated.people import BY_ID

GATEWAY = "http://localhost:1"  # nobody is there
WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    """A city of its own; returns when it is ready."""
    command = [sys.executable, "-m", "gateway.simulated", "--state", str(folder), "--free-ports"]
    process = subprocess.Popen(
        [*command, "--fast", "--gateway-url", GATEWAY, *more], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def stop(process: subprocess.Popen[str]) -> float:
    """End it; how long that took in seconds."""
    begun = time.monotonic()
    process.terminate()
    process.wait(10)
    if process.stdout:
        process.stdout.close()
    return time.monotonic() - begun


@dataclass
class Hands:
    """What the gateway would do, done by hand."""

    folder: Path
    at: dict[str, str]
    http: httpx.AsyncClient

    def secret(self, name: str) -> str:
        return (self.folder / "secrets" / name).read_text()

    async def control(self, act: str, **body: Any) -> Any:
        answer = await self.http.post(f"{self.at['panel']}/control/{act}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def calls(self, system: str) -> Any:
        return (await self.http.get(f"{self.at['panel']}/control/calls")).json()[system]

    def signed(self, method: str, path: str, body: bytes = b"", **over: str) -> httpx.Request:
        """A request to the provident fund as WIRE.md says; `over` replaces headers' values."""
        path, _, query = path.partition("?")
        when = over.get("time", str(time.time_ns() // 1_000_000))
        nonce = over.get("nonce", secrets.token_hex(8))
        pairs = "&".join(sorted(p for p in query.split("&") if p))
        text = "\n".join((method, path, pairs, sha256(body).hexdigest(), when, nonce))
        key = over.get("key", self.secret("gjj/app_secret")).encode()
        head = {
            "X-App-Id": "citygate",
            "X-Time": when,
            "X-Nonce": nonce,
            "X-Sign": over.get("sign", hmac.new(key, text.encode(), "sha256").hexdigest()),
            "Content-Type": "application/json",
        }
        address = f"{self.at['gjj']}{path}{'?' + query if query else ''}"
        return self.http.build_request(method, address, content=body, headers=head)

    async def account(self, person: str, **over: str) -> httpx.Response:
        one = BY_ID[person]
        body = orjson.dumps({"zjhm": one.id_number, "xm": one.name})
        return await self.http.send(self.signed("POST", "/open/v2/person/account", body, **over))

    async def business(self, person: str) -> Any:
        number = (await self.account(person)).json()["data"]["grzh"]
        return (
            await self.http.send(self.signed("GET", f"/open/v2/person/business/{number}"))
        ).json()["data"]

    def assertion(self, name: str, audience: str, **over: Any) -> str:
        """A client assertion of the gateway, made with the key of that name."""
        key = ECKey.import_key(orjson.loads(self.secret(name)))
        now = int(time.time())
        claims = {"iss": "citygate", "sub": "citygate", "aud": audience, "iat": now}
        claims |= {"exp": now + 60, "jti": secrets.token_hex(8), **over}
        return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key)

    async def legal_token(self, assertion: str | None = None) -> httpx.Response:
        address = f"{self.at['legal']}/oauth/token"
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion or self.assertion("legal/client_key", address),
        }
        return await self.http.post(address, data=form)

    async def cases(self, person: str) -> Any:
        token = (await self.legal_token()).json()["access_token"]
        one = BY_ID[person]
        return (
            await self.http.post(
                f"{self.at['legal']}/api/cases/query",
                json={"name": one.name, "id_number": one.id_number},
                headers={"Authorization": f"Bearer {token}"},
            )
        ).json()

    async def property(
        self, person: str, *, password: str = "", charset: str = "GB18030", created: str = ""
    ) -> httpx.Response:
        one = BY_ID[person]
        nonce = secrets.token_bytes(16)
        created = created or datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        secret = password or self.secret("property/password")
        digest = base64.b64encode(sha1(nonce + created.encode() + secret.encode()).digest())
        text = (
            f'<?xml version="1.0" encoding="{charset}"?>'
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:q="http://bdc.anlan.example/query">'
            f'<s:Header><w:Security xmlns:w="{WSS}-wssecurity-secext-1.0.xsd" xmlns:u="{WSS}-wssecurity-utility-1.0.xsd">'
            f"<w:UsernameToken><w:Username>citygate</w:Username><w:Password>{digest.decode()}</w:Password>"
            f"<w:Nonce>{base64.b64encode(nonce).decode()}</w:Nonce><u:Created>{created}</u:Created>"
            f"</w:UsernameToken></w:Security></s:Header><s:Body><q:queryByOwner><q:xm>{one.name}</q:xm>"
            f"<q:zjh>{one.id_number}</q:zjh><q:lsh>t</q:lsh></q:queryByOwner></s:Body></s:Envelope>"
        )
        return await self.http.post(
            f"{self.at['property']}/services/QueryService",
            content=text.encode(charset),
            headers={
                "Content-Type": f"text/xml; charset={charset}",
                "SOAPAction": '"urn:queryByOwner"',
            },
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One city for a module's tests."""
    folder = tmp_path_factory.mktemp("city")
    process = start(folder, "--control")
    yield folder
    stop(process)


@pytest.fixture
async def hands(running: Path) -> AsyncIterator[Hands]:
    """A client of that city; the city is as on its first day."""
    at = orjson.loads((running / "addresses.json").read_bytes())
    async with httpx.AsyncClient(transport=Loopback(), timeout=5, trust_env=False) as http:
        made = Hands(running, at, http)
        await made.control("reset")
        yield made
