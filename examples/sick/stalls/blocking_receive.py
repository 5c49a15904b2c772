"""A blocking client inside of a coroutine, as with `requests`: the loop waits for its server.

``ourio doctor examples/sick/stalls/blocking_receive.py`` names the line; ``--healthy`` is how it should be.
"""

import asyncio
import socket
import sys
import threading
import time


def slow_server(listener):
    connection, _ = listener.accept()
    with connection:
        time.sleep(0.3)
        connection.sendall(b"late")


def serve():
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=slow_server, args=(listener,), daemon=True).start()
    return listener, listener.getsockname()


async def sick():
    listener, address = serve()
    with listener, socket.create_connection(address) as client:
        print(client.recv(100))  # sick


async def healthy():
    listener, address = serve()
    with listener:
        reader, writer = await asyncio.open_connection(*address)
        print(await reader.read(100))
        writer.close()
        await writer.wait_closed()


if __name__ == "__main__":
    asyncio.run(healthy() if "--healthy" in sys.argv else sick())
