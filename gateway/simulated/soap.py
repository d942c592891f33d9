"""SOAP 1.1 in GB18030 with WS-Security: reading requests strictly, writing answers as old systems do."""

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha1
from typing import Final
from xml.sax.saxutils import escape

from lxml import etree

SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
WSSE: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
QUERY: Final = "http://bdc.anlan.example/query"
_NS: Final = {"s": SOAP, "wsse": WSSE, "wsu": WSU, "q": QUERY}
CONTENT_TYPE: Final = "text/xml;charset=GBK"


class Unreadable(Exception):
    """The request cannot be understood."""


@dataclass(frozen=True, slots=True)
class Token:
    """A UsernameToken as it was sent."""

    user: str
    digest: str
    nonce: str
    created: str

    def proves(self, password: str) -> bool:
        """Whether the digest was made with this password."""
        try:
            nonce = base64.b64decode(self.nonce, validate=True)
        except (binascii.Error, ValueError):
            return False
        made = sha1(
            nonce + self.created.encode() + password.encode()
        ).digest()  # WSS 1.1 says SHA-1
        return hmac.compare_digest(base64.b64encode(made), self.digest.encode())

    def at(self) -> datetime | None:
        """When it was made, if that can be read."""
        try:
            moment = datetime.fromisoformat(self.created)
        except ValueError:
            return None
        return moment if moment.tzinfo else None


@dataclass(frozen=True, slots=True)
class Query:
    """One `queryByOwner`."""

    token: Token | None
    name: str
    number: str


def read(body: bytes, content_type: str) -> Query:
    """A request, decoded by its header's charset, else by its XML declaration.

    Raises:
        Unreadable: with the reason in words.
    """
    found = re.search(r'charset="?([A-Za-z0-9-]+)', content_type) or re.match(
        r'<\?xml[^>]*encoding="([A-Za-z0-9-]+)"', body[:200].decode("latin-1")
    )
    charset = (found.group(1) if found else "utf-8").lower()
    if charset in ("gbk", "gb2312", "gb18030"):
        charset = "gb18030"
    elif charset not in ("utf-8", "utf8"):
        raise Unreadable(f"charset {charset}")
    try:
        text = body.decode(charset)
    except UnicodeDecodeError as error:
        raise Unreadable(f"not {charset}") from error
    if "<!DOCTYPE" in text:
        raise Unreadable("DOCTYPE")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(re.sub(r"^\ufeff?\s*<\?xml[^>]*\?>", "", text).encode(), parser)
    except etree.XMLSyntaxError as error:
        raise Unreadable("no XML") from error
    asked = root.find("s:Body/q:queryByOwner", _NS)
    if asked is None:
        raise Unreadable("no queryByOwner")
    return Query(
        _token(root),
        asked.findtext("q:xm", "", _NS).strip(),
        asked.findtext("q:zjh", "", _NS).strip(),
    )


def _token(root: etree._Element) -> Token | None:
    sent = root.find("s:Header/wsse:Security/wsse:UsernameToken", _NS)
    if sent is None:
        return None

    def part(name: str) -> str:
        return sent.findtext(name, "", _NS).strip()

    return Token(
        part("wsse:Username"), part("wsse:Password"), part("wsse:Nonce"), part("wsu:Created")
    )


def envelope(inner: str) -> bytes:
    """An answer: a document inside a string; labelled GBK, written in GB18030."""
    text = (
        '<?xml version="1.0" encoding="GB18030"?>\n'
        f'<soapenv:Envelope xmlns:soapenv="{SOAP}"><soapenv:Body>'
        f'<ns1:queryByOwnerResponse xmlns:ns1="{QUERY}"><ns1:queryByOwnerReturn><![CDATA['
        f'<?xml version="1.0" encoding="GBK"?>\n{inner}'
        "]]></ns1:queryByOwnerReturn></ns1:queryByOwnerResponse></soapenv:Body></soapenv:Envelope>"
    )
    return text.encode("gb18030")


def fault(code: str, text: str) -> bytes:
    """A SOAP fault."""
    return (
        '<?xml version="1.0" encoding="GB18030"?>\n'
        f'<soapenv:Envelope xmlns:soapenv="{SOAP}"><soapenv:Body><soapenv:Fault>'
        f"<faultcode>soapenv:{code}</faultcode><faultstring>{escape(text)}</faultstring>"
        "</soapenv:Fault></soapenv:Body></soapenv:Envelope>"
    ).encode("gb18030")


WSDL: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" '
    f'targetNamespace="{QUERY}" name="QueryService">'
    '<wsdl:portType name="QueryPort"><wsdl:operation name="queryByOwner"/></wsdl:portType>'
    "</wsdl:definitions>"
).encode()
