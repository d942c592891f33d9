"""Where a back end is, how we prove ourselves to it and how requests are signed.

The worker applies all of this, for recipes and code plugins alike; secrets are named, never written.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from gateway.contract.block import Block, Duration


class Connect(Block):
    """Where the back end is and how it speaks."""

    base: Annotated[str, Field(min_length=1, max_length=400)]  # may be "{setting.api}"
    charset: Literal["auto", "utf-8", "gb18030"] = "auto"
    timeout: Duration = "3s"
    connect_timeout: Duration = "1s"
    max_body: Annotated[int, Field(ge=1024, le=1 << 20)] = 1 << 20  # decoded bytes
    proxy: str | None = None  # "{setting.gov_proxy}"
    client_cert: str | None = None  # "{secret.x}" PEM
    client_key: str | None = None
    ca: str | None = None


class BasicAuth(Block):
    """HTTP Basic, RFC 7617."""

    kind: Literal["basic"]
    user: str
    password: str


class HeaderAuth(Block):
    """A fixed header with a credential."""

    kind: Literal["header"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,60}$")]
    value: str


class ClientAssertionAuth(Block):
    """OAuth 2.0 client credentials with private_key_jwt (RFC 7523); the token is kept and renewed."""

    kind: Literal["client_assertion"]
    key: str  # "{secret.client_key}", a private JWK
    client_id: str
    alg: Literal["ES256", "RS256"] = "ES256"
    token_url: str
    aud: str
    scope: str | None = None
    early: Duration = "60s"


class WsseAuth(Block):
    """WS-Security UsernameToken 1.1 in a SOAP header."""

    kind: Literal["wsse"]
    user: str
    password: str
    digest: bool = True


class LoginAuth(Block):
    """A session token fetched by a call of the recipe and sent with each other call."""

    kind: Literal["login"]
    method: Literal["GET", "POST"] = "POST"
    path: str
    json_: dict[str, Any] | None = Field(default=None, alias="json")
    form: dict[str, str] | None = None
    token_at: str  # JMESPath of the token
    valid_for: Duration = "20min"
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,60}$")]
    prefix: str = ""


Auth = Annotated[
    BasicAuth | HeaderAuth | ClientAssertionAuth | WsseAuth | LoginAuth,
    Field(discriminator="kind"),
]


class Place(Block):
    """Where a part of a signature is put."""

    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,60}$")] | None = None
    query: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "Place":
        if (self.header is None) == (self.query is None):
            raise ValueError("name exactly one of header, query")
        return self


class TimePlace(Place):
    """Where and how the time of signing is sent."""

    format: Literal["unix", "unix_ms", "iso"] = "unix_ms"


class NoncePlace(Place):
    """Where the nonce is sent."""

    length: Annotated[int, Field(ge=8, le=64)] = 16


SignPart = Annotated[str, Field(max_length=100)]


class Sign(Block):
    """How each request is signed.

    `over` lists what is signed, in order: method, path, query_sorted, body, body_digest, time,
    nonce, key, or a literal as `"=text"`.
    """

    alg: Literal["hmac-sha256", "hmac-sm3"]
    key: str
    over: Annotated[tuple[SignPart, ...], Field(min_length=1)]
    join: str = ""
    encode: Literal["hex", "HEX", "base64"] = "hex"
    place: Place
    time: TimePlace | None = None
    nonce: NoncePlace | None = None
    headers: dict[str, str] = Field(
        default_factory=dict
    )  # sent along: X-App-Id: "{setting.app_id}"

    @field_validator("over")
    @classmethod
    def _known(cls, over: tuple[str, ...]) -> tuple[str, ...]:
        known = {"method", "path", "query_sorted", "body", "body_digest", "time", "nonce", "key"}
        for part in over:
            if part not in known and not part.startswith("="):
                raise ValueError(f"unknown part {part!r}; parts are {', '.join(sorted(known))}")
        return over
