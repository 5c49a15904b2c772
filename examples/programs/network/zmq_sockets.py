"""ZeroMQ's patterns over its asyncio sockets, which watch a descriptor that a thread of the library makes ready.

Usage: ``python -m ourio examples/programs/network/zmq_sockets.py``
"""

import asyncio
import os
import pathlib
import sys

import zmq
import zmq.asyncio

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402


async def request_and_reply(context):
    async def serve(socket):
        while (message := await socket.recv_json()) != "end":
            await socket.send_json({"twice": message["n"] * 2})
        await socket.send_json("ended")

    with context.socket(zmq.REP) as server, context.socket(zmq.REQ) as client:
        client.connect(f"tcp://127.0.0.1:{server.bind_to_random_port('tcp://127.0.0.1')}")
        serving = asyncio.create_task(serve(server))
        answers = []
        for n in range(200):
            await client.send_json({"n": n})
            answers.append((await client.recv_json())["twice"])
        equal(answers, [2 * n for n in range(200)], "200 requests")
        await client.send_json("end")
        equal(await client.recv_json(), "ended", "and the end")
        await serving


async def pipeline(context):
    with context.socket(zmq.PUSH) as source, context.socket(zmq.PULL) as sink:
        source.bind("inproc://work")
        sink.connect("inproc://work")
        blobs = [os.urandom(1000) for _ in range(500)]
        blobs.append(os.urandom(2_000_000))
        _, got = await asyncio.gather(
            asyncio.gather(*(source.send(blob) for blob in blobs)),
            asyncio.gather(*(sink.recv() for _ in blobs)),
        )
        equal(got, blobs, "in order, small and large")


async def publish(context):
    with context.socket(zmq.XPUB) as news, context.socket(zmq.SUB) as reader:
        port = news.bind_to_random_port("tcp://127.0.0.1")
        reader.connect(f"tcp://127.0.0.1:{port}")
        reader.subscribe(b"sport")
        equal(await news.recv(), b"\x01sport", "a subscription")
        for n in range(20):
            await news.send_multipart([b"sport" if n % 2 else b"weather", str(n).encode()])
        heard = [(await reader.recv_multipart())[1] for _ in range(10)]
        equal(heard, [str(n).encode() for n in range(1, 20, 2)], "only what was subscribed")


async def routing(context):
    with context.socket(zmq.ROUTER) as router:
        port = router.bind_to_random_port("tcp://127.0.0.1")
        dealers = [context.socket(zmq.DEALER) for _ in range(10)]
        for n, dealer in enumerate(dealers):
            dealer.identity = f"dealer-{n}".encode()
            dealer.connect(f"tcp://127.0.0.1:{port}")
            await dealer.send(str(n).encode())
        for _ in dealers:
            identity, message = await router.recv_multipart()
            await router.send_multipart([identity, message * 2])
        answers = await asyncio.gather(*(dealer.recv() for dealer in dealers))
        equal(answers, [str(n).encode() * 2 for n in range(10)], "each its own answer")
        await raises(TimeoutError, asyncio.wait_for(router.recv_multipart(), 0.1), "nothing more to receive")
        equal(await router.poll(100), 0, "nor to poll")
        for dealer in dealers:
            dealer.close(linger=0)


async def main():
    context = zmq.asyncio.Context()
    await request_and_reply(context)
    await pipeline(context)
    await publish(context)
    await routing(context)
    context.term()
    check(context.closed, "the context ends")
    await report()


asyncio.run(main())
