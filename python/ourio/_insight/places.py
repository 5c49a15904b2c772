"""``Place``: a line of a program, and which lines are the program's own, neither a library's nor ours."""

import os
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from types import FrameType, TracebackType

from ourio import _ourio

_PATHS = sysconfig.get_paths()
_LIBRARIES = tuple({os.path.join(_PATHS[name], "") for name in ("stdlib", "platstdlib", "purelib", "platlib")})
#: The folder of this package, as the files in it are known to their code.
PACKAGE = os.path.join(os.path.dirname(_ourio.__file__), "")


@dataclass(frozen=True)
class Place:
    """A line of a program."""

    filename: str
    lineno: int
    function: str

    def __str__(self) -> str:
        return f'"{self.filename}", line {self.lineno}, in {self.function}'


def is_own(filename: str) -> bool:
    """Whether a file is the program's: neither a library's nor ours."""
    return not filename.startswith(("<frozen", *_LIBRARIES, PACKAGE))


def innermost_own(places: Iterable[Place]) -> Place | None:
    """The innermost place in the program's own code; of any code if there is none.

    Args:
        places: The innermost first.
    """
    first = None
    for place in places:
        if is_own(place.filename):
            return place
        first = first or place
    return first


def of_frame(frame: FrameType | None) -> Place | None:
    """The innermost line of the program's own code that a frame was called from; of any code if there is none."""
    places = []
    while frame is not None:
        places.append(Place(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_qualname))
        frame = frame.f_back
    return innermost_own(places)


def of_traceback(trace: TracebackType | None) -> Place | None:
    """The innermost line of the program's own code in a traceback; of any code if there is none."""
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(Place(code.co_filename, trace.tb_lineno, code.co_qualname))
        trace = trace.tb_next
    return innermost_own(reversed(places))
