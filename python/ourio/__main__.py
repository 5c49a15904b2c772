"""``python -m ourio SCRIPT [ARGS]`` and the command ``ourio``: run a program whose loops are Ourio's."""

import runpy
import sys

import ourio

_USAGE = """\
usage: ourio [--version] [-h] SCRIPT [ARGS ...]
       ourio -m MODULE [ARGS ...]

Run a Python program with Ourio as asyncio's event loop. The program itself stays as it is.
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
        case ["-m", module, *rest]:
            _use_ourio()
            sys.argv = [module, *rest]
            sys.path.insert(0, "")
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            return 0
        case [script, *rest] if not script.startswith("-"):
            _use_ourio()
            sys.argv = [script, *rest]
            return _run_script(script)
        case _:
            print(_USAGE, end="", file=sys.stderr)
            return 2


def _run_script(script: str) -> int:
    from pathlib import Path

    if not Path(script).exists():
        print(f"ourio: can't open file {script!r}: No such file or directory", file=sys.stderr)
        return 2
    # As `python SCRIPT` does: modules beside the script come first.
    sys.path.insert(0, str(Path(script).resolve().parent))
    runpy.run_path(script, run_name="__main__")
    return 0


def _use_ourio() -> None:
    """Make Ourio the loop of the whole process: the program was started to have it."""
    if sys.version_info < (3, 16):
        ourio.install()


if __name__ == "__main__":
    sys.exit(main())
