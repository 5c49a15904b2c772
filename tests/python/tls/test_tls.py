"""TLS: what a program sees of a handshake, of a shutdown, and of peers that behave badly.

Most scenarios return what was seen, and stock asyncio is the oracle for it.
"""

import asyncio
import contextlib
import gc
import hashlib
import os
import socket
import ssl
import struct
import sys

import ourio
import pytest
import trustme
from OpenSSL import SSL

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Certificates:
    """An authority, and contexts for both sides."""

    def __init__(self):
        self.authority = trustme.CA()
        self.server = self.for_server("localhost")
        self.client = self.for_client()

    def for_server(self, name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(context)
        return context

    def for_client(self):
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context


@pytest.fixture(scope="module")
def certificates():
    return Certificates()


class Told(asyncio.Protocol):
    """Notes what a protocol is told."""

    def __init__(self):
        self.events = []
        self.received = bytearray()
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.events.append("made")

    def data_received(self, data):
        self.received += data

    def eof_received(self):
        self.events.append("eof")

    def connection_lost(self, error):
        self.events.append(f"lost: {type(error).__name__}")
        self.lost.set_result(error)


@contextlib.asynccontextmanager
async def serving(factory, context, **options):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=context, **options)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()
        await asyncio.sleep(0.02)


async def connect(factory, address, context, **options):
    loop = asyncio.get_running_loop()
    options = {"server_hostname": "localhost", **options}
    return await loop.create_connection(factory, *address, ssl=context, **options)


class Echo(Told):
    def data_received(self, data):
        super().data_received(data)
        self.transport.write(data)


def test_what_a_handshake_agreed_on_can_be_asked_for(same_on_both, certificates, tmp_path):
    asked = []

    async def scenario():
        server, client = certificates.for_server("localhost"), certificates.for_client()
        server.set_alpn_protocols(["h2", "http/1.1"])
        client.set_alpn_protocols(["http/1.1"])
        server.sni_callback = lambda sslobj, name, context: asked.append(name)
        server.verify_mode = ssl.CERT_REQUIRED
        certificates.authority.configure_trust(server)
        certificates.authority.issue_cert("client@example.org").configure_cert(client)
        client.keylog_filename = str(tmp_path / "keys")
        seen = {}

        class Server(Echo):
            def connection_made(self, transport):
                super().connection_made(transport)
                names = transport.get_extra_info("peercert")["subjectAltName"]
                seen["client"] = (names, transport.get_extra_info("ssl_object").selected_alpn_protocol())
                seen["kinds"] = (isinstance(transport, asyncio.Transport), type(transport).__name__)

        async with serving(Server, server) as address:
            transport, protocol = await connect(Told, address, client)
            found = transport.get_extra_info("ssl_object")
            seen["server"] = (
                found.selected_alpn_protocol(),
                found.version(),
                transport.get_extra_info("peercert")["subjectAltName"],
                len(transport.get_extra_info("cipher")),
                transport.get_extra_info("sslcontext") is client,
                transport.get_extra_info("peername") == address,
            )
            transport.close()
            await protocol.lost
            seen["after"] = transport.get_extra_info("peername") is not None
        seen["keys"] = os.path.getsize(tmp_path / "keys") > 0
        return seen

    seen = same_on_both(scenario)
    assert seen["server"][:2] == ("http/1.1", "TLSv1.3")
    assert seen["client"][0] == (("email", "client@example.org"),)
    assert asked == ["localhost", "localhost"]


def test_a_session_is_resumed(same_on_both, certificates):
    async def scenario():
        client = certificates.for_client()
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        async with serving(Echo, certificates.server) as address:
            reused = []
            with socket.create_connection(address) as raw:
                raw.setblocking(False)
                transport, protocol = await connect(Told, (), client, sock=raw.dup())
                transport.write(b"x")
                reused.append(transport.get_extra_info("ssl_object").session_reused)
                transport.close()
                await protocol.lost
            return reused

    same_on_both(scenario)


@pytest.mark.parametrize("case", ["stranger", "name", "client"])
def test_a_wrong_certificate_is_refused_on_both_sides(same_on_both, certificates, case):
    async def scenario():
        served = []

        def factory():
            served.append(Told())
            return served[-1]

        server, client = certificates.server, certificates.for_client()
        name = "localhost"
        if case == "stranger":
            client = ssl.create_default_context()
        elif case == "name":
            name = "example.org"
        else:
            server = certificates.for_server("localhost")
            server.verify_mode = ssl.CERT_REQUIRED
            client.maximum_version = ssl.TLSVersion.TLSv1_2
        async with serving(factory, server) as address:
            try:
                await connect(Told, address, client, server_hostname=name)
            except (ssl.SSLError, ConnectionError) as error:
                outcome = (type(error).__name__, getattr(error, "reason", None))
            else:
                outcome = "accepted"
            await asyncio.sleep(0.05)
            return outcome, [protocol.events for protocol in served]

    outcome, served = same_on_both(scenario)
    assert outcome != "accepted"
    assert all(events == [] for events in served), "told of a connection that never was"


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_handshake_that_never_ends_is_given_up(same_on_both, certificates, side):
    async def scenario():
        loop = asyncio.get_running_loop()
        reports = []
        loop.set_exception_handler(lambda _loop, context: reports.append(context["message"]))
        if side == "client":
            with socket.create_server(("127.0.0.1", 0)) as silent:
                try:
                    await connect(Told, silent.getsockname(), certificates.client, ssl_handshake_timeout=0.1)
                except ConnectionAbortedError as error:
                    return str(error), reports
        async with serving(Told, certificates.server, ssl_handshake_timeout=0.1) as address:
            reader, writer = await asyncio.open_connection(*address)
            ended = await reader.read()
            writer.close()
            return ended, reports

    same_on_both(scenario)


def test_a_shutdown_that_the_peer_never_answers_is_given_up(same_on_both, certificates):
    async def scenario():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            loop = asyncio.get_running_loop()
            told = asyncio.create_task(
                connect(Told, listener.getsockname(), certificates.client, ssl_shutdown_timeout=0.1)
            )
            raw, _ = await loop.run_in_executor(None, listener.accept)
            peer = certificates.server.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
            await loop.run_in_executor(None, peer.do_handshake)
            transport, protocol = await told
            transport.close()
            error = await protocol.lost
            peer.close()
            return transport.is_closing(), protocol.events, type(error).__name__

    same_on_both(scenario)


def test_a_stream_that_is_cut_off(same_on_both, certificates):
    async def scenario():
        async with serving(Echo, certificates.server):
            outcomes = []
            for linger in (False, True):
                served = Told()
                server = await asyncio.get_running_loop().create_server(
                    lambda served=served: served, "127.0.0.1", 0, ssl=certificates.server
                )
                transport, protocol = await connect(Told, server.sockets[0].getsockname(), certificates.client)
                transport.write(b"before")
                while not served.received:
                    await asyncio.sleep(0.001)
                raw = transport.get_extra_info("socket")
                if linger:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                # Below TLS, so without its good-bye.
                transport.abort()
                error = await served.lost
                outcomes.append((bytes(served.received), served.events, type(error).__name__))
                server.close()
            return outcomes

    same_on_both(scenario)


def test_a_renegotiation_is_refused(same_on_both, certificates):
    def renegotiate(address):
        context = SSL.Context(SSL.TLSv1_2_METHOD)
        with socket.create_connection(address) as raw:
            connection = SSL.Connection(context, raw)
            connection.set_connect_state()
            connection.do_handshake()
            connection.send(b"hello")
            assert connection.recv(5) == b"hello"
            connection.renegotiate()
            try:
                connection.do_handshake()
                connection.send(b"again")
                return connection.recv(5)
            except SSL.Error:
                return "refused"

    async def scenario():
        async with serving(Echo, certificates.server) as address:
            outcome = await asyncio.to_thread(renegotiate, address)
            # The server lives.
            transport, protocol = await connect(Told, address, certificates.client)
            transport.write(b"alive")
            while not protocol.received:
                await asyncio.sleep(0.001)
            transport.close()
            await protocol.lost
            return outcome

    assert same_on_both(scenario) == "refused"


def test_what_is_not_tls_is_refused(same_on_both, certificates):
    async def scenario():
        reports = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: reports.append((context["message"], type(context["exception"]).__name__))
        )
        async with serving(Told, certificates.server) as address:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            answer = await reader.read()
            writer.close()
            await asyncio.sleep(0.02)
            return answer, reports

    same_on_both(scenario)


def test_close_sends_what_was_written_then_closes(same_on_both, certificates):
    async def scenario():
        served = []

        def factory():
            served.append(Told())
            return served[-1]

        async with serving(factory, certificates.server) as address:
            transport, protocol = await connect(Told, address, certificates.client)
            blob = os.urandom(3_000_000)
            transport.write(blob)
            transport.close()
            transport.write(b"dropped")
            await protocol.lost
            await served[0].lost
            return hashlib.sha256(served[0].received).digest() == hashlib.sha256(blob).digest(), (
                protocol.events,
                served[0].events,
            )

    whole, _events = same_on_both(scenario)
    assert whole


def test_a_peer_that_goes_on_sending_does_not_keep_a_closed_connection(run, certificates):
    async def main():
        class Flood(Told):
            def connection_made(self, transport):
                super().connection_made(transport)
                self.task = asyncio.get_running_loop().create_task(self.flood())

            async def flood(self):
                while not self.lost.done():
                    self.transport.write(b"x" * 1000)
                    await asyncio.sleep(0.001)

        async with serving(Flood, certificates.server) as address:
            transport, protocol = await connect(Told, address, certificates.client)
            await asyncio.sleep(0.01)
            transport.close()
            await protocol.lost
            # Whether data was on its way decides about an end of stream and an error in between.
            assert protocol.events[0] == "made"
            assert protocol.events[-1].startswith("lost")

    run(main())


def test_the_write_side_cannot_be_closed_alone(same_on_both, certificates):
    async def scenario():
        async with serving(Echo, certificates.server) as address:
            transport, protocol = await connect(Told, address, certificates.client)
            seen = [transport.can_write_eof()]
            try:
                transport.write_eof()
            except NotImplementedError:
                seen.append("not implemented")
            transport.close()
            await protocol.lost
            return seen

    assert same_on_both(scenario) == [False, "not implemented"]


@pytest.mark.parametrize("early", [False, True])
def test_start_tls_in_the_middle_of_a_conversation(same_on_both, certificates, early):
    """``early``: the client's first TLS record comes together with the plain line before it."""

    def client(address):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        sslobj = certificates.client.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(address) as sock:
            sock.settimeout(20)

            def step(call):
                while True:
                    try:
                        return call()
                    except ssl.SSLWantReadError:
                        if data := outgoing.read():
                            sock.sendall(data)
                        data = sock.recv(65536)
                        if not data:
                            return None
                        incoming.write(data)

            if early:
                with contextlib.suppress(ssl.SSLWantReadError):
                    sslobj.do_handshake()
                sock.sendall(b"STARTTLS\n" + outgoing.read())
            else:
                sock.sendall(b"STARTTLS\n")
                assert sock.recv(3) == b"go\n"
            try:
                step(sslobj.do_handshake)
                sslobj.write(b"secret\n")
                sock.sendall(outgoing.read())
                answer = step(lambda: sslobj.read(100))
            except (ssl.SSLError, OSError) as error:
                answer = type(error).__name__
            return answer

    async def scenario():
        async def serve(reader, writer):
            assert await reader.readline() == b"STARTTLS\n"
            if not early:
                writer.write(b"go\n")
            try:
                await writer.start_tls(certificates.server, ssl_handshake_timeout=1)
                writer.write((await reader.readline()).upper())
                await writer.drain()
            except (OSError, ssl.SSLError) as error:
                ended.append(type(error).__name__)
            finally:
                writer.close()

        ended = []
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        answer = await asyncio.to_thread(client, server.sockets[0].getsockname())
        server.close()
        await asyncio.sleep(0.02)
        return answer, ended

    answer, _ended = same_on_both(scenario)
    if not early:
        assert answer == b"SECRET\n"


def test_tls_over_a_unix_socket_and_over_an_accepted_one(same_on_both, certificates, tmp_path):
    async def scenario():
        loop = asyncio.get_running_loop()
        seen = []
        path = str(tmp_path / f"socket-{type(loop).__name__}")
        server = await loop.create_unix_server(Echo, path, ssl=certificates.server)
        transport, protocol = await loop.create_unix_connection(
            Told, path, ssl=certificates.client, server_hostname="localhost"
        )
        transport.write(b"unix")
        while not protocol.received:
            await asyncio.sleep(0.001)
        seen.append(bytes(protocol.received))
        transport.close()
        await protocol.lost
        server.close()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            connecting = asyncio.create_task(connect(Told, listener.getsockname(), certificates.client))
            accepted, _ = await loop.run_in_executor(None, listener.accept)
            await loop.connect_accepted_socket(Echo, accepted, ssl=certificates.server)
            transport, protocol = await connecting
            transport.write(b"accepted")
            while len(protocol.received) < 8:
                await asyncio.sleep(0.001)
            seen.append(bytes(protocol.received))
            transport.close()
            await protocol.lost
        await asyncio.sleep(0.02)
        return seen

    assert same_on_both(scenario) == [b"unix", b"accepted"]


def test_many_handshakes_and_much_data(run, certificates):
    async def main():
        async with serving(Echo, certificates.server) as address:

            async def one(size):
                reader, writer = await asyncio.open_connection(
                    *address, ssl=certificates.client, server_hostname="localhost", limit=2**20
                )
                sent, heard = hashlib.sha256(), hashlib.sha256()

                async def send():
                    left = size
                    while left:
                        chunk = os.urandom(min(left, 50_000))
                        sent.update(chunk)
                        writer.write(chunk)
                        await writer.drain()
                        left -= len(chunk)

                async def hear():
                    left = size
                    while left:
                        chunk = await reader.read(left)
                        assert chunk, "cut off"
                        heard.update(chunk)
                        left -= len(chunk)

                await asyncio.gather(send(), hear())
                assert sent.digest() == heard.digest()
                writer.close()
                await writer.wait_closed()

            for _ in range(5):
                await asyncio.gather(*(one(1000) for _ in range(20)))
            await asyncio.gather(*(one(8_000_000) for _ in range(2)))

    run(main())


def resident():
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_an_idle_connection_holds_little_memory(certificates):
    async def main():
        async with serving(Echo, certificates.server) as address:
            held = []

            async def one():
                transport, protocol = await connect(Told, address, certificates.client)
                transport.write(b"x")
                held.append((transport, protocol))
                while not protocol.received:
                    await asyncio.sleep(0.001)

            await asyncio.gather(*(one() for _ in range(20)))
            gc.collect()
            before = resident()
            for _ in range(10):
                await asyncio.gather(*(one() for _ in range(20)))
            gc.collect()
            # Both sides are in this process.
            per_side = (resident() - before) / 400
            for transport, _protocol in held:
                transport.abort()
            return per_side

    assert ourio.run(main()) < 100 * 1024


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="TLS over TLS is asyncio's since 3.11, and has its fix since 3.12"
)
def test_tls_within_tls(same_on_both, certificates):
    async def scenario():
        loop = asyncio.get_running_loop()
        inner = []

        class Upgrade(Told):
            def data_received(self, data):
                if data == b"inner" and not self.received:
                    super().data_received(data)
                    inner.append(loop.create_task(self.upgrade()))

            async def upgrade(self):
                upgraded = Reverse()
                upgraded.transport = await loop.start_tls(
                    self.transport, upgraded, certificates.server, server_side=True
                )

        class Reverse(Told):
            transport = None

            def data_received(self, data):
                if self.transport is None:
                    # Data that came with the end of the handshake is there before `start_tls` has returned.
                    loop.call_soon(self.data_received, data)
                else:
                    self.transport.write(data[::-1])

        async with serving(Upgrade, certificates.server) as address:
            reader, writer = await asyncio.open_connection(
                *address, ssl=certificates.client, server_hostname="localhost"
            )
            writer.write(b"inner")
            await writer.drain()
            try:
                await writer.start_tls(certificates.client, server_hostname="localhost", ssl_handshake_timeout=2)
                writer.write(b"abc")
                answer = await asyncio.wait_for(reader.readexactly(3), 5)
            except (OSError, EOFError, TimeoutError, ssl.SSLError) as error:
                answer = type(error).__name__
            writer.transport.abort()
            return answer

    same_on_both(scenario)
