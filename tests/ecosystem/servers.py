"""PostgreSQL and Redis of Debian's packages, on free ports, in folders that are removed afterwards."""

import contextlib
import functools
import glob
import os
import pathlib
import platform
import pwd
import shutil
import socket
import subprocess
import tempfile
import time


class Unavailable(Exception):
    """A server that cannot be had here, and why."""


def free_port():
    """A port that nobody listened on a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def wait_for(port, process):
    """Wait until the process accepts connections."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if process.poll() is not None:
            raise Unavailable(f"the server ended with status {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise Unavailable("the server accepts no connections after a minute")


@functools.cache
def find(program, package, keep):
    """The program's path and the environment it needs: installed, or unpacked from Debian's packages."""
    installed = next(iter(glob.glob(f"/usr/lib/postgresql/*/bin/{program}")), None) or shutil.which(program)
    if installed is not None:
        # The one that a link in /usr/local/bin names: its siblings lie beside it.
        return os.path.realpath(installed), {}
    root = keep / "debian"
    if not (root / package).exists():
        unpack(package, root / package)
    found = sorted(root.glob(f"{package}/**/bin/{program}"))
    if not found:
        raise Unavailable(f"Debian's package {package} has no {program}")
    libraries = root / package / "usr/lib" / f"{platform.machine()}-linux-gnu"
    return str(found[0]), {"LD_LIBRARY_PATH": str(libraries)}


def unpack(package, folder):
    """Download a package and what it needs beyond what is installed, and unpack it all into a folder."""
    if shutil.which("apt-get") is None:
        raise Unavailable(f"{package} is not installed, and this is not Debian; install it")
    simulate = ["apt-get", "install", "--simulate", "--no-install-recommends", package]
    planned = subprocess.run(simulate, capture_output=True, text=True, check=False)
    if planned.returncode != 0 and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=False, capture_output=True)
        planned = subprocess.run(simulate, capture_output=True, text=True, check=False)
    if planned.returncode != 0:
        raise Unavailable(f"apt-get knows no {package}: {planned.stderr.strip()}")
    names = [line.split()[1] for line in planned.stdout.splitlines() if line.startswith("Inst ")]
    with tempfile.TemporaryDirectory() as downloads:
        got = subprocess.run(
            ["apt-get", "download", *names], cwd=downloads, capture_output=True, text=True, check=False
        )
        if got.returncode != 0:
            raise Unavailable(f"apt-get download {package}: {got.stderr.strip()}")
        partial = folder.with_suffix(".partial")
        partial.mkdir(parents=True, exist_ok=True)
        for deb in pathlib.Path(downloads).glob("*.deb"):
            subprocess.run(["dpkg", "-x", deb, partial], check=True)
        partial.rename(folder)


@contextlib.contextmanager
def postgres(keep):
    """A PostgreSQL server; its address as asyncpg takes it."""
    initdb, environment = find("initdb", "postgresql", keep)
    server = str(pathlib.Path(initdb).with_name("postgres"))
    environment = {**os.environ, **environment}
    # PostgreSQL refuses to run as root.
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    identity = {"user": user.pw_uid, "group": user.pw_gid} if user else {}
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ourio-postgres-") as folder:
        if user:
            os.chown(folder, user.pw_uid, user.pw_gid)
        made = subprocess.run(
            [initdb, "-D", f"{folder}/data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "-N"],
            capture_output=True,
            text=True,
            env=environment,
            cwd=folder,
            **identity,
            check=False,
        )
        if made.returncode != 0:
            raise Unavailable(f"initdb: {made.stderr.strip()}")
        command = [server, "-D", f"{folder}/data", "-p", str(port), "-k", folder, "-F", "-h", "127.0.0.1"]
        with running(command, port, environment, cwd=folder, **identity):
            # The socket accepts before the server does.
            ready = [str(pathlib.Path(initdb).with_name("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(port)]
            until = time.monotonic() + 60
            while subprocess.run(ready, env=environment, check=False).returncode != 0:
                if time.monotonic() > until:
                    raise Unavailable("PostgreSQL is not ready after a minute")
                time.sleep(0.05)
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"


@contextlib.contextmanager
def redis(keep):
    """A Redis server; its address as redis-py takes it, and its Unix socket."""
    server, environment = find("redis-server", "redis-server", keep)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ourio-redis-") as folder:
        command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        command += ["--unixsocket", f"{folder}/redis.sock"]
        with running(command, port, {**os.environ, **environment}, cwd=folder):
            yield f"redis://127.0.0.1:{port}/0", f"unix://{folder}/redis.sock?db=0"


@contextlib.contextmanager
def running(command, port, environment, **options):
    """A server process that accepts connections, stopped at the end."""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    try:
        wait_for(port, process)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
