"""`python -m gateway.simulated --state DIR`: start the simulated city."""

import argparse
import sys
from pathlib import Path

from gateway.simulated.serve import die_with_parent, run


def main() -> int:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m gateway.simulated", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder of everything it keeps")
    parser.add_argument("--ports-from", type=int, default=18100, help="first port (18100)")
    parser.add_argument("--free-ports", action="store_true", help="take whatever ports are free")
    parser.add_argument(
        "--gateway-url", default="http://localhost:8080", help="where citizens find the gateway"
    )
    parser.add_argument("--control", action="store_true", help="answer /control/… on the panel")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--fast", action="store_true", help="real-estate answers at once")
    parser.add_argument(
        "--redirect-uri",
        action="append",
        default=[],
        help="one more redirect address at the identity platform",
    )
    parser.add_argument("--parent", type=int, help="process to end with; by default whose child")
    asked = parser.parse_args()
    die_with_parent(asked.parent)
    return run(
        asked.state,
        host=asked.host,
        first=None if asked.free_ports else asked.ports_from,
        gateway=asked.gateway_url,
        control=asked.control,
        fast=asked.fast,
        redirects=asked.redirect_uri,
    )


if __name__ == "__main__":
    sys.exit(main())
