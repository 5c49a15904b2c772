"""The flight recorder writes what a loop has done, in a form that Perfetto reads."""

import asyncio
import collections
import contextlib
import gc
import time

import ourio
import pytest


def fields(data):
    """The fields of a protobuf message: numbers with lists of values."""
    found, place = collections.defaultdict(list), 0

    def varint():
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(data):
        key = varint()
        match key & 7:
            case 0:
                found[key >> 3].append(varint())
            case 1:
                found[key >> 3].append(int.from_bytes(data[place : place + 8], "little"))
                place += 8
            case 2:
                size = varint()
                found[key >> 3].append(data[place : place + size])
                place += size
            case other:
                raise AssertionError(f"wire type {other}")
    return found


Slice = collections.namedtuple("Slice", "name category track start end task begins ends")


def read(trace):
    """The slices of a trace, and the names of its tracks."""
    slices, open_slices, tracks = [], {}, {}
    for packet in map(fields, fields(trace)[1]):
        for descriptor in map(fields, packet[60]):
            tracks[descriptor[1][0]] = descriptor[2][0].decode()
        for event in map(fields, packet[11]):
            track, (time_ns,) = event[11][0], packet[8]
            if event[9] == [1]:
                task = [fields(annotation)[3][0] for annotation in event[4]]
                open_slices[track] = Slice(
                    event[23][0].decode(),
                    event[22][0].decode(),
                    tracks[track],
                    time_ns,
                    None,
                    *(task or [None]),
                    event[47],
                    event[48],
                )
            else:
                slices.append(open_slices.pop(track)._replace(end=time_ns))
    assert not open_slices
    return slices


def record(main, **options):
    with asyncio.Runner(loop_factory=ourio.EventLoop) as runner:
        recorder = ourio.FlightRecorder(runner.get_loop(), **options)
        with recorder:
            runner.run(main())
            return read(recorder.trace())


async def child():
    await asyncio.sleep(0.01)


def named(slices, name):
    return [one for one in slices if one.name.endswith(name)]


def test_steps_callbacks_jobs_and_collections_are_slices_that_do_not_overlap():
    async def main():
        asyncio.get_running_loop().call_soon(callback)
        await asyncio.gather(child(), child())
        await asyncio.to_thread(time.sleep, 0.02)
        gc.collect()

    def callback():
        time.sleep(0.01)

    slices = record(main)
    assert len(named(slices, "child")) == 4
    assert len({one.task for one in named(slices, "child")}) == 2
    (slow,) = named(slices, ".callback")
    assert (slow.category, slow.end - slow.start >= 10_000_000) == ("callback", True)
    (job,) = [one for one in slices if one.category == "executor"]
    assert (job.name, job.track) == ("sleep", "executor thread 1")
    assert job.end - job.start >= 20_000_000
    assert [one.name for one in slices if one.category == "gc"]
    on_loop = sorted((one for one in slices if one.track.startswith("event loop")), key=lambda one: one.start)
    for before, after in zip(on_loop, on_loop[1:], strict=False):
        assert before.end <= after.start


def test_an_arrow_leads_from_what_made_or_woke_a_task_to_its_step():
    async def main():
        event = asyncio.Event()

        async def waits():
            await event.wait()

        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(sets, event)
        await task

    def sets(event):
        event.set()

    slices = record(main)
    first, second = named(slices, "waits")
    (setting,) = named(slices, "sets")
    begun = {flow: one.name for one in slices for flow in one.begins}
    assert begun[first.ends[0]].endswith("main")
    # The event's future wakes the task in a callback of its own, which the setting has scheduled.
    assert second.ends
    assert begun[second.ends[0]]
    assert setting.start < second.start


def test_input_is_a_slice_too():
    async def main():
        async def echo(reader, writer):
            writer.write(await reader.read(10))
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"x")
        await reader.read()
        writer.close()
        server.close()

    slices = record(main)
    assert [one for one in slices if one.category == "io"]
    assert named(slices, "echo")


def test_the_ring_keeps_the_last_and_its_size():
    async def main():
        for _ in range(1000):
            await asyncio.sleep(0)

    slices = record(main, capacity=50)
    assert len(slices) <= 50
    with pytest.raises(ValueError, match="capacity"):
        record(main, capacity=0)


def test_it_is_written_when_the_loop_is_closed(tmp_path):
    file = tmp_path / "trace.pftrace"
    with asyncio.Runner(loop_factory=ourio.EventLoop) as runner:
        ourio.FlightRecorder(runner.get_loop(), on_close=file).start()
        runner.run(child())
    assert named(read(file.read_bytes()), "child")


def test_it_is_written_at_a_stall(tmp_path):
    async def main():
        time.sleep(0.2)
        await asyncio.sleep(0.1)

    with asyncio.Runner(loop_factory=ourio.EventLoop) as runner:
        loop = runner.get_loop()
        ourio.Watchdog(loop, 0.05).start()
        ourio.FlightRecorder(loop, on_stall=tmp_path).start()
        runner.run(main())
    (file,) = tmp_path.iterdir()
    assert max(named(read(file.read_bytes()), "main"), key=lambda one: one.end - one.start)


def test_nothing_is_recorded_before_and_after():
    loop = ourio.new_event_loop()
    recorder = ourio.FlightRecorder(loop)
    with pytest.raises(RuntimeError, match="nothing is recorded"):
        recorder.trace()
    with recorder:
        assert loop._is_recording
    assert not loop._is_recording
    assert recorder._collecting not in gc.callbacks
    loop.close()
    with pytest.raises(RuntimeError, match="closed"):
        recorder.start()


def test_programs_do_the_same_while_they_are_recorded():
    order = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.call_soon(order.append, 1)
        with contextlib.suppress(ZeroDivisionError):
            await asyncio.get_running_loop().run_in_executor(None, lambda: 1 / 0)
        handle = loop.call_soon(order.append, 2)
        handle.cancel()
        task = loop.create_task(child(), name="named")
        assert task.get_name() == "named"
        await task
        failed = []
        loop.set_exception_handler(lambda _loop, context: failed.append(context["message"]))
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(failed) == 1

    record(main)
    assert order == [1]


def test_a_recorder_may_be_replaced_while_a_callback_is_recorded():
    async def main():
        loop = asyncio.get_running_loop()
        first, second = ourio.FlightRecorder(loop), ourio.FlightRecorder(loop)
        first.start()
        done = loop.create_future()

        def replace():
            first.stop()
            second.start()
            loop.call_soon(done.set_result, None)

        loop.call_soon(lambda: None)
        loop.call_soon(replace)
        await done
        trace = second.trace()
        second.stop()
        return trace

    assert b"replace" not in ourio.run(main())
