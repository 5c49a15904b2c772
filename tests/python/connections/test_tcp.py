"""TCP: flow control, half-close, errors; what a transport promises its protocol."""

import asyncio
import errno
import socket

import ourio
import pytest
from tcp_pair import Recorder, closed, connected


def test_bytes_arrive_and_the_calls_are_in_order(run):
    async def main():
        server, served, client = await connected()
        client.transport.write(b"hello ")
        client.transport.write(bytearray(b"wide "))
        client.transport.write(memoryview(b"world"))
        client.transport.writelines([b"!", bytearray(b"?"), memoryview(b".")])
        client.transport.close()
        assert client.transport.is_closing()
        assert client.calls == ["made"], "connection_lost comes later, never from inside close()"
        assert await client.lost is None
        assert await served.lost is None
        assert served.data == b"hello wide world!?."
        assert served.calls[0] == "made"
        assert served.calls[-2:] == ["eof", "lost"]
        await closed(server)

    run(main())


def test_what_a_transport_is(run):
    async def main():
        server, served, client = await connected()
        transport = client.transport
        assert isinstance(transport, asyncio.Transport)
        assert isinstance(transport, asyncio.BaseTransport)
        assert transport.get_protocol() is client
        sock = transport.get_extra_info("socket")
        assert type(sock).__name__ == "TransportSocket"
        assert transport.get_extra_info("peername") == server.sockets[0].getsockname()
        assert transport.get_extra_info("sockname") == served.transport.get_extra_info("peername")
        assert transport.get_extra_info("nothing") is None
        assert transport.get_extra_info("nothing", "default") == "default"
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert transport.can_write_eof()
        assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
        assert f"fd={sock.fileno()}" in repr(transport)
        assert "read=polling" in repr(transport)
        transport.anything = "attributes are accepted"
        await closed(server, client, served)
        assert transport.get_extra_info("peername"), "names are kept for access logs"
        assert "closed" in repr(transport)

    run(main())


@pytest.mark.parametrize("loop_factory", [ourio.new_event_loop], indirect=False)
def test_a_changed_buffer_does_not_change_what_was_written(run):
    """Stock asyncio sends what the buffer holds by then; here it is copied when it is accepted."""

    async def main():
        server, served, client = await connected()
        buffer = bytearray(b"x" * 5_000_000)
        client.transport.write(buffer)
        buffer[:] = b"y" * len(buffer)
        client.transport.write_eof()
        await served.lost
        assert set(served.data) == {ord("x")}
        assert len(served.data) == 5_000_000
        await closed(server, client)

    run(main())


def test_flow_control_pauses_once_and_resumes_once(run):
    async def main():
        server, served, client = await connected()
        served.transport.pause_reading()
        client.transport.set_write_buffer_limits(high=1000, low=100)
        for _ in range(50):
            client.transport.write(b"x" * 1_000_000)
        assert client.calls == ["made", "pause"]
        assert client.transport.get_write_buffer_size() > 1000
        served.transport.resume_reading()
        while "resume" not in client.calls:
            await asyncio.sleep(0.001)
        client.transport.close()
        await served.lost
        assert len(served.data) == 50_000_000
        assert client.calls.count("pause") == client.calls.count("resume") == 1
        await closed(server)

    run(main())


def test_flow_control_marks_are_checked(run):
    async def main():
        server, served, client = await connected()
        limits = client.transport.set_write_buffer_limits
        for high, low in ((1, 2), (-1, None), (None, -1)):
            with pytest.raises(ValueError, match=r"high \(.*\) must be >= low \(.*\) must be >= 0"):
                limits(high=high, low=low)
        limits(high=400)
        assert client.transport.get_write_buffer_limits() == (100, 400)
        limits(low=100)
        assert client.transport.get_write_buffer_limits() == (100, 400)
        await closed(server, client, served)

    run(main())


def test_no_data_arrives_while_reading_is_paused(run):
    async def main():
        server, served, client = await connected()
        transport = served.transport
        transport.pause_reading()
        transport.pause_reading()
        assert not transport.is_reading()
        client.transport.write(b"held back")
        await asyncio.sleep(0.01)
        assert served.data == b""
        transport.resume_reading()
        transport.resume_reading()
        assert transport.is_reading()
        while not served.data:
            await asyncio.sleep(0.001)
        await closed(server, client, served)

    run(main())


def test_a_pause_from_within_data_received_holds_the_next_data(run):
    class Once(Recorder):
        def data_received(self, data):
            super().data_received(data)
            self.transport.pause_reading()

    async def main():
        server, served, client = await connected(server_factory=Once)
        client.transport.write(b"first")
        while not served.data:
            await asyncio.sleep(0.001)
        client.transport.write(b"second")
        await asyncio.sleep(0.01)
        assert served.data == b"first"
        served.transport.resume_reading()
        while served.data == b"first":
            await asyncio.sleep(0.001)
        await closed(server, client, served)

    run(main())


def test_half_close_keeps_the_other_direction(run):
    class HalfOpen(Recorder):
        def eof_received(self):
            super().eof_received()
            return True

    async def main():
        server, served, client = await connected(server_factory=HalfOpen)
        client.transport.write(b"question")
        client.transport.write_eof()
        client.transport.write_eof()
        with pytest.raises(RuntimeError, match=r"Cannot call write\(\) after write_eof\(\)"):
            client.transport.write(b"too late")
        with pytest.raises(RuntimeError, match=r"after write_eof\(\)"):
            client.transport.writelines([b"too late"])
        while "eof" not in served.calls:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        assert served.calls.count("eof") == 1
        served.transport.write(b"answer")
        served.transport.close()
        await client.lost
        assert client.data == b"answer"
        assert served.data == b"question"
        await closed(server)

    run(main())


def test_abort_discards_and_resets(run):
    async def main():
        server, served, client = await connected()
        served.transport.pause_reading()
        for _ in range(20):
            client.transport.write(b"x" * 1_000_000)
        client.transport.abort()
        client.transport.abort()
        assert client.calls[-1] != "lost"
        assert await client.lost is None
        assert client.transport.get_write_buffer_size() == 0
        await closed(server, served)

    run(main())


def test_writing_into_a_lost_connection_is_dropped_and_warned_about(run, caplog):
    async def main():
        server, served, client = await connected()
        client.transport.abort()
        for _ in range(10):
            client.transport.write(b"void")
        await client.lost
        await closed(server, served)

    run(main())
    assert "socket.send() raised exception." in caplog.text


@pytest.mark.parametrize("data", ["text", 42, None, [1], object()])
def test_what_is_no_buffer_is_a_type_error(run, data):
    async def main():
        server, served, client = await connected()
        with pytest.raises(TypeError, match="data argument must be a bytes"):
            client.transport.write(data)
        with pytest.raises(TypeError):
            client.transport.write()
        await closed(server, client, served)

    run(main())


def test_a_reset_reaches_connection_lost_as_its_error(run):
    async def main():
        server, served, client = await connected()
        sock = client.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.transport.abort()
        assert isinstance(await served.lost, ConnectionResetError)
        assert served.lost.result().errno == errno.ECONNRESET
        await closed(server)

    run(main())


@pytest.mark.parametrize("method", ["data_received", "eof_received", "connection_made", "connection_lost"])
def test_a_protocol_method_that_raises_is_reported(run, method):
    async def main():
        reports = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context))

        class Failing(Recorder):
            pass

        def fail(self, *args):
            getattr(Recorder, method)(self, *args)
            raise LookupError(method)

        setattr(Failing, method, fail)
        server, served, client = await connected(server_factory=Failing)
        client.transport.write(b"data")
        await asyncio.sleep(0.005)
        client.transport.close()
        if method != "connection_made":
            await served.lost
        await client.lost
        await asyncio.sleep(0.005)
        assert [str(report["exception"]) for report in reports] == [method]
        if method in ("data_received", "eof_received"):
            assert reports[0]["message"] == f"Fatal error: protocol.{method}() call failed."
            assert reports[0]["transport"] is served.transport
            assert reports[0]["protocol"] is served
            assert isinstance(served.lost.result(), LookupError)
        if method == "connection_made":
            served.transport.close()
            await served.lost
        await closed(server)

    run(main())


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_ends_a_program_ends_it_from_a_protocol_too(loop, kind):
    class Leaving(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

        def data_received(self, data):
            raise kind("bye")

    ours, peer = socket.socketpair()
    transport, _ = loop.run_until_complete(loop.create_connection(Leaving, sock=ours))
    peer.send(b"x")
    with pytest.raises(kind, match="bye"):
        loop.run_forever()
    transport.abort()
    loop.run_until_complete(asyncio.sleep(0))
    peer.close()


def test_a_buffered_protocol_is_filled_in_place(run):
    class Buffered(asyncio.BufferedProtocol):
        def __init__(self):
            self.buffer = bytearray(1000)
            self.received = bytearray()
            self.lost = asyncio.get_running_loop().create_future()
            self.made = asyncio.get_running_loop().create_future()

        def connection_made(self, transport):
            self.transport = transport
            self.made.set_result(None)

        def get_buffer(self, sizehint):
            assert sizehint == -1
            return memoryview(self.buffer)

        def buffer_updated(self, nbytes):
            self.received += self.buffer[:nbytes]

        def connection_lost(self, exc):
            self.lost.set_result(exc)

    async def main():
        server, served, client = await connected(server_factory=Buffered)
        client.transport.write(bytes(range(256)) * 100)
        client.transport.close()
        await served.lost
        assert served.received == bytes(range(256)) * 100
        await closed(server)

    run(main())


@pytest.mark.parametrize("answer", [b"", "text", None, b"read only"])
def test_a_useless_buffer_ends_the_connection_with_a_report(run, answer):
    class Useless(Recorder, asyncio.BufferedProtocol):
        def get_buffer(self, sizehint):
            return answer

        def buffer_updated(self, nbytes):
            raise AssertionError

    async def main():
        reports = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reports.append(context))
        server, served, client = await connected(server_factory=Useless)
        client.transport.write(b"data")
        await served.lost
        assert len(reports) == 1
        await closed(server, client)

    run(main())


def test_a_protocol_can_be_replaced(run):
    async def main():
        server, served, client = await connected()
        other = Recorder()
        served.transport.set_protocol(other)
        assert served.transport.get_protocol() is other
        client.transport.write(b"for the other")
        client.transport.close()
        await other.lost
        assert (bytes(served.data), bytes(other.data)) == (b"", b"for the other")
        await closed(server)

    run(main())


def test_streams(run):
    async def serve(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1_000_000)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for number in range(100):
            writer.write(b"line %d\n" % number)
            assert await reader.readline() == b"LINE %d\n" % number
        writer.write(b"x" * 300_000 + b"\n")
        assert await reader.readexactly(300_001) == b"X" * 300_000 + b"\n"
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        server.close()

    run(main())


def test_a_socket_with_methods_of_its_own_is_used_through_them(same_on_both):
    async def scenario():
        sent, received = [], []

        class Counting(socket.socket):
            def send(self, data, *flags):
                sent.append(len(data))
                return super().send(data, *flags)

            def recv(self, count, *flags):
                received.append(True)
                return super().recv(count, *flags)

        async def echo(reader, writer):
            writer.write(await reader.readexactly(7))
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        sock = Counting(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, server.sockets[0].getsockname())
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(b"counted")
        answer = await reader.readexactly(7)
        writer.close()
        await writer.wait_closed()
        server.close()
        return answer, sent, bool(received)

    assert same_on_both(scenario) == (b"counted", [7], True)
