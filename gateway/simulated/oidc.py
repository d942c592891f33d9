"""What an authorization request to the identity platform may be."""

from dataclasses import dataclass
from typing import Final

CLIENT: Final = "citygate"
ACR: Final = "urn:anlan:level:"
SINGLE: Final = frozenset(
    [
        "client_id",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "prompt",
        "max_age",
        "acr_values",
        "login_hint",
        "id_token_hint",
        "response_mode",
    ]
)


@dataclass(frozen=True, slots=True)
class Ask:
    """A valid authorization request."""

    redirect_uri: str
    scope: str
    state: str | None
    nonce: str | None
    challenge: str
    prompt: frozenset[str]
    max_age: int | None
    level: int  # at least; 0: any
    hint: str


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """What the specification calls an error; `redirect_uri` empty: it may not travel back."""

    error: str
    description: str
    redirect_uri: str = ""
    state: str | None = None


def one_each(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Parameters, none of them twice (RFC 6749, 3.1).

    Raises:
        Refusal: one of ours came twice.
    """
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found and name in SINGLE:
            raise Refusal("invalid_request", f"{name} came twice")
        found[name] = value
    return found


def read_ask(given: dict[str, str], redirect_uris: list[str]) -> Ask:
    """Check an authorization request, the redirect address first.

    Raises:
        Refusal: with a redirect address only once that is known to be the client's own.
    """
    if given.get("client_id") != CLIENT:
        raise Refusal("invalid_client", "unknown client_id")
    back = given.get("redirect_uri", "")
    if back not in redirect_uris:
        raise Refusal("invalid_request", "redirect_uri is not registered")
    state = given.get("state")

    def no(error: str, why: str) -> Refusal:
        return Refusal(error, why, back, state)

    if "request" in given or "request_uri" in given:
        raise no("request_not_supported", "no request objects")
    if given.get("response_type") != "code" or given.get("response_mode", "query") != "query":
        raise no("unsupported_response_type", "code in the query only")
    if "openid" not in given.get("scope", "").split():
        raise no("invalid_scope", "openid is missing")
    challenge = given.get("code_challenge", "")
    if given.get("code_challenge_method") != "S256" or len(challenge) != 43:
        raise no("invalid_request", "PKCE with S256 is required")
    prompt = frozenset(given.get("prompt", "").split())
    if ("none" in prompt and len(prompt) > 1) or prompt - {
        "none",
        "login",
        "select_account",
        "consent",
    }:
        raise no("invalid_request", "prompt")
    age = given.get("max_age")
    if age is not None and not (age.isascii() and age.isdigit() and len(age) < 10):
        raise no("invalid_request", "max_age")
    levels = [
        int(v[-1])
        for v in given.get("acr_values", "").split()
        if v in {f"{ACR}{n}" for n in range(1, 5)}
    ]
    return Ask(
        back,
        given["scope"],
        state,
        given.get("nonce"),
        challenge,
        prompt,
        None if age is None else int(age),
        min(levels, default=0),
        given.get("login_hint", ""),
    )
