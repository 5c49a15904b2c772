"""Connecting and accepting: names, refusals, factories that raise, sockets that are handed over."""

import asyncio
import gc
import os
import socket

import pytest
from tcp_pair import Recorder


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
