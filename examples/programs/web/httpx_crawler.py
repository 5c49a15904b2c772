"""A crawler: hundreds of pages from a server of its own, a limit on how many at once, retries, timeouts.

Usage: ``python -m ourio examples/programs/web/httpx_crawler.py``
"""

import asyncio
import pathlib
import re
import sys

import httpx

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, raises, report  # noqa: E402

PAGES = 400
LIMIT = 20


class Site:
    """A small HTTP server over asyncio streams: page n links to 2n+1 and 2n+2; some pages misbehave."""

    def __init__(self):
        self.at_once = self.most_at_once = 0
        self.refused = set()
        self.over = asyncio.Event()

    async def handle(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    if not await self.answer(head, writer):
                        return
                finally:
                    self.at_once -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, head, writer):
        page = int(head.split()[1].rpartition(b"/")[2])
        await asyncio.sleep(0.002)
        if page % 50 == 7 and page not in self.refused:
            # Dropped in the middle of the response, the first time.
            self.refused.add(page)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\ncut")
            return False
        if page == 99999:
            await self.over.wait()
        links = [2 * page + 1, 2 * page + 2]
        body = "".join(f'<a href="/page/{link}">' for link in links if link < PAGES).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        return True


async def crawl(client, start):
    """Fetch every page that can be reached; the pages, and how many fetches had to be repeated."""
    seen, repeated = {start}, 0
    gate = asyncio.Semaphore(LIMIT)

    async def fetch(page):
        nonlocal repeated
        for _attempt in range(3):
            try:
                async with gate:
                    return (await client.get(f"/page/{page}")).text
            except httpx.TransportError:
                repeated += 1
        raise RuntimeError(f"page {page} cannot be had")

    async def visit(page, group):
        for link in map(int, re.findall(r"/page/(\d+)", await fetch(page))):
            if link not in seen:
                seen.add(link)
                group.create_task(visit(link, group))

    async with asyncio.TaskGroup() as group:
        group.create_task(visit(start, group))
    return seen, repeated


async def main():
    site = Site()
    async with await asyncio.start_server(site.handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        base = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base, timeout=60) as client:
            pages, repeated = await crawl(client, 0)
            equal(pages, set(range(PAGES)), "every page")
            equal(repeated, 8, "a page that breaks off is fetched again")
            check(1 < site.most_at_once <= LIMIT, f"at most {LIMIT} at once")
            await raises(httpx.ReadTimeout, client.get("/page/99999", timeout=0.2), "a page that never comes")
            try:
                async with asyncio.timeout(0.2):
                    await client.get("/page/99999")
                check(False, "it came")
            except TimeoutError:
                check(True, "a deadline around a request")
        site.over.set()
    await raises(httpx.ConnectError, httpx.AsyncClient().get(base), "a closed server refuses")
    await report()


asyncio.run(main())
