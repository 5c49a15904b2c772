"""A PostgreSQL client: queries, transactions, a pool, COPY, notifications, timeouts and cancellation.

Usage: ``POSTGRES_URL=postgresql://... python -m ourio examples/programs/databases/asyncpg_queries.py``
"""

import asyncio
import datetime
import decimal
import io
import json
import os
import pathlib
import sys

import asyncpg

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402

URL = os.environ.get("POSTGRES_URL", "postgresql://postgres@127.0.0.1/postgres")


async def types(connection):
    moment = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC)
    sent = [1, "text \N{SNOWMAN}", decimal.Decimal("1.50"), moment, [1, 2, 3], b"\0\1", json.dumps({"a": 1}), None]
    row = await connection.fetchrow(
        "select $1::int, $2::text, $3::numeric, $4::timestamptz, $5::int[], $6::bytea, $7::json, $8::int", *sent
    )
    equal(list(row), sent, "every type comes back")
    big = os.urandom(8 * 1024 * 1024)
    equal(await connection.fetchval("select $1::bytea", big), big, "8 MiB there and back")


async def tables(connection):
    await connection.execute("create temp table numbers (n int primary key, square int)")
    rows = [(n, n * n) for n in range(1000)]
    equal(await connection.copy_records_to_table("numbers", records=rows), "COPY 1000", "COPY in")
    equal(await connection.fetchval("select sum(square) from numbers"), sum(n * n for n in range(1000)), "sum")
    statement = await connection.prepare("select square from numbers where n = $1")
    for n in (0, 17, 999):
        equal(await statement.fetchval(n), n * n, "a prepared statement")
    async with connection.transaction():
        seen = [row["n"] async for row in connection.cursor("select n from numbers order by n", prefetch=64)]
    equal(seen, list(range(1000)), "a cursor in chunks")
    out = io.BytesIO()
    await connection.copy_from_query("select n from numbers order by n limit 3", output=out)
    equal(out.getvalue(), b"0\n1\n2\n", "COPY out")
    error = await raises(
        asyncpg.UniqueViolationError, connection.execute("insert into numbers values (1, 1)"), "a violation"
    )
    equal(error.sqlstate, "23505", "its code")
    try:
        async with connection.transaction():
            await connection.execute("delete from numbers")
            raise LookupError
    except LookupError:
        equal(await connection.fetchval("select count(*) from numbers"), 1000, "rolled back")


async def concurrency():
    async with asyncpg.create_pool(URL, min_size=2, max_size=8) as pool:

        async def one(n):
            async with pool.acquire() as connection:
                return await connection.fetchval("select $1::int + 1", n)

        equal(await asyncio.gather(*map(one, range(400))), list(range(1, 401)), "400 queries on 8 connections")
        check(pool.get_size() <= 8, "the pool keeps its size")


async def notifications(connection):
    heard = asyncio.Queue()
    await connection.add_listener("news", lambda *told: heard.put_nowait(told[3]))
    other = await asyncpg.connect(URL)
    for n in range(5):
        await other.execute(f"notify news, '{n}'")
    equal([await asyncio.wait_for(heard.get(), 30) for _ in range(5)], list("01234"), "notifications in order")
    await other.close()


async def failures(connection):
    await raises(TimeoutError, connection.execute("select pg_sleep(30)", timeout=0.1), "a timeout")
    equal(await connection.fetchval("select 1"), 1, "the connection lives on")
    task = asyncio.create_task(connection.execute("select pg_sleep(30)"))
    await asyncio.sleep(0.1)
    task.cancel()
    await raises(asyncio.CancelledError, task, "a cancelled query")
    equal(await connection.fetchval("select 2"), 2, "the connection lives on")
    await raises(asyncpg.PostgresSyntaxError, connection.execute("selekt"), "a syntax error")
    await raises(OSError, asyncpg.connect("postgresql://postgres@127.0.0.1:1/none"), "a refused connection")


async def main():
    connection = await asyncpg.connect(URL)
    await types(connection)
    await tables(connection)
    await concurrency()
    await notifications(connection)
    await failures(connection)
    await connection.close()
    check(connection.is_closed(), "closed")
    await report()


asyncio.run(main())
