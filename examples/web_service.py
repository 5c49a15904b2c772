"""A FastAPI service on uvicorn, asked by many clients at once: ``python examples/web_service.py LOOP [REQUESTS]``.

Server and clients are two processes; every response is checked against its request. Prints one JSON line.
"""

import asyncio
import json
import subprocess
import sys
import time

CLIENTS = 50


def loop_factory(name):
    if name == "ourio":
        import ourio

        return ourio.new_event_loop
    return asyncio.SelectorEventLoop


async def serve():
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/items/{number}")
    async def item(number: int, double: bool = False):
        return {"number": number, "value": number * (2 if double else 1)}

    config = uvicorn.Config(app, port=0, http="httptools", ws="none", log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await serving


async def ask(port, numbers):
    """Asks for each number in turn over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    correct = 0
    for number in numbers:
        writer.write(f"GET /items/{number}?double=true HTTP/1.1\r\nhost: tour\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
        body = json.loads(await reader.readexactly(length))
        correct += head.startswith(b"HTTP/1.1 200") and body == {"number": number, "value": 2 * number}
    writer.close()
    await writer.wait_closed()
    return correct


async def ask_all(port, requests):
    started = time.perf_counter()
    shares = [range(client, requests, CLIENTS) for client in range(CLIENTS)]
    correct = sum(await asyncio.gather(*(ask(port, share) for share in shares)))
    return {"requests": requests, "correct": correct, "seconds": time.perf_counter() - started}


def main():
    name, requests = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5000
    if requests == 0:
        with asyncio.Runner(loop_factory=loop_factory(name)) as runner:
            runner.run(serve())
        return
    command = [sys.executable, "-W", "ignore", __file__, name, "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            port = int(server.stdout.readline())
            with asyncio.Runner(loop_factory=loop_factory(name)) as runner:
                print(json.dumps(runner.run(ask_all(port, requests))))
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
