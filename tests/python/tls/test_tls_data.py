"""TLS: the bytes of a connection that is up, where Ourio's own code moves them.

Each scenario runs against a raw peer (a blocking ``ssl`` socket in a thread, or memory BIOs), so that what is seen is
one side's behaviour; stock asyncio is the oracle.
"""

import _ssl
import array
import asyncio
import contextlib
import contextvars
import hashlib
import socket
import ssl
import threading
from asyncio import sslproto

import ourio
import pytest
from tls_server import BLOCK, Server

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Peer(threading.Thread):
    """A blocking TLS client in a thread, which runs a conversation given as a function."""

    def __init__(self, context, conversation):
        super().__init__(daemon=True)
        self.context, self.conversation = context, conversation
        self.outcome = None

    def connect(self, address):
        self.address = address
        self.start()

    def run(self):
        with socket.create_connection(self.address, timeout=20) as raw:
            with self.context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=True) as sock:
                try:
                    self.outcome = self.conversation(sock)
                except Exception as error:
                    self.outcome = f"{type(error).__name__}: {error}"


@contextlib.asynccontextmanager
async def talk(contexts, conversation, kind=Server):
    """A server's protocol whose peer has a conversation; both have ended afterwards."""
    loop = asyncio.get_running_loop()
    protocols = []

    def factory():
        protocols.append(kind())
        return protocols[-1]

    reports = []
    loop.set_exception_handler(lambda _, context: reports.append((context["message"], repr(context.get("exception")))))
    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=contexts[0])
    peer = Peer(contexts[1], conversation)
    peer.connect(server.sockets[0].getsockname())
    while not protocols:
        await asyncio.sleep(0.001)
    protocol = protocols[0]
    protocol.reports, protocol.peer = reports, peer
    await protocol.made
    try:
        yield protocol
        await protocol.lost
        await loop.run_in_executor(None, peer.join)
    finally:
        server.close()


def read_all(sock):
    received = bytearray()
    while data := sock.recv(1 << 16):
        received += data
    return len(received), hashlib.sha256(received).hexdigest()


@pytest.mark.parametrize("size", [1, 100, 16384, 16385, 70_000, 1 << 20])
def test_a_write_of_any_size_arrives(same_on_both, contexts, size):
    async def scenario():
        async with talk(contexts, read_all) as protocol:
            protocol.transport.write(BLOCK[:size])
            protocol.transport.close()
        return protocol.peer.outcome

    assert same_on_both(scenario) == (size, hashlib.sha256(BLOCK[:size]).hexdigest())


def test_every_kind_of_buffer_can_be_written(same_on_both, contexts):
    async def scenario():
        async with talk(contexts, read_all) as protocol:
            transport, kinds = protocol.transport, []
            changing = bytearray(b"changing ")
            transport.write(changing)
            transport.write(memoryview(b"a view "))
            transport.write(memoryview(array.array("H", [0x6161, 0x6262, 0x6363])))
            transport.write(b"")
            transport.writelines([b"some ", bytearray(b"mixed "), memoryview(b"lines ")])
            transport.writelines(iter([b"an ", b"", b"iterator"]))
            transport.writelines([])
            transport.writelines([BLOCK[:9000], BLOCK[:9000], BLOCK[:40000], b"end"])
            for wrong in ("text", 1, None, [b"list"]):
                with pytest.raises(TypeError) as refused:
                    transport.write(wrong)
                kinds.append(str(refused.value))
            transport.close()
        return protocol.peer.outcome, kinds

    same_on_both(scenario)


def test_flow_control_pauses_and_resumes_the_protocol(same_on_both, contexts):
    async def scenario(high):
        go = threading.Event()

        def wait_then_read(sock):
            go.wait(20)
            return read_all(sock)

        async with talk(contexts, wait_then_read) as protocol:
            transport = protocol.transport
            transport.set_write_buffer_limits(high=high)
            for _ in range(12):
                transport.write(BLOCK)
            paused = list(protocol.events)
            transport.write(b"more while paused")
            buffered = transport.get_write_buffer_size() > 0
            go.set()
            while transport.get_write_buffer_size() or "resume" not in protocol.events:
                await asyncio.sleep(0.005)
            transport.write(b"again")
            transport.close()
        return protocol.peer.outcome, paused, buffered, protocol.events[:2], protocol.events[-1]

    for high in (0, 1, 1 << 16):
        same_on_both(scenario, high)


def test_reading_that_is_paused_delivers_nothing_and_loses_nothing(same_on_both, contexts):
    def send(sock):
        sock.sendall(BLOCK)
        return sock.recv(10)

    async def scenario():
        class Pausing(Server):
            def data_received(self, data):
                super().data_received(data)
                self.transport.pause_reading()

        async with talk(contexts, send, Pausing) as protocol:
            rounds = 0
            while len(protocol.received) < len(BLOCK):
                before = len(protocol.received)
                await asyncio.sleep(0.002)
                if protocol.transport.is_reading():
                    continue
                assert len(protocol.received) >= before
                rounds += 1
                protocol.transport.resume_reading()
            protocol.transport.resume_reading()
            protocol.transport.write(b"thanks")
            protocol.transport.close()
        # The peer leaves close_notify unread: whether its end is an EOF or a reset is up to the kernel.
        return protocol.peer.outcome, bytes(protocol.received) == BLOCK, rounds > 0

    same_on_both(scenario)


def test_data_and_the_end_in_one_packet(same_on_both, contexts):
    def send_and_close(sock):
        # Written together: the peer finds the record and close_notify in one read.
        sock.sendall(b"last words")
        with contextlib.suppress(OSError, ssl.SSLError):
            sock.unwrap()
        return "closed"

    async def scenario():
        async with talk(contexts, send_and_close) as protocol:
            pass
        return bytes(protocol.received), protocol.events, protocol.reports

    assert same_on_both(scenario) == (b"last words", ["eof", "lost None"], [])


def test_rubbish_after_data_ends_the_connection_as_in_asyncio(same_on_both, contexts):
    async def scenario(together):
        def send(sock):
            sock.sendall(b"x" * 1000)
            rubbish = socket.socket(fileno=sock.fileno())
            if not together:
                sock.recv(5)
            rubbish.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            rubbish.detach()
            with contextlib.suppress(OSError):
                sock.recv(100)

        class Answering(Server):
            def data_received(self, data):
                super().data_received(data)
                self.transport.write(b"hello")

        async with talk(contexts, send, Answering) as protocol:
            pass
        # Whether both come in one read is up to the kernel.
        return protocol.events[-1][:40], [message for message, _ in protocol.reports]

    for together in (False, True):
        seen = same_on_both(scenario, together)
        assert "SSLError" in seen[0]


@pytest.mark.parametrize("raises", [ValueError("bug"), asyncio.CancelledError(), OSError("their own")])
def test_what_data_received_raises_ends_the_connection(same_on_both, contexts, raises):
    async def scenario():
        class Raising(Server):
            def data_received(self, data):
                raise raises

        async with talk(contexts, lambda sock: (sock.sendall(b"x"), sock.recv(1))[1], Raising) as protocol:
            pass
        return protocol.events, protocol.reports, protocol.transport.is_closing()

    same_on_both(scenario)


@pytest.mark.parametrize("act", ["close", "abort", "write and close"])
def test_a_connection_that_ends_inside_of_data_received(same_on_both, contexts, act):
    async def scenario():
        class Ending(Server):
            def data_received(self, data):
                super().data_received(data)
                if act == "write and close":
                    self.transport.write(b"bye")
                if act == "abort":
                    self.transport.abort()
                else:
                    self.transport.close()
                # Into the void.
                self.transport.write(b"too late")

        def converse(sock):
            sock.sendall(b"question")
            try:
                return read_all(sock)[0]
            except OSError as error:
                return type(error).__name__

        async with talk(contexts, converse, Ending) as protocol:
            pass
        return bytes(protocol.received), protocol.peer.outcome, protocol.events, protocol.reports

    same_on_both(scenario)


def test_a_protocol_is_replaced_while_data_flows(same_on_both, contexts):
    async def scenario():
        class Filled(asyncio.BufferedProtocol):
            def __init__(self, first):
                self.first, self.room, self.taken = first, bytearray(1000), bytearray()

            def get_buffer(self, hint):
                return self.room

            def buffer_updated(self, count):
                self.taken += self.room[:count]
                if b"." in self.taken:
                    self.first.transport.set_protocol(self.first)
                    self.first.transport.write(b"3")

            def connection_lost(self, error):
                self.first.connection_lost(error)

        class First(Server):
            second = None

            def data_received(self, data):
                super().data_received(data)
                if self.second is None:
                    self.second = Filled(self)
                    self.transport.set_protocol(self.second)
                self.transport.write(b"2")

        def converse(sock):
            sock.sendall(b"one")
            sock.recv(1)
            sock.sendall(b"second" * 500 + b".")
            sock.recv(1)
            sock.sendall(b"third")
            return sock.recv(1)

        async with talk(contexts, converse, First) as protocol:
            pass
        return bytes(protocol.received), bytes(protocol.second.taken), protocol.peer.outcome, protocol.events

    same_on_both(scenario)


def test_an_ssl_object_of_the_programs_own_is_used(same_on_both, contexts):
    async def scenario():
        calls = []

        class Own(ssl.SSLObject):
            def read(self, *args):
                data = super().read(*args)
                calls.append("read")
                return data

            def write(self, data):
                calls.append("write")
                return super().write(data)

        context = contexts[0]
        context.sslobject_class = Own
        try:
            async with talk(contexts, lambda sock: (sock.sendall(b"x"), sock.recv(9))[1]) as protocol:
                while not protocol.received:
                    await asyncio.sleep(0.001)
                protocol.transport.write(b"answer")
                protocol.transport.close()
        finally:
            context.sslobject_class = ssl.SSLObject
        return protocol.peer.outcome, "read" in calls, calls.count("write")

    assert same_on_both(scenario) == (b"answer", True, 1)


def test_a_replaced_write_is_called(same_on_both, contexts):
    async def scenario():
        async with talk(contexts, read_all) as protocol:
            transport, written = protocol.transport, []
            original = transport.write
            transport.write = lambda data: (written.append(bytes(data)), original(data))
            transport.write(b"traced")
            transport.close()
        return written, protocol.peer.outcome

    same_on_both(scenario)


def test_data_received_sees_the_context_of_its_connection(same_on_both, contexts):
    variable = contextvars.ContextVar("variable", default="none")

    async def scenario():
        class Seeing(Server):
            def connection_made(self, transport):
                super().connection_made(transport)
                variable.set("set by connection_made")

            def data_received(self, data):
                super().data_received(data)
                self.events.append(variable.get())
                variable.set("set by data_received")
                self.transport.write(b"+")

        def converse(sock):
            for _ in range(3):
                sock.sendall(b"x")
                sock.recv(1)

        async with talk(contexts, converse, Seeing) as protocol:
            pass
        return protocol.events

    same_on_both(scenario)


def test_many_small_messages_both_ways_at_once(same_on_both, contexts):
    async def scenario():
        async def echo(reader, writer):
            while line := await reader.readline():
                writer.write(line[:4])
                writer.writelines([line[4:6], line[6:]])
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=contexts[0])
        address = server.sockets[0].getsockname()

        async def client(number):
            reader, writer = await asyncio.open_connection(*address, ssl=contexts[1], server_hostname="localhost")
            lines = [f"{number} {n} {'x' * (n * 7 % 300)}\n".encode() for n in range(300)]
            for line in lines:
                writer.write(line)
            got = [await reader.readline() for _ in lines]
            writer.close()
            await writer.wait_closed()
            return got == lines

        outcome = await asyncio.gather(*map(client, range(8)))
        server.close()
        return outcome

    assert all(same_on_both(scenario))


@pytest.mark.skipif(not hasattr(_ssl, "__file__"), reason="OpenSSL is inside of this interpreter, and hidden")
def test_bytes_do_not_pass_through_python(contexts, monkeypatch):
    passes = []
    before = sslproto.SSLProtocol._do_read
    monkeypatch.setattr(sslproto.SSLProtocol, "_do_read", lambda self: (passes.append(1), before(self)))

    async def scenario():
        class Answering(Server):
            def data_received(self, data):
                self.transport.write(data)

        def converse(sock):
            for _ in range(100):
                sock.sendall(b"x")
                sock.recv(1)
            return "done"

        async with talk(contexts, converse, Answering) as protocol:
            pass
        return protocol.peer.outcome

    with asyncio.Runner(loop_factory=ourio.new_event_loop) as runner:
        assert runner.run(scenario()) == "done"
    # The handshake's end and the shutdown are asyncio's.
    assert len(passes) < 10


def test_the_protocol_is_asyncios_or_what_a_program_puts_in_its_place(same_on_both, contexts, monkeypatch):
    class Own(sslproto.SSLProtocol):
        max_size = 1 << 12

    async def scenario():
        async with talk(contexts, read_all) as protocol:
            inner = protocol.transport._ssl_protocol
            told = type(inner), inner.max_size, sorted(vars(inner))
            protocol.transport.write(BLOCK[:50_000])
            protocol.transport.close()
        return told, protocol.peer.outcome[0]

    same_on_both(scenario)
    monkeypatch.setattr(sslproto, "SSLProtocol", Own)
    assert same_on_both(scenario)[0][:2] == (Own, 1 << 12)
