"""`python -m gateway`: the command line, and the processes that the gateway starts of itself."""

import sys


def main() -> int:
    """Choose by the first word; each kind of process imports only what it needs."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word == "worker":
        from gateway.running.worker import main as worker

        return worker(sys.argv[2:])
    if word == "prepare":
        from gateway.app import prepare

        return prepare(sys.argv[2:])
    from gateway.cli.main import main as command_line

    return command_line()


if __name__ == "__main__":
    raise SystemExit(main())
