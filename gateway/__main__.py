"""`python -m gateway`: the command line, and the processes that the gateway starts of itself."""

import sys


def main() -> int:
    """Choose by the first word; each kind of process imports only what it needs."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word == "worker":
        from gateway.running.worker import main as worker

        return worker(sys.argv[2:])
    if word == "appoint":
        from gateway.running.appoint import main as appoint

        return appoint(sys.argv[2:])
    if word == "prepare":
        from gateway.cards import search
        from gateway.registry.workshop import run_prepare
        from gateway.web import prepared

        return run_prepare(
            sys.argv[2:],
            lambda draft: {"search": search.prepared(draft), **prepared.hall_pages(draft)},
        )
    from gateway.cli.main import main as command_line

    return command_line()


if __name__ == "__main__":
    raise SystemExit(main())
