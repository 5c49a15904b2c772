"""Names: dnspython's resolver against a server of our own, over UDP and TCP, with losses, retries and a cache.

Usage: ``python -m ourio examples/programs/network/dns_lookups.py``
"""

import asyncio
import pathlib
import struct
import sys

import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402


class Names(asyncio.DatagramProtocol):
    """Answers by the first label of the name."""

    def __init__(self):
        self.asked = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        query = dns.message.from_wire(data)
        name = query.question[0].name
        label = name.labels[0].decode()
        self.asked.append(label)
        if label == "silent" or (label == "shy" and self.asked.count("shy") == 1):
            return
        response = dns.message.make_response(query)
        if label == "missing":
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif label == "large":
            response.flags |= dns.flags.TC
        else:
            response.answer.append(answer(name, 1))
        self.transport.sendto(response.to_wire(), address)


def answer(name, count):
    return dns.rrset.from_text(name, 300, "IN", "A", *(f"10.0.{n // 250}.{n % 250 + 1}" for n in range(count)))


async def serve_stream(reader, writer):
    (length,) = struct.unpack("!H", await reader.readexactly(2))
    query = dns.message.from_wire(await reader.readexactly(length))
    response = dns.message.make_response(query)
    response.answer.append(answer(query.question[0].name, 300))
    wire = response.to_wire()
    writer.write(struct.pack("!H", len(wire)) + wire)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def main():
    loop = asyncio.get_running_loop()
    stream = await asyncio.start_server(serve_stream, "127.0.0.1", 0)
    port = stream.sockets[0].getsockname()[1]
    transport, names = await loop.create_datagram_endpoint(Names, ("127.0.0.1", port))

    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.timeout, resolver.lifetime = ["127.0.0.1"], port, 0.3, 2
    found = await asyncio.gather(*(resolver.resolve(f"host{n}.example.", "A") for n in range(150)))
    check(all(one[0].address == "10.0.0.1" for one in found), "150 names at once")
    equal(len((await resolver.resolve("large.example.", "A")).rrset), 300, "by TCP, as it is too large for a datagram")
    equal((await resolver.resolve("shy.example.", "A"))[0].address, "10.0.0.1", "asked again after a loss")
    await raises(dns.resolver.NXDOMAIN, resolver.resolve("missing.example.", "A"), "a name that is not there")
    resolver.lifetime = 0.5
    await raises(dns.exception.Timeout, resolver.resolve("silent.example.", "A"), "a server that says nothing")

    resolver.cache = dns.resolver.Cache()
    before = len(names.asked)
    for _ in range(5):
        await resolver.resolve("cached.example.", "A")
    equal(len(names.asked) - before, 1, "asked once, and remembered")
    query = dns.message.make_query("direct.example.", "A")
    response = await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=5)
    equal(response.answer[0][0].address, "10.0.0.1", "a query without a resolver")
    transport.close()
    stream.close()
    await stream.wait_closed()
    await report()


asyncio.run(main())
