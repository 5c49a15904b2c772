"""Stalls: turns of a loop that take too long, and what the loop is blocked by meanwhile."""

from ourio._insight.stalls.stall import Stall
from ourio._insight.stalls.watchdog import Watchdog

__all__ = ["Stall", "Watchdog"]
