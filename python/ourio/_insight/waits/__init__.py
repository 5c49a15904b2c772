"""What a task waits for, where, and who holds it: read from the program's own objects, at no cost before it is asked.

Nothing here runs code of the program, but for the ``repr`` of nothing at all: names and lines are all that is told.
All of it needs the interpreter's lock, which its functions keep: they may be called from any thread.
"""

from ourio._insight.waits.chain import place, stack
from ourio._insight.waits.circles import cycles
from ourio._insight.waits.entered import has_deadline, owners
from ourio._insight.waits.wait import Wait, wait_of

__all__ = ["Wait", "cycles", "has_deadline", "owners", "place", "stack", "wait_of"]
