"""A service to look at: it serves itself, waits for locks and queues, and blocks now and then when it is told to."""

import asyncio
import sys
import time


async def echo(reader, writer):
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


async def client(address, name):
    reader, writer = await asyncio.open_connection(*address)
    while True:
        for _ in range(200):
            writer.write(name.encode() * 20)
            await reader.read(1000)
        await asyncio.sleep(0.05)


async def refresh_cache(lock):
    async with lock:
        await asyncio.sleep(3600)


async def handle_order(lock):
    async with lock:
        pass


async def work_off(queue):
    while True:
        await queue.get()


def build_report(seconds):
    time.sleep(seconds)  # the line that blocks


async def main():
    asyncio.current_task().set_name("main")
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    lock, queue = asyncio.Lock(), asyncio.Queue()
    tasks = [asyncio.create_task(client(address, f"client {number}"), name=f"client {number}") for number in range(4)]
    tasks.append(asyncio.create_task(refresh_cache(lock), name="refresh the cache"))
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(handle_order(lock), name=f"order {number}") for number in range(3)]
    tasks.append(asyncio.create_task(work_off(queue), name="worker"))
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        build_report(float(line))
        print("done", flush=True)


asyncio.run(main())
