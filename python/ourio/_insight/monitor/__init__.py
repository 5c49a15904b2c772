"""The monitor: shows the loops of this process to ``ourio top`` and a browser; its client asks another process's."""

from ourio._insight.monitor.monitor import Monitor, show_process

__all__ = ["Monitor", "show_process"]
