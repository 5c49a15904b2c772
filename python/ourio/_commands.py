"""What the command ``ourio`` does with a program: run it, and look into it."""

import argparse
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import ourio


def run_program(arguments: list[str]) -> int:
    """Run ``SCRIPT [ARGS ...]`` or ``-m MODULE [ARGS ...]`` with Ourio as asyncio's loop.

    Returns:
        The exit status: 0, or 2 if there is no such script. A program that ends with ``sys.exit`` has its own.
    """
    program = _program(arguments)
    if program is None:
        return 2
    program()
    return 0


def _program(arguments: list[str]) -> Callable[[], object] | None:
    """What runs a script or a module; ``None``, and said so, if there is none."""
    if arguments and arguments[0] == "-m":
        if len(arguments) < 2:
            print("ourio: -m needs the name of a module", file=sys.stderr)
            return None
        return lambda: _run_module(*arguments[1:])
    if not arguments or arguments[0].startswith("-"):
        print("ourio: the name of a script is missing", file=sys.stderr)
        return None
    script = arguments[0]
    if not Path(script).exists():
        print(f"ourio: can't open file {script!r}: No such file or directory", file=sys.stderr)
        return None
    return lambda: _run_script(*arguments)


def _run_module(module: str, *rest: str) -> None:
    _use_ourio()
    sys.argv = [module, *rest]
    sys.path.insert(0, "")
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _run_script(script: str, *rest: str) -> None:
    _use_ourio()
    sys.argv = [script, *rest]
    # As `python SCRIPT` does: modules beside the script come first.
    sys.path.insert(0, str(Path(script).resolve().parent))
    runpy.run_path(script, run_name="__main__")


def _use_ourio() -> None:
    """Make Ourio the loop of the whole process: the program was started to have it."""
    if sys.version_info < (3, 16):
        ourio.install()


def _doctor(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="ourio doctor",
        description="Run a program with everything on, and end with what is wrong with it, where, and what helps.",
    )
    parser.add_argument("--threshold", type=_positive, default=0.1, help="seconds that a turn of the loop may take")
    parser.add_argument("--shutdown", type=_positive, default=1.0, help="seconds that the program's end may take")
    parser.add_argument("--json", metavar="FILE", help="write the findings for programs too; - is the standard output")
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="SCRIPT | -m MODULE", help="and its arguments")
    options = parser.parse_args(arguments)
    program = _program(options.program)
    if program is None:
        return 2
    from ourio._insight import doctor

    return doctor.run(program, options.threshold, options.shutdown, options.json)


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError("a positive number of seconds is expected")
    return number


#: The commands, each with what does it.
COMMANDS: dict[str, Callable[[list[str]], int]] = {"doctor": _doctor}


def main(command: str, arguments: list[str]) -> int:
    """Carry out a command.

    Returns:
        The exit status.
    """
    return COMMANDS[command](arguments)
