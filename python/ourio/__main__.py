"""``python -m ourio SCRIPT [ARGS]`` and the command ``ourio``: run a program whose loops are Ourio's."""

import sys

import ourio
from ourio import _commands

_USAGE = """\
usage: ourio [--version] [-h] SCRIPT [ARGS ...]
       ourio -m MODULE [ARGS ...]
       ourio run [--monitor] [--tasks] [--monitor-http ADDRESS:PORT] [--trace FILE] SCRIPT [ARGS ...]
       ourio doctor [--threshold S] [--shutdown S] [--json FILE] SCRIPT [ARGS ...]
       ourio top | tasks | tree | stalls [PROCESS]
       ourio why TASK [PROCESS]
       ourio trace [-o FILE] [-s SECONDS] [PROCESS]

Run a Python program with Ourio as asyncio's event loop, and see why it is slow or stuck. The program itself stays as it
is. Each command has its own --help.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the command's name; ``sys.argv[1:]`` by default.

    Returns:
        The exit status: 0, or 2 for a wrong call. A program that ends with ``sys.exit`` has its own.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    match arguments:
        case ["-h" | "--help", *_]:
            print(_USAGE, end="")
            return 0
        case ["--version", *_]:
            print(f"ourio {ourio.__version__} on Python {sys.version.split()[0]}")
            return 0
        case [command, *rest] if command in _commands.COMMANDS:
            return _commands.main(command, rest)
        case ["-m", _, *_]:
            return _commands.run_program(arguments)
        case [script, *_] if not script.startswith("-"):
            return _commands.run_program(arguments)
        case _:
            print(_USAGE, end="", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
