"""``loop.sock_*``: waiting for a socket of the program's own, and every way to stop waiting."""

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import weakref

import pytest


@contextlib.contextmanager
def pair(kind=socket.SOCK_STREAM):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(each) for each in socket.socketpair(type=kind)]
        for each in sockets:
            each.setblocking(False)
        yield sockets


def test_data_that_is_there_is_received_without_a_turn(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        with pair() as (left, right):
            right.send(b"there")
            receiving = loop.sock_recv(left, 100)
            with pytest.raises(StopIteration) as stopped:
                receiving.send(None)
            return asyncio.iscoroutine(receiving), stopped.value.value

    assert same_on_both(scenario) == (True, b"there")


def test_data_is_waited_for_again_and_again(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        with pair() as (left, right):
            got = []
            for number in range(50):
                loop.call_later(0.0005 * (number % 3), right.send, b"%d" % number)
                got.append(await loop.sock_recv(left, 100))
            buffer = bytearray(100)
            loop.call_later(0.001, right.send, b"into")
            got.append(await loop.sock_recv_into(left, buffer))
            loop.call_later(0.001, right.close)
            got += [bytes(buffer[:4]), await loop.sock_recv(left, 100)]
            return got

    assert same_on_both(scenario)[-3:] == [4, b"into", b""]


def test_much_data_is_sent_and_received_at_once(same_on_both):
    async def scenario(kind):
        loop = asyncio.get_running_loop()
        block = bytes(range(256)) * 8192
        with pair() as (left, right):

            async def drain(sock):
                received = bytearray()
                while len(received) < len(block):
                    received += await loop.sock_recv(sock, 1 << 20)
                return received == block

            return await asyncio.gather(
                loop.sock_sendall(left, kind(block)),
                loop.sock_sendall(right, kind(block)),
                drain(left),
                drain(right),
            )

    for kind in (bytes, bytearray, memoryview):
        assert same_on_both(scenario, kind) == [None, None, True, True]


def test_after_much_data_each_socket_gets_its_own(same_on_both):
    """A receive after one that had much reads straight into its object: streams, datagrams, nothing, the end."""

    async def scenario():
        loop = asyncio.get_running_loop()
        much, size = bytes(range(256)) * 512, 1 << 17
        told = []

        async def receive_much():
            await loop.sock_sendall(left, much)
            told.append(await loop.sock_recv(right, size) == much)

        with pair() as (left, right), pair(socket.SOCK_DGRAM) as (sender, receiver):
            for sock in (left, right):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * size)
            for wanted in (1, size, 4 * size, 0):
                await receive_much()
                await loop.sock_sendall(left, b"little")
                told.append(await loop.sock_recv(right, wanted))
                if wanted < 6:
                    told.append(await loop.sock_recv(right, 6))
            await receive_much()
            for text in (b"one", b"", b"two"):
                sender.send(text)
            told += [await loop.sock_recv(receiver, size) for _ in range(3)]
            await receive_much()
            later = asyncio.create_task(loop.sock_recv(right, size))
            await asyncio.sleep(0)
            left.send(b"later")
            told.append(await later)
            await receive_much()
            left.close()
            told.append(await loop.sock_recv(right, size))
            right.close()
            try:
                await loop.sock_recv(right, size)
            except (OSError, ValueError) as error:
                told.append(type(error).__name__)
        return told

    told = same_on_both(scenario)
    assert told.count(True) == 7
    assert b"later" in told


def test_a_wait_that_is_cancelled_loses_nothing(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        with pair() as (left, right):
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(loop.sock_recv(left, 100), 0.002)
            right.send(b"after")
            await asyncio.sleep(0.002)
            got = [await loop.sock_recv(left, 100)]
            watched = (loop.remove_reader(left), loop.remove_writer(left))
            # Full, so that it has to wait.
            with contextlib.suppress(BlockingIOError):
                while True:
                    left.send(bytes(1 << 16))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(loop.sock_sendall(left, b"x"), 0.002)
            return got, watched, (loop.remove_reader(left), loop.remove_writer(left))

    assert same_on_both(scenario) == ([b"after"], (False, False), (False, False))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_cancelled_wait_keeps_no_socket_alive(run):
    async def scenario():
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        left.setblocking(False)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(loop.sock_recv(left, 100), 0.002)
        alive = weakref.ref(left)
        fd = left.fileno()
        del left
        await asyncio.sleep(0)
        gc.collect()
        assert alive() is None
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
        right.close()

    run(scenario())


def test_the_next_socket_of_a_number_gets_its_own_data(run):
    async def scenario():
        loop = asyncio.get_running_loop()
        numbers = set()
        for round_ in range(200):
            left, right = socket.socketpair()
            left.setblocking(False)
            numbers.add(left.fileno())
            receiving = loop.create_task(loop.sock_recv(left, 100))
            await asyncio.sleep(0)
            if round_ % 3 == 0:
                # Closed while it waits: the wait goes on until it is cancelled, as in asyncio.
                left.close()
                await asyncio.sleep(0)
                assert not receiving.done()
                receiving.cancel()
                await asyncio.wait([receiving])
            else:
                right.send(b"%d" % round_)
                assert await asyncio.wait_for(receiving, 10) == b"%d" % round_
            left.close()
            right.close()
        assert len(numbers) < 20

    run(scenario())


def test_a_number_that_waited_is_used_by_a_transport_next(run):
    async def scenario():
        loop = asyncio.get_running_loop()
        for _ in range(20):
            left, right = socket.socketpair()
            left.setblocking(False)
            loop.call_later(0.001, right.send, b"x")
            await loop.sock_recv(left, 1)
            left.close()
            right.close()
            left, right = socket.socketpair()
            reader, writer = await asyncio.open_connection(sock=left)
            right.send(b"line\n")
            assert await asyncio.wait_for(reader.readline(), 10) == b"line\n"
            with pytest.raises(RuntimeError, match="is used by transport"):
                await loop.sock_recv(left, 1)
            writer.close()
            await writer.wait_closed()
            right.close()

    run(scenario())


def test_readers_and_waits_share_a_descriptor(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        with pair() as (left, right):
            told = []
            loop.add_writer(left, lambda: told.append("writable") or loop.remove_writer(left))
            loop.call_later(0.003, right.send, b"data")
            data = await loop.sock_recv(left, 100)
            loop.add_reader(left, lambda: told.append(left.recv(100)) or loop.remove_reader(left))
            right.send(b"more")
            await asyncio.sleep(0.005)
            waiting = loop.create_task(loop.sock_recv(left, 100))
            await asyncio.sleep(0)
            loop.add_writer(left, lambda: told.append("again") or loop.remove_writer(left))
            await asyncio.sleep(0.005)
            right.send(b"last")
            return data, told, await waiting

    assert same_on_both(scenario) == (b"data", ["writable", b"more", "again"], b"last")


def test_what_is_not_a_plain_socket_is_asked_itself(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()

        class Traced(socket.socket):
            calls = 0

            def recv(self, *args):
                self.calls += 1
                return super().recv(*args)

        left, right = socket.socketpair()
        with Traced(fileno=left.detach()) as left, right:
            left.setblocking(False)
            loop.call_later(0.001, right.send, b"x")
            return await loop.sock_recv(left, 1), left.calls

    assert same_on_both(scenario) == (b"x", 2)


@pytest.mark.parametrize("debug", [False, True])
def test_bad_arguments_are_refused_in_asyncios_words(same_on_both, debug):
    async def scenario():
        loop = asyncio.get_running_loop()
        refusals = []

        async def refuse(call):
            try:
                refusals.append(("done", repr(await call)))
            except Exception as error:
                refusals.append((type(error).__name__, str(error)))

        closed = socket.socket()
        closed.close()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with pair() as (left, right), pair() as (blocking, _), pair() as (third, _):
            blocking.setblocking(True)
            right.send(b"12345678")
            for call in (
                loop.sock_recv(left, -1),
                loop.sock_recv(left, 0),
                loop.sock_recv(left, "3"),
                loop.sock_recv(left, None),
                loop.sock_recv(left, True),
                loop.sock_recv_into(left, bytearray(2)),
                loop.sock_recv_into(left, bytearray()),
                loop.sock_recv_into(left, b"fixed"),
                loop.sock_sendall(left, "text"),
                loop.sock_sendall(left, b""),
                loop.sock_recv(closed, 1),
                loop.sock_sendall(closed, b"x"),
            ):
                await refuse(call)
            if debug:
                await refuse(loop.sock_recv(blocking, 1))
                await refuse(loop.sock_sendall(blocking, b"x"))
            with context.wrap_socket(third, do_handshake_on_connect=False, server_side=False) as wrapped:
                await refuse(loop.sock_recv(wrapped, 1))
                await refuse(loop.sock_sendall(wrapped, b"x"))
            left.close()
            with contextlib.suppress(ConnectionError):
                await loop.sock_sendall(right, b"x")
            await refuse(loop.sock_sendall(right, b"x" * 1000))
        return refusals

    same_on_both(scenario, debug=debug)
