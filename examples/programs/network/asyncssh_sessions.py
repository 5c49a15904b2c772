"""An SSH server and its clients: sessions, exit statuses, standard streams, SFTP, a forwarded port, refused passwords.

Usage: ``python -m ourio examples/programs/network/asyncssh_sessions.py``
"""

import asyncio
import os
import pathlib
import sys
import tempfile

import asyncssh

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402

BLOB = os.urandom(1_500_000)


class Door(asyncssh.SSHServer):
    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return (username, password) == ("guest", "open sesame")

    def connection_requested(self, dest_host, dest_port, orig_host, orig_port):
        return True


async def serve(process):
    """What a session runs, by its command."""
    match process.command.split():
        case ["upper"]:
            async for line in process.stdin:
                process.stdout.write(line.upper())
        case ["sleep", seconds]:
            await asyncio.sleep(float(seconds))
        case ["fail", status]:
            process.stderr.write("it failed\n")
            process.exit(int(status))
            return
    process.exit(0)


async def sessions(client):
    done = await client.run("upper", input="one\ntwo\n")
    equal((done.stdout, done.exit_status), ("ONE\nTWO\n", 0), "lines there and back")
    done = await client.run("fail 3")
    equal((done.stderr, done.exit_status), ("it failed\n", 3), "an exit status and what was said")
    several = await asyncio.gather(*(client.run("upper", input=f"{n} a\n") for n in range(30)))
    equal([one.stdout for one in several], [f"{n} A\n" for n in range(30)], "30 sessions over one connection")
    big = await client.run("upper", input="x" * 500_000 + "\n")
    equal(len(big.stdout), 500_001, "more than a window")
    await raises(asyncio.TimeoutError, asyncio.wait_for(client.run("sleep 30"), 0.1), "a session that is given up")
    equal((await client.run("upper", input="still\n")).stdout, "STILL\n", "the connection outlives it")


async def files(client, folder):
    local, back = folder / "local", folder / "back"
    local.write_bytes(BLOB)
    async with client.start_sftp_client() as sftp:
        await sftp.put(local, folder / "remote")
        await sftp.get(folder / "remote", back)
        check(back.read_bytes() == BLOB, "a file there and back")
        async with sftp.open(folder / "remote", "rb") as file:
            await file.seek(1_000_000)
            equal(await file.read(100), BLOB[1_000_000:1_000_100], "a piece of it")
        equal(sorted(set(await sftp.listdir(folder)) - {".", ".."}), ["back", "local", "remote"], "a folder")
        await raises(asyncssh.SFTPNoSuchFile, sftp.stat(folder / "nothing"), "a file that is not there")


async def forwarding(client):
    async def echo(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with client.forward_local_port("127.0.0.1", 0, "127.0.0.1", port) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.get_port())
        writer.write(BLOB[:300_000])
        equal(await reader.readexactly(300_000), BLOB[:300_000], "through a forwarded port")
        writer.close()
        await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def main():
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[key], server_factory=Door, process_factory=serve, sftp_factory=True
    ) as server:
        where = {"port": server.get_port(), "username": "guest", "known_hosts": None, "client_keys": None}
        await raises(
            asyncssh.PermissionDenied, asyncssh.connect("127.0.0.1", password="wrong", **where), "a wrong password"
        )
        with tempfile.TemporaryDirectory() as folder:
            async with asyncssh.connect("127.0.0.1", password="open sesame", **where) as client:
                await sessions(client)
                await files(client, pathlib.Path(folder))
                await forwarding(client)
    await report()


asyncio.run(main())
