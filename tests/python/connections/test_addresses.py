"""Addresses, names and ports: what the system says of them, or refuses. Stock asyncio is the oracle."""

import asyncio
import socket

import pytest

ADDRESSES = ["127.0.0.1", "::1", "fe80::1%lo", "::", "0.0.0.0", "localhost", "", None, "256.1.1.1", "::1%1", "0x7f.1"]


@pytest.mark.parametrize("host", ADDRESSES)
def test_addresses_are_those_of_the_system(same_on_both, host):
    async def scenario():
        loop = asyncio.get_running_loop()
        found = []
        for port in (80, "http", None, "80", 0):
            for family, kind, protocol, flags in (
                (0, 0, 0, 0),
                (socket.AF_INET, socket.SOCK_STREAM, 0, 0),
                (socket.AF_INET6, socket.SOCK_DGRAM, 0, 0),
                (0, socket.SOCK_STREAM, socket.IPPROTO_TCP, socket.AI_PASSIVE),
                (0, 0, 0, socket.AI_NUMERICHOST | socket.AI_CANONNAME),
                (socket.AF_INET6, 0, 0, socket.AI_V4MAPPED),
            ):
                options = {"family": family, "type": kind, "proto": protocol, "flags": flags}
                for resolve in (loop.getaddrinfo(host, port, **options), None):
                    try:
                        if resolve is None:
                            answer = socket.getaddrinfo(host, port, **options)
                        else:
                            answer = await resolve
                    except OSError as error:
                        answer = (type(error).__name__, error.errno)
                    found.append(answer)
        assert found[0::2] == found[1::2]
        return found

    same_on_both(scenario)


def test_names_of_addresses(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        flags = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        return [await loop.getnameinfo(address, flags) for address in (("127.0.0.1", 80), ("::1", 80, 0, 0))]

    same_on_both(scenario)


@pytest.mark.parametrize("port", [-1, 65536, 1 << 40, "no-such-service"])
def test_ports_that_do_not_fit(same_on_both, port):
    async def scenario():
        loop = asyncio.get_running_loop()
        outcomes = []
        for call in (
            lambda: loop.create_connection(asyncio.Protocol, "127.0.0.1", port),
            lambda: loop.create_server(asyncio.Protocol, "127.0.0.1", port),
        ):
            try:
                await call()
            except Exception as error:
                outcomes.append((type(error).__name__, str(error)))
        return outcomes

    assert len(same_on_both(scenario)) == 2
