"""Every setting of the program: environment variables `CITYGATE_*`, in one class.

The handbook's settings page is generated from the descriptions here.
"""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_LOOPBACK = tuple(
    ipaddress.ip_network(text) for text in ("127.0.0.0/8", "::1", "::ffff:127.0.0.0/104")
)
Profile = Literal["demo", "test", "production"]


class Upstream(BaseModel):
    """One identity provider that we trust to say who a citizen is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
    name_zh: str
    name_en: str
    issuer: str
    client_id: str
    client_key_file: Path | None = None  # private JWK: private_key_jwt
    client_secret_file: Path | None = None  # client_secret_basic, for old providers
    algorithms: tuple[Literal["ES256", "RS256", "EdDSA"], ...] = ("ES256",)
    levels: dict[str, int] = Field(default_factory=dict)  # acr value -> assurance 0-5
    default_level: Annotated[int, Field(ge=0, le=5)] = 1
    scopes: str = "openid profile"
    networks: tuple[str, ...] = ()  # private networks it may be reached at
    hosts: tuple[str, ...] = ()  # "host" or "host:port" of its endpoints beside the issuer's own


class Settings(BaseSettings):
    """What can be set from outside, with its default."""

    model_config = SettingsConfigDict(
        env_prefix="CITYGATE_", extra="ignore", frozen=True, env_nested_delimiter="__"
    )

    profile: Profile = Field(
        "production", description="demo, test or production; production refuses what is unsafe."
    )
    environment: Literal["demo", "staging", "production"] | None = Field(
        None,
        description="Which environment's values of the registry hold; by default that of the profile (test uses demo).",
    )
    state_dir: Path = Field(
        Path(".citygate"), description="Folder of everything that is kept on one machine."
    )
    public_url: str = Field(
        "",
        description="The address citizens use, scheme and host only; a host name of its own is required.",
    )
    admin_url: str = Field(
        "",
        description="The address of the consoles; by default they are served at the public address.",
    )
    listen: str = Field(
        "127.0.0.1:8080",
        description="host:port of zone citizen (and admin where admin_listen is empty); several separated by commas.",
    )
    admin_listen: str = Field(
        "", description="host:port of zone admin; empty: served on the citizen listener."
    )
    internal_listen: str = Field(
        "127.0.0.1:8081",
        description="host:port of zone internal (/metrics, /readyz?verbose); loopback.",
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(1, description="Worker processes.")
    ledger: SecretStr = Field(
        SecretStr(""), description="postgresql://… ; empty: SQLite in the state folder."
    )
    volatile: SecretStr = Field(
        SecretStr(""),
        description="redis://, rediss://, unix://, redis+sentinel://, redis+cluster:// ; empty: embedded Valkey.",
    )
    registry: Path = Field(
        Path("service_registry.yaml"), description="The registry file that admins edit."
    )
    plugins: Path = Field(Path("plugins"), description="Folder of plugin folders.")
    watch: bool | None = Field(
        None,
        description="Publish the registry file when it changes; by default only in profile demo.",
    )
    kek_file: Path | None = Field(
        None,
        description="File with the key that wraps all data keys; by default kek in the state folder (created in profiles demo and test only).",
    )
    secrets_dir: Path | None = Field(
        None, description="Folder <plugin>/<name> of the departments' secrets, one file each."
    )
    upstreams_file: Path | None = Field(None, description="JSON list of identity providers.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Networks whose X-Forwarded-* headers are believed, separated by commas."
    )
    allowed_networks: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Private networks by plugin, as JSON."
    )
    host_app_agents: Annotated[tuple[str, ...], NoDecode] = Field(
        ("AnlanGuancha",), description="Words in User-Agent that name a host app (container mode)."
    )
    embed_ancestors: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Origins that may frame /embed/cards."
    )
    site_files: Path | None = Field(
        None, description="Folder of host check files answered at / and /.well-known/."
    )
    page_budget_ms: Annotated[int, Field(ge=100, le=5000)] = Field(
        800, description="How long a page waits for parts."
    )
    hall_wait_ms: Annotated[int, Field(ge=0, le=5000)] = Field(
        250, description="How long the hall waits where scripts run."
    )
    session_idle_min: Annotated[int, Field(ge=1, le=1440)] = Field(
        30, description="Minutes until an unused session ends."
    )
    session_hours: Annotated[int, Field(ge=1, le=72)] = Field(
        12, description="Hours until any session ends."
    )
    drain_s: Annotated[int, Field(ge=1, le=120)] = Field(
        15, description="Seconds that requests in flight get when a worker ends."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe line that is logged."
    )
    debug: bool = Field(default=False, description="Refused in profile production.")
    accept_uncaged: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Code plugins accepted by name where the machine cannot cage them."
    )
    valkey_memory_mb: Annotated[int, Field(ge=16, le=65536)] = Field(
        256, description="Memory cap of the embedded Valkey."
    )
    control_socket: Path | None = Field(
        None, description="Profile test only: unix socket that moves the clock."
    )
    footer_file: Path | None = Field(
        None,
        description="JSON of the footer: 主办单位, ICP 备案, 公网安备, 网站标识码, telephone numbers.",
    )
    city_name_zh: str = Field("安澜市", description="The city's name in Chinese.")
    city_name_en: str = Field("Anlan", description="The city's name in English.")
    host_app_name: str = Field("安澜观察", description="The host app's name.")
    hotline_long_distance: str = Field(
        "0000-12345", description="The hotline's number from outside the city."
    )

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, values: dict[str, object]) -> dict[str, object]:
        for name in ("trusted_proxies", "host_app_agents", "embed_ancestors", "accept_uncaged"):
            raw = values.get(name)
            if isinstance(raw, str):
                values[name] = tuple(part.strip() for part in raw.split(",") if part.strip())
        return values

    @model_validator(mode="after")
    def _address_is_an_origin(self) -> Self:
        for name in ("public_url", "admin_url"):
            value = getattr(self, name)
            parts = urlsplit(value)
            if value and (parts.scheme not in ("http", "https") or not parts.hostname):
                raise ValueError(f"CITYGATE_{name.upper()}: {value!r} is no http(s) address")
            if parts.path not in ("", "/") or parts.query or parts.fragment:
                raise ValueError(
                    f"CITYGATE_{name.upper()}: a host name of its own is required, "
                    f"not the path {parts.path!r}"
                )
        return self

    @property
    def origin(self) -> str:
        """Scheme, host and port that citizens use, without a slash at the end."""
        return (self.public_url or f"http://localhost:{self.listen.rsplit(':', 1)[1]}").rstrip("/")

    @property
    def registry_environment(self) -> str:
        """Which environment's registry values hold."""
        if self.environment is not None:
            return self.environment
        return "production" if self.profile == "production" else "demo"

    @property
    def watching(self) -> bool:
        """Whether a changed registry file is published by itself."""
        return self.profile == "demo" if self.watch is None else self.watch

    @property
    def ledger_url(self) -> str:
        """Where the ledger is."""
        return self.ledger.get_secret_value() or f"sqlite:///{self.state_dir.resolve()}/ledger.db"

    @property
    def embedded_volatile(self) -> bool:
        """Whether the supervisor starts a Valkey of its own."""
        return not self.volatile.get_secret_value()

    @property
    def kek_path(self) -> Path:
        """Where the key-encryption key lies."""
        return self.kek_file or self.state_dir / "kek"


def unsafe_in_production(settings: Settings) -> list[str]:
    """What profile production refuses, each by name in one sentence."""
    if settings.profile != "production":
        return []
    found = []
    if settings.debug:
        found.append("CITYGATE_DEBUG: debug output shows what is inside; switch it off")
    if not settings.public_url.startswith("https://"):
        found.append("CITYGATE_PUBLIC_URL: citizens' address must be https://")
    if settings.kek_file is None:
        found.append("CITYGATE_KEK_FILE: name the file of the key that wraps all data keys")
    if settings.control_socket is not None:
        found.append("CITYGATE_CONTROL_SOCKET: only profile test may move the clock")
    if settings.admin_url and not settings.admin_url.startswith("https://"):
        found.append("CITYGATE_ADMIN_URL: the consoles' address must be https://")
    for plugin, networks in settings.allowed_networks.items():
        found += [
            f"CITYGATE_ALLOWED_NETWORKS: {plugin}: {why} {network}"
            for network in networks
            if (why := _unsafe_network(network, loopback=False))
        ]
    found += [
        f"CITYGATE_TRUSTED_PROXIES: {why} {network}"
        for network in settings.trusted_proxies
        if (why := _unsafe_network(network, loopback=True))
    ]
    return found


def _unsafe_network(text: str, *, loopback: bool) -> str:
    """What is wrong with a network that is granted or trusted; "": nothing."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return "this is no network:"
    if network.prefixlen == 0:
        return "this is the whole world:"
    if not loopback and any(
        network.overlaps(own) for own in _LOOPBACK if own.version == network.version
    ):
        return "loopback may not be reached:"
    return ""


def variables(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """`CITYGATE_VAR_*` without the prefix: what `${NAME}` in documents stands for."""
    source = os.environ if environ is None else environ
    prefix = "CITYGATE_VAR_"
    return {key[len(prefix) :]: value for key, value in source.items() if key.startswith(prefix)}
