"""call_soon, call_later, call_at, call_soon_threadsafe: order, contexts, handles."""

import asyncio
import contextvars
import gc
import math
import threading
import weakref

import pytest

VARIABLE = contextvars.ContextVar("variable", default="unset")


def turns(loop, count=1):
    for _ in range(count):
        loop.call_soon(loop.stop)
        loop.run_forever()


def test_callbacks_run_first_in_first_out(loop):
    seen = []
    for number in range(10):
        loop.call_soon(seen.append, number)
    turns(loop)
    assert seen == list(range(10))


def test_a_callback_scheduled_by_a_callback_runs_in_the_next_turn(loop):
    seen = []
    loop.call_soon(lambda: (seen.append(1), loop.call_soon(seen.append, 3)))
    loop.call_soon(seen.append, 2)
    turns(loop)
    assert seen == [1, 2]
    turns(loop)
    assert seen == [1, 2, 3]


def test_any_number_of_arguments(loop):
    seen = []
    for count in range(6):
        loop.call_soon(lambda *args: seen.append(args), *range(count))
    turns(loop)
    assert seen == [tuple(range(count)) for count in range(6)]


def test_a_callback_runs_in_a_copy_of_the_context(loop):
    seen = []
    VARIABLE.set("outer")
    loop.call_soon(lambda: (seen.append(VARIABLE.get()), VARIABLE.set("inner")))
    loop.call_soon(lambda: seen.append(VARIABLE.get()))
    turns(loop)
    assert seen == ["outer", "outer"]
    VARIABLE.set("unset")


def test_a_given_context_is_used_even_if_it_is_empty(loop):
    seen = []
    context = contextvars.Context()
    VARIABLE.set("outer")
    for schedule in (loop.call_soon, loop.call_soon_threadsafe):
        schedule(lambda: seen.append(VARIABLE.get()), context=context)
    loop.call_later(0, lambda: seen.append(VARIABLE.get()), context=context)
    turns(loop, 3)
    assert seen == ["unset"] * 3
    VARIABLE.set("unset")


def test_a_context_that_is_none_of_any_kind_is_an_error(loop):
    loop.call_soon(print, context=None)
    turns(loop)
    with pytest.raises(TypeError):
        loop.call_soon(print, contexts=None)


def test_a_cancelled_callback_does_not_run(loop):
    seen = []
    handle = loop.call_soon(seen.append, 1)
    assert isinstance(handle, asyncio.Handle)
    assert not handle.cancelled()
    handle.cancel()
    handle.cancel()
    assert handle.cancelled()
    turns(loop)
    assert seen == []


def test_a_cancelled_handle_lets_its_callback_go(loop):
    class Callback:
        def __call__(self):
            pass

    callback = Callback()
    gone = weakref.ref(callback)
    for handle in (loop.call_soon(callback), loop.call_later(1000, callback)):
        handle.cancel()
    del callback
    gc.collect()
    assert gone() is None


def test_timers_fire_in_order_of_their_deadlines(loop):
    seen = []
    for delay in (0.03, 0.01, 0.02):
        loop.call_later(delay, seen.append, delay)
    loop.call_later(0.04, loop.stop)
    loop.run_forever()
    assert seen == [0.01, 0.02, 0.03]


def test_a_timer_is_never_early(loop):
    late = []
    for delay in (0.0001, 0.0007, 0.001, 0.0101):
        when = loop.time() + delay
        loop.call_at(when, lambda when=when: late.append(loop.time() - when))
    loop.call_later(0.03, loop.stop)
    loop.run_forever()
    resolution = 1e-9 if "ourio" in type(loop).__module__ else loop._clock_resolution
    assert len(late) == 4
    assert min(late) >= -resolution


def test_a_timer_handle_is_a_timer_handle_whatever_the_delay(loop):
    for delay in (-1, 0, 0.0001, 1, 5, math.inf):
        before = loop.time()
        handle = loop.call_later(delay, print)
        assert isinstance(handle, asyncio.TimerHandle)
        assert handle.when() >= before + delay
        assert isinstance(handle, asyncio.Handle)
        handle.cancel()
        assert handle.cancelled()


def test_a_timer_handle_knows_whether_it_waits(loop):
    fired, cancelled = loop.call_later(0, print), loop.call_later(10, print)
    assert fired._scheduled
    assert cancelled._scheduled
    turns(loop, 2)
    cancelled.cancel()
    assert not fired._scheduled
    assert cancelled.cancelled()
    fired.cancel()


def test_timer_handles_compare_and_hash_by_their_deadline(loop):
    early, late = loop.call_at(10.0, print), loop.call_at(20.0, print)
    assert early < late
    assert late > early
    assert early <= late
    assert late >= early
    assert early == early  # noqa: PLR0124
    assert early != late
    assert hash(early) == hash(10.0)
    early.cancel()
    late.cancel()


def test_a_negative_delay_is_due_at_once_and_in_order_of_deadlines(loop):
    seen = []
    loop.call_later(-1, seen.append, "one second ago")
    loop.call_later(-2, seen.append, "two seconds ago")
    loop.call_soon(seen.append, "soon")
    turns(loop, 2)
    assert seen == ["soon", "two seconds ago", "one second ago"]


def test_an_infinite_delay_never_comes_and_not_a_number_comes_at_once(loop):
    seen = []
    never = loop.call_later(math.inf, seen.append, "inf")
    turns(loop, 2)
    assert seen == []
    never.cancel()
    loop.call_later(math.nan, seen.append, "nan")
    turns(loop, 2)
    assert seen == ["nan"]


def test_a_huge_delay_is_clamped_not_refused(loop):
    handle = loop.call_later(1e30, print)
    loop.call_later(0.001, loop.stop)
    loop.run_forever()
    handle.cancel()


@pytest.mark.parametrize("delay", [None, "1", object(), [1]])
def test_a_delay_that_is_no_number_is_a_type_error(loop, delay):
    with pytest.raises(TypeError):
        loop.call_later(delay, print)


def test_the_callback_is_required(loop):
    for call in (loop.call_soon, loop.call_soon_threadsafe, lambda: loop.call_later(1), lambda: loop.call_at(1)):
        with pytest.raises(TypeError, match="callback"):
            call()


def test_another_thread_wakes_the_loop(loop):
    seen = []
    thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(lambda: (seen.append(1), loop.stop())))
    loop.call_soon(thread.start)
    loop.run_forever()
    thread.join()
    assert seen == [1]


def test_many_threads_lose_nothing_and_keep_their_order(loop):
    seen = []

    def send(name):
        for number in range(500):
            loop.call_soon_threadsafe(seen.append, (name, number))
        loop.call_soon_threadsafe(done)

    left = 8

    def done():
        nonlocal left
        left -= 1
        if not left:
            loop.stop()

    threads = [threading.Thread(target=send, args=(name,)) for name in range(8)]
    loop.call_soon(lambda: [thread.start() for thread in threads])
    loop.run_forever()
    for thread in threads:
        thread.join()
    assert len(seen) == 4000
    for name in range(8):
        assert [number for who, number in seen if who == name] == list(range(500))


def test_a_handle_says_what_it_is(loop):
    def callback():
        pass

    handle = loop.call_soon(callback)
    assert "callback" in repr(handle)
    assert repr(handle).startswith("<Handle ") or "Handle" in repr(handle)
    timer = loop.call_later(5, callback)
    assert repr(timer).startswith("<TimerHandle when=")
    timer.cancel()
    assert "cancelled" in repr(timer)
    assert weakref.ref(handle)() is handle
    handle.cancel()


def test_what_is_ready_can_be_looked_at(loop):
    handle = loop.call_soon(print)
    assert list(loop._ready) == [handle]
    handle.cancel()


def test_sleep_zero_interleaves_strictly(run):
    seen = []

    async def worker(name):
        for number in range(3):
            seen.append((name, number))
            await asyncio.sleep(0)

    async def main():
        await asyncio.gather(worker("a"), worker("b"))

    run(main())
    assert seen == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_a_chain_of_callbacks_does_not_starve_a_descriptor(loop):
    import socket

    ours, peer = socket.socketpair()
    ours.setblocking(False)
    chained = 0

    def chain():
        nonlocal chained
        chained += 1
        loop.call_soon(chain)
        if chained == 10:
            peer.send(b"x")

    loop.add_reader(ours, loop.stop)
    loop.call_soon(chain)
    loop.run_forever()
    loop.remove_reader(ours)
    ours.close()
    peer.close()
    assert chained < 10_000


def test_a_sleep_that_is_scheduled_by_hand_is_a_timer_like_any(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        set_result = asyncio.futures._set_result_unless_cancelled
        reports = []
        loop.set_exception_handler(lambda _, context: reports.append(repr(context["exception"])))

        class Own(asyncio.Future):
            def set_result(self, result):
                super().set_result((result, "own"))

        plain, own, cancelled, done, stopped = (loop.create_future() for _ in range(5))
        own = Own(loop=loop)
        handles = [
            loop.call_later(0.001, set_result, future, number)
            for number, future in enumerate((plain, own, cancelled, done, stopped))
        ]
        seen = [isinstance(handles[0], asyncio.TimerHandle), handles[0]._args == (plain, 0)]
        seen += [handles[0]._callback is set_result, type(handles[0]._context).__name__, handles[0].cancelled()]
        cancelled.cancel()
        done.set_result("before")
        handles[4].cancel()
        seen += [handles[4]._args, handles[4]._callback, handles[4].cancelled()]
        handles.append(loop.call_at(loop.time(), set_result, loop.create_future()))
        await asyncio.sleep(0.01)
        seen += [plain.result(), own.result(), cancelled.cancelled(), done.result(), stopped.done()]
        return seen, reports

    same_on_both(scenario)
