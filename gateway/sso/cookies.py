"""Our cookies: `__Host-` where citizens come over https."""


def session_cookie(*, secure: bool) -> str:
    """The session's token."""
    return "__Host-citygate" if secure else "citygate"


def browser_cookie(*, secure: bool) -> str:
    """Tells browsers apart before anybody is signed in; sign-in and form tokens are bound to it."""
    return "__Host-citygate-browser" if secure else "citygate-browser"


def taken_away(name: str, *, secure: bool) -> str:
    """The Set-Cookie line that takes a cookie away."""
    return f"{name}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"
