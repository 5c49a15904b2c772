"""Ourio: asyncio, rebuilt in Rust.

``ourio.run(main())`` runs a program as ``asyncio.run`` does, on a native event loop. Everything else of a
program stays ``import asyncio``. Importing this package changes nothing in ``asyncio`` or ``ssl``.
"""

import sys as _sys

from ourio import _ourio

# Before 3.12 the interpreter hands one native module to all interpreters of a process.
_ourio._check_interpreter()

from ourio._insight.deadlock import Deadlock, DeadlockError, StuckTask  # noqa: E402
from ourio._insight.exporters import export_metrics  # noqa: E402
from ourio._insight.recorder import FlightRecorder  # noqa: E402
from ourio._insight.stalls import Stall, Watchdog  # noqa: E402
from ourio._loop import EventLoop, Metrics  # noqa: E402
from ourio._ourio import __version__  # noqa: E402
from ourio._runner import new_event_loop, run  # noqa: E402

__all__ = [
    "Deadlock",
    "DeadlockError",
    "EventLoop",
    "FlightRecorder",
    "Metrics",
    "Stall",
    "StuckTask",
    "Watchdog",
    "__version__",
    "export_metrics",
    "new_event_loop",
    "run",
]

if _sys.version_info < (3, 16):
    # Python 3.16 removes event loop policies.
    from ourio._policy import EventLoopPolicy, install

    __all__ += ["EventLoopPolicy", "install"]
