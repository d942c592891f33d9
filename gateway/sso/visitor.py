"""Who stands at a door: what the guards found and the handlers are given."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.contract.citizen import Citizen
from gateway.contract.ids import DepartmentId, ServiceId

Form = Mapping[str, str]  # the fields of a posted form


@dataclass(frozen=True, slots=True)
class DepartmentServer:
    """A department's server that proved itself by its own key (private_key_jwt)."""

    service: ServiceId
    department: DepartmentId


@dataclass(frozen=True, slots=True)
class Visitor:
    """One caller: nobody known, a citizen (perhaps staff), or a department's server."""

    citizen: Citizen | None = None
    department: DepartmentServer | None = None
    roles: frozenset[str] = frozenset()  # staff roles, read from the ledger for admin doors only
    store_away: bool = (
        False  # sessions cannot be looked up now: the cookie is kept, a banner says so
    )
    form_token: str = ""  # for the one page-level form; bound to the session or the browser
    fresh_browser: str = ""  # set the browser cookie to this on the way out
    peer: str = ""  # keyed digest of where the caller is, at doors that count; for counting only
