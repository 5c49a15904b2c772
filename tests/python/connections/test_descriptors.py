"""Descriptors: readers and writers, and those that somebody else has or takes away."""

import asyncio
import socket

import pytest
from tcp_pair import closed, connected


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
