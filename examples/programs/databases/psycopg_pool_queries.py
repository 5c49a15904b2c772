"""psycopg's connections and pool on PostgreSQL: it watches libpq's own descriptors with add_reader and add_writer.

Usage: ``POSTGRES_URL=postgresql://... python -m ourio examples/programs/databases/psycopg_pool_queries.py``
"""

import asyncio
import os
import pathlib
import sys

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402

URL = os.environ.get("POSTGRES_URL", "postgresql://127.0.0.1/postgres")


async def queries(connection):
    cursor = await connection.execute("select generate_series(1, 20000) as n")
    equal(sum(row[0] for row in await cursor.fetchall()), 200_010_000, "20,000 rows")
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute("select %s::int as a, %s::text as b", (1, "two"))
        equal(await cursor.fetchone(), {"a": 1, "b": "two"}, "parameters")
    async with connection.transaction(force_rollback=True):
        await connection.execute("create table rolled_back (n int)")
    await raises(psycopg.errors.UndefinedTable, connection.execute("select * from rolled_back"), "rolled back")
    await raises(psycopg.errors.DivisionByZero, connection.execute("select 1/0"), "an error of the server")
    blob = os.urandom(3_000_000)
    cursor = await connection.execute("select %b::bytea", (blob,))
    check((await cursor.fetchone())[0] == blob, "3 MB there and back")


async def copying(connection):
    await connection.execute("create temporary table copied (n int, t text)")
    async with connection.cursor() as cursor:
        async with cursor.copy("copy copied from stdin") as copy:
            for n in range(10_000):
                await copy.write_row((n, "x" * 50))
        async with cursor.copy("copy (select n from copied order by n) to stdout") as copy:
            rows = [int(row[0]) async for row in copy.rows()]
    equal(rows, list(range(10_000)), "copied in and out")
    async with connection.pipeline():
        cursors = [await connection.execute("select %s::int", (n,)) for n in range(200)]
    equal([(await cursor.fetchone())[0] for cursor in cursors], list(range(200)), "a pipeline of 200")


async def notifications():
    async with (
        await psycopg.AsyncConnection.connect(URL, autocommit=True) as hears,
        await psycopg.AsyncConnection.connect(URL, autocommit=True) as tells,
    ):
        await hears.execute("listen news")

        async def tell():
            for n in range(10):
                await tells.execute("select pg_notify('news', %s)", (str(n),))

        telling = asyncio.create_task(tell())
        heard = [note.payload async for note in hears.notifies(timeout=30, stop_after=10)]
        await telling
        equal(sorted(heard), sorted(map(str, range(10))), "notified")


async def main():
    async with AsyncConnectionPool(URL, min_size=2, max_size=5, kwargs={"autocommit": True}, open=False) as pool:
        async with pool.connection() as connection:
            await queries(connection)
            await copying(connection)

        async def one(n):
            async with pool.connection() as connection:
                cursor = await connection.execute("select %s::int, pg_sleep(0.01)", (n,))
                return (await cursor.fetchone())[0]

        equal(await asyncio.gather(*map(one, range(60))), list(range(60)), "60 at once over 5 connections")

        async def slow():
            async with pool.connection() as connection:
                await connection.execute("select pg_sleep(30)")

        await raises(TimeoutError, asyncio.wait_for(slow(), 0.2), "a query that is given up")
        equal(await one(7), 7, "the pool goes on")
    await notifications()
    refused = psycopg.AsyncConnection.connect("postgresql://127.0.0.1:1/none", connect_timeout=5)
    await raises(psycopg.OperationalError, refused, "a refused connection")
    await report()


asyncio.run(main())
