"""TLS records that arrive many at once, cut, or damaged, or with the end behind them. Stock asyncio is the oracle."""

import asyncio
import contextlib
import socket
import ssl
import time

import pytest
from tls_server import BLOCK, Server

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class MemoryPeer:
    """A blocking TLS client whose ciphertext is sent when it says so: many records arrive together."""

    def __init__(self, context, address):
        self.sock = socket.create_connection(address, timeout=20)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.ask(self.tls.do_handshake)

    def ask(self, method, *args):
        while True:
            try:
                return method(*args)
            except ssl.SSLWantReadError:
                self.sock.sendall(self.outgoing.read())
                data = self.sock.recv(1 << 16)
                self.incoming.write(data) if data else self.incoming.write_eof()
            finally:
                self.sock.sendall(self.outgoing.read())

    def encrypt(self, data, record=1 << 14):
        for start in range(0, len(data), record):
            self.tls.write(data[start : start + record])
        return self.outgoing.read()

    def receive(self, count):
        received = bytearray()
        while len(received) < count:
            received += self.ask(self.tls.read, count - len(received))
        return bytes(received)


def together(contexts, send, kind=Server, version=None, cipher=None):
    """What a server is told by a peer whose bytes all wait for it when it reads."""

    async def scenario():
        loop = asyncio.get_running_loop()
        protocols, reports = [], []
        loop.set_exception_handler(lambda _, context: reports.append(context["message"]))
        server = await loop.create_server(
            lambda: protocols.append(kind()) or protocols[-1], "127.0.0.1", 0, ssl=contexts[0]
        )
        address = server.sockets[0].getsockname()
        client = ssl.create_default_context()
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        client.maximum_version = version or client.maximum_version
        if cipher:
            client.set_ciphers(cipher)
        peer = await loop.run_in_executor(None, MemoryPeer, client, address)
        while not protocols:
            await asyncio.sleep(0.001)
        protocol = protocols[0]
        await protocol.made
        await asyncio.sleep(0.01)
        outcome = loop.run_in_executor(None, send, peer)
        # The loop sees nothing of it until all is there.
        time.sleep(0.05)
        told = await outcome
        peer.sock.close()
        await protocol.lost
        server.close()
        return told, bytes(protocol.received), protocol.events, reports

    return scenario


class Echoing(Server):
    def data_received(self, data):
        super().data_received(data)
        self.transport.write(data)


VERSIONS = [
    (ssl.TLSVersion.TLSv1_3, None),
    (ssl.TLSVersion.TLSv1_2, None),
    (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-SHA384"),
]


@pytest.mark.parametrize(("version", "cipher"), VERSIONS)
def test_many_records_that_come_together(same_on_both, contexts, version, cipher):
    sizes = [16383, 16384, 16385, 17386, 17387, 17408, 17409, 32768, 34816, 65537, 100_001]

    def send(peer):
        for size in sizes:
            peer.sock.sendall(peer.encrypt(BLOCK[:size]))
            assert peer.receive(size) == BLOCK[:size]
        return peer.tls.cipher()

    told = same_on_both(together(contexts, send, Echoing, version, cipher))
    assert len(told[1]) == sum(sizes)


@pytest.mark.parametrize("record", [1, 100, 1 << 14])
@pytest.mark.parametrize("cut", [1, 5, 16400, 20_000])
def test_records_that_are_cut(same_on_both, contexts, record, cut):
    data = BLOCK[: min(60_000, record * 2_000)]

    def send(peer):
        encrypted = peer.encrypt(data, record)
        for start in range(0, len(encrypted), max(cut, len(encrypted) // 40)):
            peer.sock.sendall(encrypted[start : start + max(cut, len(encrypted) // 40)])
        return peer.receive(len(data)) == data

    assert same_on_both(together(contexts, send, Echoing))[:2] == (True, data)


def test_the_end_behind_many_records(same_on_both, contexts):
    def send(peer):
        encrypted = peer.encrypt(BLOCK[:50_000])
        with contextlib.suppress(ssl.SSLWantReadError):
            peer.tls.unwrap()
        peer.sock.sendall(encrypted + peer.outgoing.read())

    told = same_on_both(together(contexts, send))
    assert told == (None, BLOCK[:50_000], ["eof", "lost None"], [])


@pytest.mark.parametrize("damaged", [100, 20_000, 49_000])
def test_damage_among_many_records(same_on_both, contexts, damaged):
    def send(peer):
        encrypted = bytearray(peer.encrypt(BLOCK[:50_000]))
        encrypted[damaged] ^= 1
        peer.sock.sendall(encrypted)
        with contextlib.suppress(OSError):
            while peer.sock.recv(1 << 16):
                pass

    told = same_on_both(together(contexts, send))
    assert told[1] == b""
    assert "SSLError" in told[2][0]
