"""A Redis client: commands, pipelines, publish and subscribe, blocking reads, and a message-queue consumer.

Usage: ``REDIS_URL=redis://... python -m ourio examples/programs/databases/redis_client.py``
"""

import asyncio
import contextlib
import os
import pathlib
import sys

from redis import asyncio as redis
from redis import exceptions

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402

URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")


async def commands(client):
    check(await client.ping(), "ping")
    await client.set("key", "value", px=100_000)
    equal(await client.get("key"), b"value", "get")
    big = os.urandom(4 * 1024 * 1024)
    await client.set("big", big)
    equal(await client.get("big"), big, "4 MiB there and back")
    async with client.pipeline(transaction=True) as pipe:
        for n in range(500):
            pipe.set(f"n:{n}", n).get(f"n:{n}")
        answers = await pipe.execute()
    equal(answers[1::2], [str(n).encode() for n in range(500)], "a pipeline of 1,000")
    script = client.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
    equal(await script(keys=["counter"], args=[7]), 7, "a script")
    equal(sorted([key async for key in client.scan_iter("n:*")])[:2], [b"n:0", b"n:1"], "a scan")
    await raises(exceptions.ResponseError, client.execute_command("NOSUCH"), "an unknown command")
    counts = await asyncio.gather(*(client.incr("shared") for _ in range(200)))
    equal(sorted(counts), list(range(1, 201)), "200 at once")


async def messages(client):
    async with client.pubsub() as subscriber:
        await subscriber.subscribe("news")
        await subscriber.get_message(timeout=30)
        for n in range(10):
            await client.publish("news", n)
        heard = [await subscriber.get_message(timeout=30) for _ in range(10)]
    equal([message["data"] for message in heard], [str(n).encode() for n in range(10)], "published in order")


async def blocking(client):
    equal(await client.blpop("empty", timeout=0.2), None, "a blocking read that times out")
    waiting = asyncio.create_task(client.blpop("jobs", timeout=30))
    await asyncio.sleep(0.05)
    await client.rpush("jobs", "job")
    equal(await waiting, (b"jobs", b"job"), "a blocking read that is woken")
    cancelled = asyncio.create_task(client.blpop("jobs", timeout=30))
    await asyncio.sleep(0.05)
    cancelled.cancel()
    await raises(asyncio.CancelledError, cancelled, "a cancelled read")
    check(await client.ping(), "the pool has a clean connection left")


async def consumers(client):
    """A work queue: three consumers of one group, each message acknowledged once."""
    await client.xgroup_create("work", "group", mkstream=True)
    for n in range(120):
        await client.xadd("work", {"n": n})
    seen = []

    async def consume(name):
        while batch := await client.xreadgroup("group", name, {"work": ">"}, count=5, block=200):
            for identity, fields in batch[0][1]:
                seen.append(int(fields[b"n"]))
                await asyncio.sleep(0)
                await client.xack("work", "group", identity)

    await asyncio.gather(*(consume(f"consumer-{n}") for n in range(3)))
    equal(sorted(seen), list(range(120)), "each message once")
    equal((await client.xpending("work", "group"))["pending"], 0, "all acknowledged")


async def main():
    urls = [URL, *filter(None, [os.environ.get("REDIS_UNIX_URL")])]
    for url in urls:
        # A pool that waits for a connection instead of refusing.
        pool = redis.BlockingConnectionPool.from_url(url, max_connections=20, timeout=60)
        async with contextlib.aclosing(redis.Redis.from_pool(pool)) as client:
            await client.flushdb()
            await commands(client)
            await messages(client)
            await blocking(client)
            await consumers(client)
    async with contextlib.aclosing(redis.from_url("redis://127.0.0.1:1")) as nobody:
        await raises(exceptions.ConnectionError, nobody.ping(), "a refused connection")
    await report()


asyncio.run(main())
