"""``Reports``: what went wrong, and in debug mode what was slow, in asyncio's words."""

import inspect
from asyncio import base_events, format_helpers
from collections.abc import Callable
from typing import Any

from ourio._loop.native import NativeLoop

_FORMATS_BY_DEBUG = "debug" in inspect.signature(format_helpers._format_callback_source).parameters


class Reports(NativeLoop):
    """Nothing that cannot be raised is swallowed: it goes to the loop's exception handler."""

    #: Called with all that is reported to the exception handler, before that.
    _report_listener: Callable[[dict[str, Any]], object] | None = None

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report what went wrong to the loop's exception handler."""
        if self._report_listener is not None:
            self._report_listener(context)
        super().call_exception_handler(context)

    def _callback_failed(self, handle: Any, exc: BaseException) -> None:
        """Report what a callback has raised, in asyncio's words."""
        callback = self._format_callback(handle._callback, handle._args or ())
        context = {"message": f"Exception in callback {callback}", "exception": exc, "handle": handle}
        if handle._source_traceback:
            context["source_traceback"] = handle._source_traceback
        self.call_exception_handler(context)

    def _format_callback(self, callback: Any, args: Any) -> str:
        if _FORMATS_BY_DEBUG:
            # asyncio (gh-103714): arguments may hold secrets, so they are shown in debug mode only.
            return format_helpers._format_callback_source(callback, args, debug=self._debug)
        return format_helpers._format_callback_source(callback, args)

    def _run_timed(self, handle: Any) -> None:
        """Run a handle in debug mode, and name it if it was slow."""
        self._current_handle = handle
        try:
            started = self.time()
            handle._run()
            took = self.time() - started
            if took >= self.slow_callback_duration:
                base_events.logger.warning(  # type: ignore[attr-defined]
                    "Executing %s took %.3f seconds",
                    base_events._format_handle(handle),  # type: ignore[attr-defined]
                    took,
                )
        finally:
            self._current_handle = None
            # asyncio: a traceback that outlives this frame must not keep the handle, hence its task.
            del handle

    def _name_if_slow(self, transport: Any, took: float) -> None:
        """Name a transport whose protocol was slow, in debug mode."""
        if took >= self.slow_callback_duration:
            base_events.logger.warning(  # type: ignore[attr-defined]
                "Executing %r took %.3f seconds", transport, took
            )
