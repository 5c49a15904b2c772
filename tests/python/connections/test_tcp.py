"""TCP: connecting, serving, flow control, half-close, errors; what a transport promises its protocol."""

import asyncio
import errno
import gc
import os
import socket

import ourio
import pytest


class Recorder(asyncio.Protocol):
    """Writes down which of its methods is called, in order."""

    def __init__(self):
        self.calls = []
        self.data = bytearray()
        self.lost = asyncio.get_running_loop().create_future()
        self.made = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.calls.append("made")
        self.made.set_result(None)

    def data_received(self, data):
        assert type(data) is bytes
        self.data += data
        self.calls.append("data")

    def eof_received(self):
        self.calls.append("eof")

    def pause_writing(self):
        self.calls.append("pause")

    def resume_writing(self):
        self.calls.append("resume")

    def connection_lost(self, exc):
        self.calls.append("lost")
        self.lost.set_result(exc)


async def connected(server_factory=Recorder, client_factory=Recorder):
    """A server with one connection: (server, its protocol, the client's protocol)."""
    loop = asyncio.get_running_loop()
    accepted = loop.create_future()

    def factory():
        protocol = server_factory()
        accepted.set_result(protocol)
        return protocol

    server = await loop.create_server(factory, "127.0.0.1", 0)
    _, client = await loop.create_connection(client_factory, *server.sockets[0].getsockname())
    served = await accepted
    await served.made
    return server, served, client


async def closed(server, *protocols):
    for protocol in protocols:
        protocol.transport.close()
        await protocol.lost
    server.close()
    # `wait_closed` is not waited for here: in 3.12.1 it never returns once connections have gone.
    await asyncio.sleep(0)


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


@pytest.mark.filterwarnings("ignore:.*unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_factory_that_raises_does_not_stop_the_server(run):
    """asyncio leaves the accepted socket to the garbage collector, which closes it with a warning."""

    async def main():
        loop = asyncio.get_running_loop()
        reports = []
        loop.set_exception_handler(lambda _loop, context: reports.append(context))
        count = 0

        def factory():
            nonlocal count
            count += 1
            if count == 1:
                raise LookupError("factory")
            return Recorder()

        server = await loop.create_server(factory, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        _, client = await loop.create_connection(Recorder, *address)
        client.transport.close()
        await client.lost
        server.close()
        await asyncio.sleep(0)
        gc.collect()

    run(main())


@pytest.mark.filterwarnings("ignore:.*unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_factory_for_a_client_that_raises_reaches_the_caller(run):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recorder, "127.0.0.1", 0)
        with pytest.raises(LookupError):
            await loop.create_connection(lambda: [][1:0] or {}["x"], *server.sockets[0].getsockname())
        await asyncio.sleep(0.005)
        server.close()

    run(main())


def test_a_refused_connection_is_an_error(run):
    async def main():
        loop = asyncio.get_running_loop()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            address = unused.getsockname()
            with pytest.raises(ConnectionRefusedError):
                await loop.create_connection(Recorder, *address)

    run(main())


def test_happy_eyeballs_connects_to_whichever_answers(run):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Recorder, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        transport, client = await loop.create_connection(
            Recorder, "localhost", port, happy_eyeballs_delay=0.05, interleave=1
        )
        transport.close()
        await client.lost
        server.close()

    run(main())


def test_names_are_resolved(run):
    async def main():
        loop = asyncio.get_running_loop()
        infos = await loop.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        assert infos == socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)
        assert await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV) == (
            "127.0.0.1",
            "80",
        )
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("127.0.0.1", "no such service")

    run(main())


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


@pytest.mark.parametrize(
    ("listens", "connects"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "::ffff:127.0.0.1"), ("unix", "unix"), ("own", "127.0.0.1")],
)
def test_what_is_accepted_is_what_asyncio_accepts(same_on_both, tmp_path, listens, connects):
    async def scenario():
        loop = asyncio.get_running_loop()
        accepted = loop.create_future()

        class Told(asyncio.Protocol):
            def connection_made(self, transport):
                sock = transport.get_extra_info("socket")
                family, kind, protocol = sock.family, sock.type, sock.proto
                is_tcp = family != socket.AF_UNIX
                peer = transport.get_extra_info("peername")
                told = {
                    "made as": (family, kind, protocol),
                    "timeout": sock.gettimeout(),
                    "inherited": os.get_inheritable(sock.fileno()),
                    "nodelay": bool(is_tcp and sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)),
                    "peer": (peer[0], *peer[2:]) if is_tcp else peer,
                    "named as the kernel does": peer == sock.getpeername(),
                }
                accepted.set_result(told)
                transport.close()

        if listens == "unix":
            address = str(tmp_path / f"{type(loop).__module__}.sock")
            server = await loop.create_unix_server(Told, address)
        else:
            # A socket of the program's own is of protocol 0, for which asyncio leaves Nagle's algorithm on.
            host = "127.0.0.1" if listens == "own" else listens
            dual = {"family": socket.AF_INET6, "dualstack_ipv6": True} if listens == "::" else {}
            own = socket.create_server((host, 0), **dual) if listens in ("own", "::") else None
            where = {"sock": own} if own is not None else {"host": host, "port": 0}
            server = await loop.create_server(Told, **where)
            address = (connects, server.sockets[0].getsockname()[1])
        with socket.socket(socket.AF_UNIX if listens == "unix" else server.sockets[0].family) as client:
            client.setblocking(False)
            await loop.sock_connect(client, address)
            told = await accepted
        server.close()
        await server.wait_closed()
        return told

    same_on_both(scenario)


def test_an_accepted_socket_can_be_handed_over(run):
    async def main():
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            peer = socket.create_connection(listener.getsockname())
            accepted, _ = listener.accept()
        transport, protocol = await loop.connect_accepted_socket(Recorder, accepted)
        peer.sendall(b"hello")
        peer.close()
        await protocol.lost
        assert protocol.data == b"hello"

    run(main())


def test_a_descriptor_in_use_by_a_transport_is_refused(run):
    async def main():
        loop = asyncio.get_running_loop()
        server, served, client = await connected()
        fd = client.transport.get_extra_info("socket").fileno()
        for call in (loop.add_reader, loop.add_writer):
            with pytest.raises(RuntimeError, match="is used by transport"):
                call(fd, print)
        for call in (loop.remove_reader, loop.remove_writer):
            with pytest.raises(RuntimeError, match="is used by transport"):
                call(fd)
        await closed(server, client, served)

    run(main())


def test_a_socket_closed_behind_the_transports_back_touches_nobody_else(run):
    async def main():
        server, served, client = await connected()
        owner = client.transport._sock
        owner.close()
        # The number is free, so the next socket gets it.
        ours, peer = socket.socketpair()
        client.transport.write(b"must not reach the peer")
        await client.lost
        assert isinstance(client.lost.result(), OSError)
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(100)
        ours.send(b"still ours")
        assert peer.recv(100) == b"still ours"
        ours.close()
        peer.close()
        await closed(server, served)

    run(main())


def test_readers_and_writers(run):
    async def main():
        loop = asyncio.get_running_loop()
        ours, peer = socket.socketpair()
        seen = []
        loop.add_reader(ours, seen.append, "old reader")
        loop.add_reader(ours.fileno(), lambda: (seen.append(ours.recv(10)), loop.remove_writer(ours)))
        loop.add_writer(ours, seen.append, "writable")
        await asyncio.sleep(0.001)
        assert set(seen) == {"writable"}
        peer.send(b"data")
        await asyncio.sleep(0.001)
        assert seen[-1] == b"data"
        assert loop.remove_reader(ours)
        assert not loop.remove_reader(ours)
        assert not loop.remove_writer(ours)
        for wrong in ("text", object(), -1):
            with pytest.raises((ValueError, TypeError)):
                loop.add_reader(wrong, print)
        ours.close()
        peer.close()

    run(main())


def test_a_regular_file_cannot_be_watched(run, tmp_path):
    async def main():
        with (tmp_path / "file").open("w") as file, pytest.raises(PermissionError):
            asyncio.get_running_loop().add_reader(file, print)

    run(main())


def test_a_server_out_of_descriptors_recovers(run, monkeypatch):
    import resource
    from asyncio import constants

    monkeypatch.setattr(constants, "ACCEPT_RETRY_DELAY", 0.05)

    async def main():
        loop = asyncio.get_running_loop()
        reports = []
        loop.set_exception_handler(lambda _loop, context: reports.append(context))
        server = await loop.create_server(Recorder, "127.0.0.1", 0)
        client = socket.socket()
        client.setblocking(False)
        highest = client.fileno()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        held = []
        try:
            while True:
                held.append(socket.socket())
        except OSError:
            pass
        try:
            await loop.sock_connect(client, server.sockets[0].getsockname())
            await asyncio.sleep(0.02)
            assert reports[0]["message"] == "socket.accept() out of system resource"
            # Stock asyncio goes on through its backlog and says it a hundred times.
            assert len(reports) == 1 or type(loop) is not ourio.EventLoop
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for each in held:
                each.close()
        await asyncio.sleep(0.1)
        client.close()
        await asyncio.sleep(0.01)
        server.close()
        await asyncio.sleep(0)

    run(main())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_server_and_its_connections_are_collected_together_in_silence(monkeypatch):
    complaints = []
    monkeypatch.setattr("sys.unraisablehook", complaints.append)

    class Kept(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport

    async def main(loop):
        accepted = loop.create_future()

        def factory():
            accepted.set_result(None)
            return Kept()

        server = await loop.create_server(factory, "127.0.0.1", 0)
        _, client = await loop.create_connection(Kept, *server.sockets[0].getsockname())
        await accepted
        await asyncio.sleep(0.01)
        # A cycle, so that the collector takes them all apart.
        client.server, server.client, server.loop = server, client, loop

    loop = ourio.new_event_loop()
    loop.run_until_complete(main(loop))
    loop.close()
    del loop
    gc.collect()
    assert not complaints
