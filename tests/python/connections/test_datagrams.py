"""UDP and Unix datagrams, in every kind of endpoint. Stock asyncio is the oracle."""

import asyncio
import errno
import gc
import socket
import struct

import ourio
import pytest


class Told(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = []
        self.errors = []
        self.lost = asyncio.get_running_loop().create_future()
        self.news = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.received.append((data, address))
        self.news.set()

    def error_received(self, error):
        self.errors.append(type(error).__name__)
        self.news.set()

    def connection_lost(self, error):
        self.lost.set_result(error)

    async def wait(self, count=1):
        while len(self.received) + len(self.errors) < count:
            self.news.clear()
            await self.news.wait()


async def endpoint(**options):
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(Told, **options)
    return transport, protocol


def test_connected_and_unconnected_endpoints(same_on_both):
    async def scenario():
        server, heard = await endpoint(local_addr=("127.0.0.1", 0))
        address = server.get_extra_info("sockname")
        client, answers = await endpoint(remote_addr=address)
        client.sendto(b"connected")
        await heard.wait(1)
        server.sendto(b"answer", heard.received[0][1])
        await answers.wait(1)
        other, _ = await endpoint(family=socket.AF_INET)
        other.sendto(b"unconnected", address)
        await heard.wait(2)
        seen = [
            [data for data, _ in heard.received],
            answers.received == [(b"answer", address)],
            client.get_extra_info("peername") == address,
            server.get_extra_info("peername"),
            isinstance(server, asyncio.DatagramTransport),
            type(server.get_extra_info("socket")).__name__,
        ]
        with pytest.raises(ValueError, match="Invalid address"):
            client.sendto(b"elsewhere", ("127.0.0.1", 1))
        for transport, protocol in ((server, heard), (client, answers)):
            transport.close()
            seen.append((transport.is_closing(), await protocol.lost))
        other.abort()
        await asyncio.sleep(0.01)
        return seen

    same_on_both(scenario)


def test_addresses_of_ipv6_have_four_parts(same_on_both):
    async def scenario():
        server, heard = await endpoint(local_addr=("::1", 0))
        client, _ = await endpoint(remote_addr=server.get_extra_info("sockname")[:2])
        client.sendto(b"six")
        await heard.wait()
        (data, address) = heard.received[0]
        server.close(), client.close()
        await asyncio.sleep(0.01)
        return data, address[0], len(address), len(server.get_extra_info("sockname"))

    assert same_on_both(scenario) == (b"six", "::1", 4, 4)


def test_an_error_of_the_network_is_told_and_the_endpoint_lives(same_on_both):
    async def scenario():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(("127.0.0.1", 0))
            address = gone.getsockname()
        client, told = await endpoint(remote_addr=address)
        client.sendto(b"nobody")
        await told.wait()
        # The port answers now.
        server, heard = await endpoint(local_addr=address)
        client.sendto(b"somebody")
        await heard.wait()
        client.close(), server.close()
        await told.lost
        return told.errors, [data for data, _ in heard.received], told.lost.result()

    assert same_on_both(scenario) == (["ConnectionRefusedError"], [b"somebody"], None)


def test_what_is_too_long_is_told(same_on_both):
    async def scenario():
        server, heard = await endpoint(local_addr=("127.0.0.1", 0))
        client, told = await endpoint(remote_addr=server.get_extra_info("sockname"))
        client.sendto(b"x" * 70_000)
        client.sendto(b"fits")
        await heard.wait()
        client.close(), server.close()
        await told.lost
        return told.errors, [len(data) for data, _ in heard.received]

    same_on_both(scenario)


def test_empty_datagrams_arrive(same_on_both):
    async def scenario():
        server, heard = await endpoint(local_addr=("127.0.0.1", 0))
        client, told = await endpoint(remote_addr=server.get_extra_info("sockname"))
        client.sendto(b"")
        client.sendto(bytearray(b"array"))
        client.sendto(memoryview(b"view"))
        await heard.wait(2)
        await asyncio.sleep(0.02)
        client.close(), server.close()
        await told.lost
        return [data for data, _ in heard.received]

    same_on_both(scenario)


@pytest.mark.parametrize("data", ["text", 1, None])
def test_what_is_no_buffer_is_refused(same_on_both, data):
    async def scenario():
        client, told = await endpoint(local_addr=("127.0.0.1", 0))
        try:
            client.sendto(data, ("127.0.0.1", 1))
        except TypeError as error:
            refused = str(error)
        client.close()
        await told.lost
        return refused

    same_on_both(scenario)


def test_nothing_is_received_after_close(same_on_both):
    async def scenario():
        server, heard = await endpoint(local_addr=("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"before", server.get_extra_info("sockname"))
            await heard.wait()
            sock.sendto(b"after", server.get_extra_info("sockname"))
            server.close()
            server.close()
            await heard.lost
        await asyncio.sleep(0.01)
        return [data for data, _ in heard.received]

    assert same_on_both(scenario) == [b"before"]


def test_a_protocol_that_raises_is_reported(same_on_both):
    async def scenario():
        reports = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: reports.append((type(context["exception"]).__name__, context["message"][:30]))
        )

        class Raises(Told):
            def datagram_received(self, data, address):
                super().datagram_received(data, address)
                raise ZeroDivisionError

        server, heard = await asyncio.get_running_loop().create_datagram_endpoint(Raises, local_addr=("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"one", server.get_extra_info("sockname"))
            await heard.wait()
            await asyncio.sleep(0.01)
            server.close()
            await heard.lost
        return [kind for kind, _ in reports], type(heard.lost.result()).__name__

    same_on_both(scenario)


def test_options_of_an_endpoint(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        first, _ = await endpoint(local_addr=("127.0.0.1", 0), reuse_port=True)
        second, _ = await endpoint(local_addr=first.get_extra_info("sockname"), reuse_port=True)
        wide, _ = await endpoint(local_addr=("127.0.0.1", 0), allow_broadcast=True)
        option = struct.pack("i", 1)
        seen = [
            first.get_extra_info("sockname") == second.get_extra_info("sockname"),
            wide.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 4) == option,
        ]
        wide.sendto(b"all", ("127.255.255.255", 9))
        try:
            await endpoint(local_addr=first.get_extra_info("sockname"))
        except OSError as error:
            seen.append(errno.errorcode[error.errno])
        for options in (
            {},
            {"local_addr": ("127.0.0.1", 0), "family": socket.AF_INET6},
            {"local_addr": ("127.0.0.1", 0), "remote_addr": ("::1", 1)},
            {"sock": first.get_extra_info("socket"), "local_addr": ("127.0.0.1", 0)},
            {"local_addr": "127.0.0.1"},
        ):
            try:
                await loop.create_datagram_endpoint(Told, **options)
            except Exception as error:
                seen.append((type(error).__name__, str(error)[:40]))
        for transport in (first, second, wide):
            transport.close()
        await asyncio.sleep(0.01)
        return seen

    same_on_both(scenario)


def test_unix_datagrams(same_on_both, tmp_path):
    async def scenario():
        kind = type(asyncio.get_running_loop()).__name__
        paths = [str(tmp_path / f"{name}-{kind}") for name in ("server", "client")]
        server, heard = await endpoint(local_addr=paths[0], family=socket.AF_UNIX)
        client, answers = await endpoint(local_addr=paths[1], remote_addr=paths[0], family=socket.AF_UNIX)
        client.sendto(b"question")
        await heard.wait()
        server.sendto(b"answer", heard.received[0][1])
        await answers.wait()
        # The path of a server that has gone is taken over.
        server.close()
        await heard.lost
        again, heard_again = await endpoint(local_addr=paths[0], family=socket.AF_UNIX)
        abstract, told = await endpoint(local_addr=f"\0ourio-{kind}", family=socket.AF_UNIX)
        for transport in (client, again, abstract):
            transport.close()
        await told.lost
        return heard.received[0][0], answers.received[0][0], heard.received[0][1] == paths[1], heard_again.errors

    same_on_both(scenario)


def test_flow_control_of_datagrams(same_on_both, tmp_path):
    async def scenario():
        changes = []

        class Paused(Told):
            def pause_writing(self):
                changes.append("pause")

            def resume_writing(self):
                changes.append("resume")

        # A Unix datagram socket refuses more than its peer has room for.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        loop = asyncio.get_running_loop()
        with theirs:
            transport, told = await loop.create_datagram_endpoint(Paused, sock=ours)
            transport.set_write_buffer_limits(high=10_000)
            transport._address = None
            seen = [transport.get_write_buffer_limits(), transport.get_write_buffer_size()]
            transport.close()
            await told.lost
        return seen, changes

    same_on_both(scenario)


@pytest.mark.parametrize("act", ["close", "abort", "pause", "replace", "raise"])
def test_what_happens_between_two_datagrams_of_one_batch(same_on_both, act):
    async def scenario():
        reports = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(repr(context["exception"])))

        class Acting(Told):
            def datagram_received(self, data, address):
                super().datagram_received(data, address)
                if len(self.received) != 2:
                    return
                if act == "replace":
                    self.transport.set_protocol(other)
                elif act == "pause":
                    self.transport.pause_reading()
                elif act == "raise":
                    raise ValueError("once")
                else:
                    getattr(self.transport, act)()

        other = Told()
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Acting, local_addr=("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(40):
                sender.sendto(b"%d" % number, transport.get_extra_info("sockname"))
            await asyncio.sleep(0.02)
            seen = [len(protocol.received), len(other.received), reports]
            if act == "pause":
                transport.resume_reading()
                await asyncio.sleep(0.02)
                seen.append([data for data, _ in protocol.received])
            transport.close()
        return seen

    same_on_both(scenario)


def test_a_protocol_that_fails_and_pauses_loses_nothing(same_on_both):
    async def scenario():
        loop = asyncio.get_running_loop()
        reports = []
        loop.set_exception_handler(lambda _, context: reports.append(repr(context["exception"])))

        class Failing(Told):
            def datagram_received(self, data, address):
                super().datagram_received(data, address)
                number = int(data)
                if number % 5 == 2:
                    self.transport.pause_reading()
                    loop.call_later(0.002, self.transport.resume_reading)
                if number % 3 == 2:
                    raise ValueError(number)

        transport, protocol = await loop.create_datagram_endpoint(Failing, local_addr=("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for number in range(40):
                sender.sendto(b"%d" % number, transport.get_extra_info("sockname"))
            await protocol.wait(40)
        transport.close()
        await protocol.lost
        return [data for data, _ in protocol.received], reports

    same_on_both(scenario)


class Answering(Told):
    """Answers each datagram with what ``answers`` makes of it."""

    def __init__(self, answers):
        super().__init__()
        self.answers = answers

    def datagram_received(self, data, address):
        super().datagram_received(data, address)
        self.answers(self.transport, data, address)


async def asked(answers, count, questions=40, protocol=Answering):
    """Ask a server of our own so often at once; it, its protocol, and so many answers in order of arrival."""
    loop = asyncio.get_running_loop()
    server, protocol = await loop.create_datagram_endpoint(lambda: protocol(answers), local_addr=("127.0.0.1", 0))
    received = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for number in range(questions):
            sender.sendto(b"%d" % number, server.get_extra_info("sockname"))
        for _ in range(count):
            received.append(await loop.sock_recv(sender, 65536))
    return server, protocol, received


def test_answers_of_every_form_and_length_stay_in_order(same_on_both):
    async def scenario():
        def answers(transport, data, address):
            transport.sendto(data, address)
            transport.sendto(bytearray(data) + b" mutable", address)
            transport.sendto(data * 3000, ("localhost", address[1]) if int(data) % 2 else address)
            transport.sendto(data + b" last", ("127.0.0.1", address[1]))

        # Few enough for the kernel to keep all answers.
        server, _, received = await asked(answers, 48, questions=12)
        server.close()
        return received

    assert len(same_on_both(scenario)) == 48


def test_an_answer_that_cannot_be_sent_takes_no_other_with_it(same_on_both):
    async def scenario():
        def answers(transport, data, address):
            transport.sendto(data, address)
            if int(data) % 7 == 0:
                # Not allowed without SO_BROADCAST.
                transport.sendto(b"refused", ("255.255.255.255", 9))
            transport.sendto(data + b" again", address)

        server, protocol, received = await asked(answers, 80)
        server.close()
        return received, protocol.errors

    assert same_on_both(scenario)[1] == ["PermissionError"] * 6


@pytest.mark.parametrize("end", ["close", "abort"])
def test_what_was_answered_before_the_end_has_left(same_on_both, end):
    async def scenario():
        def answers(transport, data, address):
            transport.sendto(data, address)
            transport.sendto(data + b" again", address)
            sizes.append(transport.get_write_buffer_size())
            if data == b"4":
                getattr(transport, end)()

        sizes = []
        _, protocol, received = await asked(answers, 10)
        return received, sizes, await protocol.lost

    assert len(same_on_both(scenario)[0]) == 10


def test_garbage_that_sends_when_it_goes_disturbs_nobody(same_on_both):
    """It may be collected whenever an object is made (before 3.12), also while datagrams are received."""

    async def scenario():
        class Farewell:
            def __init__(self, transport, address):
                self.itself, self.transport, self.address = self, transport, address

            def __del__(self):
                self.transport.sendto(b"farewell", self.address)

        def answers(transport, data, address):
            Farewell(transport, address)
            transport.sendto(data, address)

        loop = asyncio.get_running_loop()
        server, protocol = await loop.create_datagram_endpoint(lambda: Answering(answers), local_addr=("127.0.0.1", 0))
        thresholds = gc.get_threshold()
        gc.set_threshold(1, 1, 1)
        try:
            # Of many peers, so that tuples are made.
            for _ in range(30):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.setblocking(False)
                    sender.sendto(b"question", server.get_extra_info("sockname"))
                    while await loop.sock_recv(sender, 100) != b"question":
                        pass
        finally:
            gc.set_threshold(*thresholds)
        gc.collect()
        server.close()
        return len(protocol.received)

    assert same_on_both(scenario) == 30


def test_a_protocol_that_fails_when_told_of_an_error_stops_no_answers():
    """Of what leaves at the end of the turn: on stock asyncio ``sendto`` itself raises what the protocol does."""

    async def scenario():
        reports = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: reports.append((context["message"][:21], repr(context["exception"])))
        )

        def answers(transport, data, address):
            if data == b"1":
                transport.sendto(b"refused", ("255.255.255.255", 9))
            transport.sendto(data, address)

        class Protocol(Answering):
            def error_received(self, error):
                raise ValueError(type(error).__name__)

        server, _, received = await asked(answers, 4, questions=4, protocol=Protocol)
        server.close()
        return received, reports

    reported = ("Exception in callback", "ValueError('PermissionError')")
    assert ourio.run(scenario()) == ([b"0", b"1", b"2", b"3"], [reported])


def test_every_form_of_an_address(same_on_both):
    async def scenario():
        server, heard = await endpoint(local_addr=("127.0.0.1", 0))
        port = server.get_extra_info("sockname")[1]
        connected, _ = await endpoint(remote_addr=("127.0.0.1", port))
        refusals = []
        sends = [
            (None, b"a name", ("localhost", port)),
            (None, b"a list", ["127.0.0.1", port]),
            (None, b"a bool", ("127.0.0.1", True)),
            (None, b"leading zeros", ("127.0.0.01", port)),
            (None, b"short", ("127.1", port)),
            (None, b"large", ("127.0.0.1", 65536 + port)),
            (None, b"negative", ("127.0.0.1", -1)),
            (None, b"bytes", (b"127.0.0.1", port)),
            (None, b"three", ("127.0.0.1", port, 0)),
            (None, b"none", None),
            (None, bytearray(b"a bytearray"), ("127.0.0.1", port)),
            (None, memoryview(b"a view"), ("127.0.0.1", port)),
            (connected, b"connected", None),
            (connected, b"connected to it", ("127.0.0.1", port)),
            (connected, b"elsewhere", ("127.0.0.1", 9)),
        ]
        for sender, data, address in sends:
            # A new one each time, as a refusal may close it.
            client = sender or (await endpoint(local_addr=("127.0.0.1", 0)))[0]
            try:
                client.sendto(data, address)
            except Exception as error:
                refusals.append((bytes(data), type(error).__name__, str(error).replace(str(port), "PORT")))
            refusals.append(client.is_closing())
            if sender is None:
                client.close()
        for call in (
            lambda: connected.sendto(data=b"named", addr=None),
            lambda: connected.sendto(),
            lambda: connected.sendto(b"x", None, None),
            lambda: connected.sendto(b"x", data=b"y"),
            lambda: connected.sendto(b"x", to=1),
        ):
            try:
                call()
            except TypeError:
                refusals.append("TypeError")
        await asyncio.sleep(0.02)
        for each in (server, connected):
            each.close()
        await asyncio.sleep(0)
        return sorted(data for data, _ in heard.received), refusals

    same_on_both(scenario)


@pytest.mark.parametrize("count", [1, 64, 65])
def test_a_stream_that_writes_alone_does_not_wait_for_the_datagrams_of_its_turn(run, count):
    async def main():
        loop = asyncio.get_running_loop()
        receiver, _ = await endpoint(local_addr=("127.0.0.1", 0))
        sender, _ = await endpoint(local_addr=("127.0.0.1", 0))
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        peer.setblocking(False)
        stream, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        arrived = loop.create_future()

        def send_datagrams():
            for _ in range(count):
                sender.sendto(b"x", receiver.get_extra_info("sockname"))

        def write():
            stream.write(b"y")
            # A Unix socket's data is there at once.
            try:
                arrived.set_result(peer.recv(10))
            except BlockingIOError:
                arrived.set_result(None)

        loop.call_soon(send_datagrams)
        loop.call_soon(write)
        try:
            return await arrived
        finally:
            for transport in (stream, sender, receiver):
                transport.close()
            peer.close()
            await asyncio.sleep(0)

    assert run(main()) == b"y"
