"""Handles of what waits in the ready queue: it waits there without them, and they act as if it were they that wait."""

import asyncio
import contextvars
import gc
import random
import sys
import threading
import weakref

import ourio
import pytest

VARIABLE = contextvars.ContextVar("variable", default="unset")
SCHEDULES = ["call_soon", "call_soon_threadsafe"]


class Held:
    """Something that a callback holds."""

    def use(self, *arguments):
        pass


@pytest.fixture(params=SCHEDULES)
def schedule(request, loop):
    """A method of the loop."""
    return getattr(loop, request.param)


def turn(loop):
    loop.call_soon(loop.stop)
    loop.run_forever()


@pytest.mark.parametrize("count", range(5))
def test_what_is_cancelled_does_not_run_and_lets_go_of_all_at_once(loop, schedule, count):
    held = [Held() for _ in range(count + 1)]
    gone = [weakref.ref(one) for one in held]
    handle = schedule(held[0].use, *held[1:])
    handle.cancel()
    del held
    assert [one() for one in gone] == [None] * (count + 1)
    assert (handle.cancelled(), handle._callback, handle._args) == (True, None, None)
    assert "cancelled" in repr(handle)
    turn(loop)


def test_any_of_many_is_cancelled_at_any_time(loop, schedule):
    dice = random.Random(1)
    ran, handles, cancelled = [], {}, set()

    def run(number):
        ran.append(number)
        # What runs already, what runs next, what waits for the next turn, and what is over.
        for other in (number, number + 1, dice.choice(list(handles)), len(handles) - 1):
            if other in handles and dice.random() < 0.3:
                handles[other].cancel()
                if other not in ran:
                    cancelled.add(other)
        if len(handles) < 2000:
            post()

    def post():
        number = len(handles)
        handles[number] = (
            schedule(run, *([number] if number % 3 else [])) if number % 3 else schedule(lambda: run(number))
        )

    for _ in range(100):
        post()
    while len(ran) + len(cancelled) < len(handles):
        turn(loop)
    assert cancelled
    assert ran
    assert sorted(ran + list(cancelled)) == sorted(handles)
    assert ran == sorted(ran)


def test_a_hundred_thousand_are_cancelled_from_either_end(loop, schedule):
    seen = []
    handles = [schedule(seen.append, number) for number in range(100_000)]
    for handle in (*handles[:40_000], *reversed(handles[60_000:])):
        handle.cancel()
    turn(loop)
    assert seen == list(range(40_000, 60_000))


def test_a_handle_that_is_kept_is_still_one_of_its_callback_when_that_has_run(loop, schedule):
    seen = []
    handle = schedule(seen.append, "once")
    turn(loop)
    assert (seen, handle._callback, handle._args) == (["once"], seen.append, ("once",))
    assert not handle.cancelled()
    later = schedule(seen.append, "later")
    handle.cancel()
    turn(loop)
    assert seen == ["once", "later"]
    assert (handle.cancelled(), later.cancelled()) == (True, False)


def test_a_callback_that_cancels_its_own_handle_runs_to_its_end(loop, schedule):
    seen = []

    def callback():
        handle.cancel()
        seen.append((handle.cancelled(), handle._callback))
        gc.collect()
        seen.append("to the end")

    handle = schedule(callback)
    turn(loop)
    assert seen == [(True, None), "to the end"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")
def test_a_handle_gives_the_context_in_which_its_callback_runs(loop, schedule):
    seen = []
    handle = schedule(lambda: seen.append(VARIABLE.get()))
    handle.get_context().run(VARIABLE.set, "set through the handle")
    given = contextvars.copy_context()
    other = schedule(lambda: seen.append(VARIABLE.get()), context=given)
    assert other.get_context() is given
    turn(loop)
    assert seen == ["set through the handle", "unset"]


def test_what_is_reported_of_a_callback_that_raises_has_its_handle(loop, schedule, reports):
    def fail(*arguments):
        raise LookupError(*arguments)

    handles = [schedule(fail, *range(count)) for count in range(4)]
    turn(loop)
    assert [report["exception"].args for report in reports] == [(), (0,), (0, 1), (0, 1, 2)]
    for report, handle in zip(reports, handles, strict=True):
        reported = report["handle"]
        assert isinstance(reported, asyncio.Handle)
        assert reported == handle
        assert hash(reported) == hash(handle)
        assert (repr(reported), reported._args) == (repr(handle), handle._args)
        assert type(reported) is type(handle)
    assert len({*handles, *(report["handle"] for report in reports)}) == 4


def test_handles_are_equal_to_themselves_only(loop):
    handles = [
        loop.call_soon(print),
        loop.call_soon(print),
        loop.call_soon_threadsafe(print),
        loop.call_later(9, print),
    ]
    other = ourio.new_event_loop()
    handles.append(other.call_soon(print))
    for place, one in enumerate(handles):
        assert [one == another for another in handles] == [place == number for number in range(len(handles))]
        assert one != "something else"
        one.cancel()
    other.close()


def test_what_waits_can_be_looked_at_and_cancelled_there(loop, schedule):
    seen = []
    handles = [schedule(seen.append, number) for number in range(3)]
    assert list(loop._ready) == handles
    loop._ready[1].cancel()
    turn(loop)
    assert seen == [0, 2]


def test_a_cycle_through_a_handle_is_garbage_before_and_after_it_has_run(loop, schedule):
    def make():
        held = Held()
        held.handle = schedule(held.use, held)
        return weakref.ref(held)

    ran = make()
    assert ran() is not None
    gc.collect()
    assert ran() is not None, "it waits"
    turn(loop)
    gc.collect()
    assert ran() is None
    cancelled = make()
    cancelled().handle.cancel()
    gc.collect()
    assert cancelled() is None


@pytest.mark.filterwarnings("ignore:unclosed event loop:ResourceWarning")
def test_a_loop_that_is_garbage_with_what_waits_in_it_is_collected():
    loop = ourio.new_event_loop()
    held = Held()
    held.loop = loop
    held.handle = loop.call_soon(held.use)
    loop.call_soon_threadsafe(held.use, held)
    loop.call_soon(held.use, held, held)
    gone = weakref.ref(held), weakref.ref(loop)
    del loop, held
    gc.collect()
    assert [one() for one in gone] == [None, None]


def test_handles_end_with_a_closed_loop(schedule, loop):
    held = Held()
    gone = weakref.ref(held)
    handle = schedule(held.use)
    del held
    loop.close()
    assert gone() is not None, "the handle has it"
    handle.cancel()
    assert gone() is None


def test_a_thread_cancels_what_it_has_scheduled(loop):
    """Some run before: all others do not, and nothing else is hit."""
    seen, cancelled = [], []
    ended = threading.Event()

    def work():
        for number in range(3000):
            handle = loop.call_soon_threadsafe(seen.append, number)
            if number % 2:
                handle.cancel()
                cancelled.append(number)
        ended.set()
        loop.call_soon_threadsafe(loop.stop)

    thread = threading.Thread(target=work)
    thread.start()
    loop.run_forever()
    thread.join()
    assert ended.is_set()
    assert seen == sorted(seen)
    assert set(seen) >= set(range(0, 3000, 2))


def test_debug_mode_knows_where_a_handle_was_made(loop, schedule):
    loop.set_debug(True)
    seen = []
    handle = schedule(seen.append, 1)
    assert __file__ in str(handle._source_traceback)
    cancelled = schedule(seen.append, 2)
    cancelled.cancel()
    assert "created at" in repr(handle)
    assert handle in loop._ready
    turn(loop)
    assert seen == [1]


def test_an_empty_context_is_a_context(same_on_both):
    variable = contextvars.ContextVar("variable", default="default")

    async def scenario():
        variable.set("set")
        loop = asyncio.get_running_loop()
        seen = []
        empty = contextvars.Context()
        loop.call_soon(lambda: seen.append(variable.get()), context=empty)
        loop.call_later(0, lambda: seen.append(variable.get()), context=empty)
        loop.call_soon_threadsafe(lambda: seen.append(variable.get()), context=empty)
        await asyncio.sleep(0.01)
        return seen

    assert same_on_both(scenario) == ["default"] * 3


def test_a_handle_that_is_cancelled_while_it_runs(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        seen = []

        class Argument:
            pass

        argument = Argument()
        reference = weakref.ref(argument)

        def callback(argument):
            handle.cancel()
            seen.append((handle.cancelled(), handle._callback, repr(handle)))

        handle = loop.call_soon(callback, argument)
        del argument
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gc.collect()
        return seen, reference() is None, repr(handle)

    assert same_on_both(scenario)[1]


def test_cycles_through_handles_are_collected(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()

        class Owner:
            def start(self, schedule, *when):
                self.handle = schedule(*when, self.ring)

            def ring(self):
                pass

        references = []
        for schedule, when in (
            (loop.call_soon, ()),
            (loop.call_soon_threadsafe, ()),
            (loop.call_later, (0,)),
            (loop.call_later, (1000,)),
        ):
            owner = Owner()
            owner.start(schedule, *when)
            references.append(weakref.ref(owner))
        owner.handle.cancel()
        del owner
        gc.collect()
        # All but the cancelled one are the loop's to call.
        waiting = [reference() is not None for reference in references]
        await asyncio.sleep(0.01)
        gc.collect()
        return waiting, [reference() is None for reference in references]

    assert same_on_both(scenario) == ([True, True, True, False], [True] * 4)


def test_a_loop_that_is_dropped_with_pending_handles_is_collected():
    loop = ourio.new_event_loop()
    reference = weakref.ref(loop)
    loop.call_soon(loop.stop)
    loop.call_later(1000, loop.stop)
    loop.call_soon_threadsafe(loop.stop)
    del loop
    with pytest.warns(ResourceWarning, match="unclosed event loop"):
        gc.collect()
    assert reference() is None
