"""What the command ``ourio`` does with a program: run it, and look into it."""

import argparse
import base64
import functools
import ipaddress
import json
import os
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ourio._insight import settings


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
        from ourio import _policy

        _policy.install()


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

    if options.json in (None, "-"):
        return doctor.run(program, options.threshold, options.shutdown, sys.stdout if options.json else None)
    try:
        # Found out before the program has run for an hour.
        with open(options.json, "w") as file:
            return doctor.run(program, options.threshold, options.shutdown, file)
    except OSError as error:
        print(f"ourio doctor: {error}", file=sys.stderr)
        return 2


def _positive(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise argparse.ArgumentTypeError("a positive number of seconds is expected")
    return number


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="ourio run", description="Run a program, and let others look into it.")
    parser.add_argument("--monitor", action="store_true", help="let `ourio top` and the other commands look into it")
    parser.add_argument("--tasks", action="store_true", help="note where each task is made too; implies --monitor")
    parser.add_argument(
        "--monitor-http", metavar="ADDRESS:PORT", help="let a browser look into it; implies --monitor; 0 is any port"
    )
    parser.add_argument("--trace", metavar="FILE", help="record what the loop does, and write it there for Perfetto")
    parser.add_argument("--public", action="store_true", help="allow an address that other machines reach")
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="SCRIPT | -m MODULE", help="and its arguments")
    options = parser.parse_args(arguments)
    if options.monitor_http and not (_is_loopback(parser, options.monitor_http) or options.public):
        parser.error("--monitor-http: other machines reach that address; say --public if you mean it")
    program = _program(options.program)
    if program is None:
        return 2
    if options.monitor or options.tasks or options.monitor_http:
        os.environ["OURIO_MONITOR"] = "tasks" if options.tasks else "1"
    if options.monitor_http:
        os.environ["OURIO_MONITOR_HTTP"] = options.monitor_http
    if options.trace:
        try:
            # Found out before the program has run for an hour.
            with open(options.trace, "wb"):
                settings.trace = Path(options.trace).resolve()
        except OSError as error:
            print(f"ourio run: {error}", file=sys.stderr)
            return 2
    program()
    return 0


def _is_loopback(parser: argparse.ArgumentParser, address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        is_loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        is_loopback = None
    if is_loopback is None or not port.isdecimal():
        parser.error(f"--monitor-http: an address and a port are expected, such as 127.0.0.1:8080, not {address!r}")
    return is_loopback


def _look(command: str, arguments: list[str]) -> int:
    """Ask a process, and print its answer."""
    from ourio import _ourio
    from ourio._insight.monitor import client, texts

    parser = argparse.ArgumentParser(prog=f"ourio {command}", description=_LOOKS[command])
    if command == "why":
        parser.add_argument("task", help="the task's name")
    parser.add_argument(
        "process", nargs="?", help="its number, or a part of its program's name; needed if there are more"
    )
    if command != "top":
        parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        path = client.find(options.process)
        match command:
            case "top":
                _ourio._top(path)
                return 0
            case "tasks":
                answer = client.ask(path, "/api/tasks")
                text = texts.tasks(answer)
            case "tree":
                answer = client.ask(path, "/api/tasks")
                text = texts.tree(answer)
            case "why":
                answer = client.ask(path, f"/api/why?task={client.quoted(options.task)}")
                text = texts.why(answer)
            case _:
                answer = client.ask(path, "/api/notes")
                text = texts.notes(answer)
    except (client.NoAnswer, OSError) as error:
        print(f"ourio {command}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer, indent=1) if options.json else text)
    return 0


def _trace(arguments: list[str]) -> int:
    """Record a process for some time, and write that down."""
    from ourio._insight.monitor import client

    parser = argparse.ArgumentParser(
        prog="ourio trace", description="Record what the loops of a process do, for https://ui.perfetto.dev."
    )
    parser.add_argument("process", nargs="?", help="its number, or a part of its program's name")
    parser.add_argument("-o", "--output", default="ourio.pftrace", metavar="FILE", help="default: %(default)s")
    parser.add_argument("-s", "--seconds", type=_positive, default=5.0, help="for how long; default: %(default)s")
    options = parser.parse_args(arguments)
    try:
        path = client.find(options.process)
        client.ask(path, "/api/trace?do=start")
        time.sleep(options.seconds)
        traces = client.ask(path, "/api/trace?do=stop")["traces"]
        for number, (name, trace) in enumerate(traces.items()):
            output = Path(options.output)
            file = output if number == 0 else output.with_stem(f"{output.stem}-{number + 1}")
            with open(file, "wb") as opened:
                opened.write(base64.b64decode(trace["trace"]))
            lost = f", {trace['lost']} older records were overwritten" if trace["lost"] else ""
            print(f"{file}: loop {name}{lost}")
    except (client.NoAnswer, OSError) as error:
        print(f"ourio trace: {error}", file=sys.stderr)
        return 1
    return 0


_LOOKS = {
    "top": "Watch a process: its loops, stalls and tasks.",
    "tasks": "List the tasks of a process, and what each waits for.",
    "tree": "Show who waits for whom in a process.",
    "why": "Say why a task does not go on: what it waits for, what that waits for, and so on.",
    "stalls": "List the stalls, deadlocks and other things that were reported in a process.",
}

#: The commands, each with what does it.
COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "run": _run,
    "doctor": _doctor,
    "trace": _trace,
    **{name: functools.partial(_look, name) for name in _LOOKS},
}


def main(command: str, arguments: list[str]) -> int:
    """Carry out a command.

    Returns:
        The exit status.
    """
    return COMMANDS[command](arguments)
