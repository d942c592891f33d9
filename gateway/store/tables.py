"""The ledger's tables (SQLAlchemy Core), within what SQLite and PostgreSQL share.

Instants are UTC integer microseconds, ids UUIDv7 text, digests SHA-256 hex. A column of bytes named
`sealed`, `answer` or `row` holds a value sealed by `gateway.store.sealing`; `wrapped` and `dek` hold
a key wrapped by the KEK. A change here needs a migration; a test compares the two.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only in a column that is exactly INTEGER.
_Serial: Final = BigInteger().with_variant(Integer(), "sqlite")

citizen = Table(
    "citizen",
    metadata,
    Column("id", Text, primary_key=True),
    Column("upstream", Text, nullable=False),
    Column("sub_index", Text, nullable=False),  # Keys.blind("citizen", upstream, sub)
    Column("dek", LargeBinary, nullable=False),  # wrapped; erasing it erases the person
    Column("level", Integer, nullable=False),  # assurance at the last sign-in
    Column("status", Text, nullable=False),  # active | suspended | erased
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("upstream", "sub_index"),
)

preference = Table(
    "preference",
    metadata,
    Column("citizen", ForeignKey("citizen.id"), primary_key=True),
    Column("name", Text, primary_key=True),  # look | favourites | recents
    Column("sealed", LargeBinary, nullable=False),  # JSON, under the citizen's own key
    Column("at", BigInteger, nullable=False),
)

consent = Table(
    "consent",
    metadata,
    Column("id", Text, primary_key=True),
    Column("citizen", ForeignKey("citizen.id"), nullable=False),
    Column("department", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("items", Text, nullable=False),  # JSON list of data item ids, sorted
    Column("manifest_digest", Text, nullable=False),  # what exactly was shown and agreed to
    Column("given", BigInteger, nullable=False),
    Column("withdrawn", BigInteger, index=True),  # empty: stands
    Index(None, "citizen", "service"),
)

blob = Table(
    "blob",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("bytes", LargeBinary, nullable=False),
)

revision = Table(
    "revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # base + 1, so without gaps
    Column("base", Integer, nullable=False, unique=True),  # the compare-and-swap: one child each
    Column("manifest", Text, nullable=False),  # JSON {path: sha256}
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

staff = Table(
    "staff",
    metadata,
    Column("citizen", ForeignKey("citizen.id"), primary_key=True),
    Column("role", Text, primary_key=True),
    Column("scope", Text, primary_key=True, default=""),  # a department, a tester group; "": all
    Column("granted_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

key = Table(
    "key",
    metadata,
    Column("id", Text, primary_key=True),  # the JWK thumbprint where it is published
    Column("use", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),  # next | current | past | withdrawn
    Column("at", BigInteger, nullable=False),
)

revocation = Table(
    "revocation",
    metadata,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("session", Text),  # digest of the session token
    Column("citizen", Text),  # both empty: every session older than `at` (after a restore)
    Column("at", BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)

disclosure = Table(
    "disclosure",
    metadata,
    Column("citizen", ForeignKey("citizen.id"), primary_key=True),
    Column("service", Text, primary_key=True),
    Column("department", Text, primary_key=True),
    Column("items", Text, primary_key=True),  # JSON list of data item ids, sorted
    Column("day", Text, primary_key=True),  # the city's date, YYYY-MM-DD
    Column("count", Integer, nullable=False),
    Column("last", BigInteger, nullable=False),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Text, primary_key=True),
    Column("number", Text, nullable=False, unique=True),  # the receipt
    Column("key", Text, nullable=False, unique=True),  # digest of the idempotency key
    Column("citizen", ForeignKey("citizen.id")),  # empty: signed out
    Column("service", Text, nullable=False, default=""),
    Column("trace", Text, nullable=False, default=""),
    Column("sealed", LargeBinary, nullable=False),  # the text
    Column("state", Text, nullable=False, default="new"),  # new | read | answered
    Column("answer", LargeBinary),
    Column("answered_by", Text),
    Column("answered_at", BigInteger),
    Column("at", BigInteger, nullable=False, index=True),
)

dropped = Table(
    "dropped",
    metadata,
    Column("plugin", Text, primary_key=True),
    Column("file", Text, primary_key=True),  # the drop's name; replaced whole
    Column("line", Integer, primary_key=True),
    Column("file_digest", Text, nullable=False),
    Column("key_hmac", Text, nullable=False),  # Keys.blind("dropped", plugin, key)
    Column("row", LargeBinary, nullable=False),  # sealed
    Column("as_of", BigInteger, nullable=False),
    Index(None, "plugin", "key_hmac"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 … without gaps
    Column("at", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("json", Text, nullable=False),  # canonical: sorted keys, no spaces, UTF-8
    Column("prev", Text, nullable=False),
    Column("hash", Text, nullable=False),
    CheckConstraint("seq > 0", name="seq"),
)

secret = Table(
    "secret",
    metadata,
    Column("name", Text, primary_key=True),  # data | index | pairwise
    Column("wrapped", LargeBinary, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),  # one more at each change of holder
)
