"""Stalls: turns of a loop that take too long, and what the loop is blocked by meanwhile."""

from ourio._insight.stalls.watchdog import Stall, Watchdog

__all__ = ["Stall", "Watchdog"]
