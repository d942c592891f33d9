"""The departments' own key pairs, with which their servers redeem tickets: well-known demo keys.

They open nothing but a simulated department; the public halves stand in public_keys.json and in the
demo plugins.
"""

from typing import Final

from joserfc.jwk import ECKey

# fmt: off
_POINTS: Final = {
    "gjj": ("7GMoypLSxZbut9CJp4TWl0OZ6yamD5tT3_lZ1COLR_E", "CC4hzti-QypbXJwhnLBZPbHZn2YEom_QD11v_VAlSFo", "pqCnm_8WWqV-yqvuf4wS3Bof4AFcivaCM8qdZE--B8w"),
    "legal": ("34_pdVKz-_MSgs0Bg6k0VdwDiNSlBCqlFFbX9tEl1DU", "mKWXduQiOb1VtaiD6XU1CNZf8OJVLtyuDCdckalSqpA", "iKPKbsshv_2Nzq3NA6ercfG3axXR-WiL2DXmWG99A54"),
    "property": ("wwCulBMT1oLi3_gq3_nAUq43nfHXWh3kGCbNA_MtwAg", "ESw0AYR5c_-OaU537jdiAJdKFnEm3ckgHKyjJESXBRw", "xW7InbRwO5E_g8yumVBKcKv3gCJ71YQJ7fj7bhyy6UA"),
    "huzheng": ("6O2cRJV_DTZW5GdSOxi8I87W4t6OKgZuLYTEqbsvz0Y", "oti7HZfjyd3EEStSQabtbP3LPUAeMauW47p6kijrSnI", "OUU2HcRQljTm4x-rOQtEJr6u2qJ0Srz8hAXjddrT9eg"),
}
# fmt: on

DEPARTMENTS: Final = tuple(_POINTS)


def department_key(department: str) -> ECKey:
    """The private key of a department's server; its kid is `<department>-demo-1`."""
    x, y, d = _POINTS[department]
    return ECKey.import_key(
        {
            "kty": "EC",
            "crv": "P-256",
            "alg": "ES256",
            "use": "sig",
            "kid": f"{department}-demo-1",
            "x": x,
            "y": y,
            "d": d,
        }
    )


def public_keys() -> dict[str, dict[str, list[dict[str, str]]]]:
    """What public_keys.json holds: department → JWKS."""
    return {
        name: {"keys": [dict(sorted(department_key(name).as_dict(private=False).items()))]}  # type: ignore[arg-type]  # joserfc types every JWK member as str | list
        for name in DEPARTMENTS
    }
