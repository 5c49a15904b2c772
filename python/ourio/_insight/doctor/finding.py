"""``Finding``: one thing that is wrong with a program."""

from dataclasses import dataclass

from ourio._insight.places import Place


@dataclass
class Finding:
    """One thing that is wrong with a program.

    Attributes:
        kind: ``"stall"``, ``"deadlock"``, ``"lost exception"``, ``"forgotten await"``, ``"flood"``,
            ``"destroyed task"`` or ``"slow shutdown"``.
        text: What was seen.
        filename: The file; ``None`` if no line is to blame.
        lineno: The line.
        function: The function.
        cause: Of a stall, its cause.
        remedy: One sentence on what helps.
        count: How often it was seen.
        seconds: How long it took in all, where that has a meaning.
    """

    kind: str
    text: str
    filename: str | None
    lineno: int | None
    function: str | None
    remedy: str
    cause: str = ""
    count: int = 1
    seconds: float = 0.0


def finding_at(kind: str, text: str, place: Place | None, remedy: str) -> Finding:
    """A finding at a line, if there is one to blame."""
    if place is None:
        return Finding(kind, text, None, None, None, remedy)
    return Finding(kind, text, place.filename, place.lineno, place.function, remedy)
