"""An RPC service with gRPC aio: unary calls, streams both ways, deadlines, cancellation, errors.

Usage: ``python -m ourio examples/programs/network/grpc_service.py``
"""

import asyncio
import pathlib
import sys

import grpc

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402


class Service(grpc.GenericRpcHandler):
    """Methods by name; the messages are bytes, so no generated code is needed."""

    def service(self, details):
        match details.method:
            case "/demo/Echo":
                return grpc.unary_unary_rpc_method_handler(self.echo)
            case "/demo/Count":
                return grpc.unary_stream_rpc_method_handler(self.count)
            case "/demo/Join":
                return grpc.stream_unary_rpc_method_handler(self.join)
            case "/demo/Chat":
                return grpc.stream_stream_rpc_method_handler(self.chat)
            case "/demo/Slow":
                return grpc.unary_unary_rpc_method_handler(self.slow)
            case "/demo/Fail":
                return grpc.unary_unary_rpc_method_handler(self.fail)

    async def echo(self, request, context):
        metadata = dict(context.invocation_metadata())
        context.set_trailing_metadata((("seen", metadata.get("sent", "nothing")),))
        await asyncio.sleep(0)
        return request

    async def count(self, request, context):
        for n in range(int(request)):
            yield b"%d" % n

    async def join(self, requests, context):
        return b",".join([part async for part in requests])

    async def chat(self, requests, context):
        async for part in requests:
            yield part.upper()

    async def slow(self, request, context):
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b""

    async def fail(self, request, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")

    def __init__(self):
        self.cancelled = asyncio.Event()


async def parts(*texts):
    for text in texts:
        await asyncio.sleep(0)
        yield text


async def main():
    service = Service()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([service])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        echo = channel.unary_unary("/demo/Echo")
        call = echo(b"hello", metadata=(("sent", "this"),))
        equal(await call, b"hello", "a unary call")
        equal(dict(await call.trailing_metadata())["seen"], "this", "metadata")
        answers = await asyncio.gather(*(echo(b"%d" % n) for n in range(300)))
        equal(answers, [b"%d" % n for n in range(300)], "300 at once")
        big = b"x" * 3_000_000
        equal(await echo(big), big, "3 MB there and back")
        counted = [int(part) async for part in channel.unary_stream("/demo/Count")(b"200")]
        equal(counted, list(range(200)), "a stream from the server")
        equal(await channel.stream_unary("/demo/Join")(parts(b"a", b"b")), b"a,b", "a stream to the server")
        chat = channel.stream_stream("/demo/Chat")(parts(b"a", b"b", b"c"))
        equal([part async for part in chat], [b"A", b"B", b"C"], "a stream both ways")
        error = await raises(grpc.aio.AioRpcError, channel.unary_unary("/demo/Slow")(b"", timeout=0.2), "late")
        equal(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED, "a deadline")
        slow = channel.unary_unary("/demo/Slow")(b"")
        await asyncio.sleep(0.1)
        check(slow.cancel(), "a cancelled call")
        await raises(asyncio.CancelledError, slow, "it says so")
        await asyncio.wait_for(service.cancelled.wait(), 30)
        check(service.cancelled.is_set(), "the server knows")
        error = await raises(grpc.aio.AioRpcError, channel.unary_unary("/demo/Fail")(b""), "an error")
        equal((error.code(), error.details()), (grpc.StatusCode.NOT_FOUND, "no such thing"), "its words")
        error = await raises(grpc.aio.AioRpcError, channel.unary_unary("/demo/None")(b""), "no such method")
        equal(error.code(), grpc.StatusCode.UNIMPLEMENTED, "its code")
    await server.stop(1)
    await report()


asyncio.run(main())
