"""Settings: read strictly, shown without what is secret."""

import pytest
from pydantic import ValidationError

from gateway.settings import Settings, unsafe_in_production, variables


@pytest.mark.parametrize("id_", ["B93"], ids=["B93"])
def test_addresses_with_passwords_are_never_shown(id_: str) -> None:
    """Neither printed, nor dumped, nor in an error's text."""
    assert id_
    secret = "s3cret-word"
    settings = Settings(
        ledger=f"postgresql://u:{secret}@h/x",  # type: ignore[arg-type]
        volatile=f"redis://:{secret}@h/0",  # type: ignore[arg-type]
    )
    assert secret not in repr(settings)
    assert secret not in str(settings.model_dump())
    assert secret not in settings.model_dump_json()
    assert secret in settings.ledger_url  # only who asks for the address gets it


@pytest.mark.parametrize(
    "address", ["https://x.example/path", "https://x.example?a=1", "ftp://x.example", "x.example"]
)
def test_an_address_is_an_origin(address: str) -> None:
    """A host name of its own is required; the sentence says so."""
    with pytest.raises(ValidationError, match="CITYGATE_PUBLIC_URL"):
        Settings(public_url=address)


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks and names are written without quotes and brackets."""
    monkeypatch.setenv("CITYGATE_TRUSTED_PROXIES", "10.0.0.0/8, ::1/128 ,")
    assert Settings().trusted_proxies == ("10.0.0.0/8", "::1/128")


def test_a_safe_production_is_not_refused(tmp_path: pytest.TempPathFactory) -> None:
    """With https, a key file and no debug there is nothing to say."""
    safe = Settings(profile="production", public_url="https://x.example", kek_file=tmp_path)  # type: ignore[arg-type]
    assert unsafe_in_production(safe) == []
    assert unsafe_in_production(Settings(profile="demo", debug=True)) == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("admin_url", "http://admin.example"),
        ("allowed_networks", {"fund": ("127.0.0.0/8",)}),
        ("allowed_networks", {"fund": ("0.0.0.0/0",)}),
        ("allowed_networks", {"fund": ("::/0",)}),
        ("allowed_networks", {"fund": ("::ffff:127.0.0.0/104",)}),
        ("allowed_networks", {"fund": ("127.0.0.0/33",)}),
        ("trusted_proxies", ("0.0.0.0/0",)),
        ("trusted_proxies", ("10.0.0.0/33",)),
    ],
)
def test_production_refuses_what_is_unsafe_by_name(
    tmp_path: pytest.TempPathFactory, setting: str, value: object
) -> None:
    """However it is spelled, and named by its setting."""
    safe = {"profile": "production", "public_url": "https://x.example", "kek_file": tmp_path}
    found = unsafe_in_production(Settings(**(safe | {setting: value})))  # type: ignore[arg-type]
    assert [line.partition(":")[0] for line in found] == [f"CITYGATE_{setting.upper()}"]


def test_variables_of_documents_are_the_prefixed_ones() -> None:
    """`CITYGATE_VAR_X` fills `${X}`; nothing else of the environment can be reached."""
    assert variables({"CITYGATE_VAR_PORT": "1", "HOME": "/root"}) == {"PORT": "1"}
