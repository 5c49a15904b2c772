"""What a loop looks like from outside: parameters, texts, private lists, pickling, the import."""

import asyncio
import inspect
import pickle
import sys
import weakref

import ourio


def test_methods_have_asyncios_parameters():
    """Every public method can be called as asyncio's, by name and by position."""
    public = [name for name in dir(asyncio.SelectorEventLoop) if not name.startswith("_")]
    # Its keywords differ by version; a test of task factories has them.
    public.remove("create_task")
    for name in public:
        stock = getattr(asyncio.SelectorEventLoop, name)
        ours = getattr(ourio.EventLoop, name)
        if not callable(stock) or ours is stock:
            continue
        expected = [p.name for p in inspect.signature(stock).parameters.values()]
        found = [p.name for p in inspect.signature(ours).parameters.values()]
        assert found == expected, name


def test_texts(same_on_both):
    def plain(text, loop):
        return text.replace(type(loop).__name__, "Loop").split(" at 0x")[0]

    async def scenario():
        loop = asyncio.get_running_loop()

        def callback(argument):
            pass

        handle = loop.call_soon(callback, 1)
        timer = loop.call_at(12345.5, callback, 2)
        texts = [repr(handle), repr(timer), plain(repr(loop), loop)]
        handle.cancel(), timer.cancel()
        texts += [repr(handle), repr(timer)]
        return texts

    same_on_both(scenario)


def test_loops_and_handles_are_not_pickled_but_weakly_referenced(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        handle, timer = loop.call_soon(print), loop.call_later(1000, print)
        outcomes = [weakref.ref(thing)() is thing for thing in (loop, handle, timer)]
        for thing in (loop, handle, timer):
            try:
                pickle.dumps(thing)
            except (TypeError, AttributeError, pickle.PicklingError):
                outcomes.append("refused")
        handle.cancel(), timer.cancel()
        return outcomes

    assert same_on_both(scenario) == [True] * 3 + ["refused"] * 3


def test_importing_changes_nothing():
    import subprocess

    script = """
import asyncio, ssl, socket
before = [dict(vars(module)) for module in (asyncio, ssl, socket, asyncio.base_events, ssl.SSLContext, asyncio.streams)]
import ourio
after = [dict(vars(module)) for module in (asyncio, ssl, socket, asyncio.base_events, ssl.SSLContext, asyncio.streams)]
print(all(b[k] is a.get(k) for b, a in zip(before, after) for k in b))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_private_lists_tell_what_waits(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(delay, print) for delay in (1000, 10, 100)]
        timers[2].cancel()
        soon = loop.call_soon(print)
        seen = [
            soon in loop._ready,
            loop._scheduled[0] is timers[1],
            timers[0] in loop._scheduled,
            loop._default_executor,
            loop._clock_resolution > 0,
        ]
        for timer in timers:
            timer.cancel()
        return seen

    assert same_on_both(scenario) == [True, True, True, None, True]
