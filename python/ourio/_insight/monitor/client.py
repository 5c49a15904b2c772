"""The other side of the monitor: finds a process and asks it."""

import http.client
import json
import os
import socket
import sys
import tempfile
import time
from typing import Any
from urllib.parse import quote

from ourio import _ourio

# For so long an answer is waited for, and a process that is to let us in.
_PATIENCE = 5.0


class NoAnswer(Exception):
    """A process that cannot be asked; says why."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("ourio", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_PATIENCE)
        self.sock.connect(self._path)


def ask(path: str, page: str) -> Any:
    """Ask the monitor at a socket.

    Raises:
        NoAnswer: Nobody answers there, or the program cannot tell now.
    """
    connection = _Connection(path)
    try:
        connection.request("GET", page)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"nobody answers at {path}: {error}") from None
    finally:
        connection.close()
    if response.status != 200:
        raise NoAnswer(body.decode(errors="replace"))
    answer = json.loads(body)
    if isinstance(answer, dict) and "error" in answer:
        raise NoAnswer(answer["error"])
    return answer


def monitored() -> list[tuple[int, str, str]]:
    """The processes of this user that can be asked: number, program, socket."""
    found = []
    folder = os.path.dirname(_ourio._socket_of(1))
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    for name in names:
        number, _, kind = name.partition(".")
        if kind == "sock" and number.isdecimal():
            path = os.path.join(folder, name)
            try:
                found.append((int(number), str(ask(path, "/api/state")["program"]), path))
            except NoAnswer:
                # It ended without time to tidy up.
                continue
    return found


def find(wanted: str | None) -> str:
    """The socket of a process by its number or its program's name; the only one there is if ``None``.

    Raises:
        NoAnswer: There is none, or more than one of that name.
    """
    if wanted is not None and wanted.isdecimal():
        path = _ourio._socket_of(int(wanted))
        if not os.path.exists(path):
            _attach(int(wanted))
        return path
    processes = monitored()
    named = [one for one in processes if wanted is None or wanted in one[1]]
    if len(named) == 1:
        return named[0][2]
    if not named:
        raise NoAnswer(
            (f"no program named {wanted!r}" if wanted else "no program")
            + " is monitored: start it with `ourio run --monitor`, ourio.run(..., monitor=True) or OURIO_MONITOR=1"
        )
    listed = "\n".join(f"  {number}  {program}" for number, program, _ in named)
    raise NoAnswer(f"more than one program is monitored; name one by its number:\n{listed}")


_SCRIPT = """\
import sys
if "ourio" in sys.modules:
    from ourio._insight import monitor
    monitor.show_process()
"""


def _attach(process: int) -> None:
    """Have a process that was not prepared show itself."""
    if not os.path.exists(f"/proc/{process}"):
        raise NoAnswer(f"there is no process {process}")
    prepared = "start it with `ourio run --monitor`, ourio.run(..., monitor=True) or OURIO_MONITOR=1"
    if sys.version_info < (3, 14):
        raise NoAnswer(f"process {process} was not prepared, and can be asked only from Python 3.14 on: {prepared}")
    with tempfile.NamedTemporaryFile("w", suffix=".py", prefix="ourio-", delete=False) as script:
        script.write(_SCRIPT)
    # It is read by that process, which may be another user's if this one is root.
    os.chmod(script.name, 0o644)
    try:
        _attach_with(process, script.name, prepared)
    finally:
        os.unlink(script.name)


def _attach_with(process: int, script: str, prepared: str) -> None:
    try:
        sys.remote_exec(process, script)  # type: ignore[attr-defined,unused-ignore]
    except PermissionError:
        raise NoAnswer(
            f"the system does not allow to look into process {process} (it takes CAP_SYS_PTRACE, or"
            f" kernel.yama.ptrace_scope=0): {prepared}"
        ) from None
    except (OSError, RuntimeError) as error:
        raise NoAnswer(
            f"process {process} cannot be looked into ({error}); it must run the same version of Python: {prepared}"
        ) from None
    path = _ourio._socket_of(process)
    end = time.monotonic() + _PATIENCE
    while not (os.path.exists(path) and _shows_loops(path)):
        if time.monotonic() > end:
            raise NoAnswer(
                f"process {process} did not let us in within {_PATIENCE:.0f} s: it does not use Ourio, or runs no"
                f" Python code at the moment (its loop sleeps, or native code is at work): {prepared}"
            )
        time.sleep(0.05)


def _shows_loops(path: str) -> bool:
    try:
        return bool(ask(path, "/api/state")["loops"])
    except NoAnswer:
        return False


def quoted(name: str) -> str:
    """A name as a query's argument."""
    return quote(name, safe="")
