"""The names of our cookies: `__Host-` where citizens come over https."""


def session_cookie(*, secure: bool) -> str:
    """The session's token."""
    return "__Host-citygate" if secure else "citygate"


def browser_cookie(*, secure: bool) -> str:
    """Tells browsers apart before anybody is signed in; sign-in and form tokens are bound to it."""
    return "__Host-citygate-browser" if secure else "citygate-browser"
