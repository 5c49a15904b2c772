"""SQLAlchemy's asyncio extension on asyncpg and on aiosqlite: sessions, relations, transactions, streaming.

Usage: ``POSTGRES_URL=postgresql://... python -m ourio examples/programs/databases/sqlalchemy_orm.py``
"""

import asyncio
import os
import pathlib
import sys
import tempfile

from sqlalchemy import ForeignKey, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncAttrs, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from _checks import check, equal, report  # noqa: E402

URL = os.environ.get("POSTGRES_URL", "postgresql://postgres@127.0.0.1/postgres")


class Base(AsyncAttrs, DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "ourio_author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    books: Mapped[list["Book"]] = relationship(back_populates="author", order_by="Book.id")


class Book(Base):
    __tablename__ = "ourio_book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("ourio_author.id"))
    author: Mapped[Author] = relationship(back_populates="books")


async def use(engine):
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    async with sessions.begin() as session:
        for n in range(50):
            books = [Book(title=f"book {n}.{m}") for m in range(3)]
            session.add(Author(name=f"author {n}", books=books))
    async with sessions() as session:
        equal(await session.scalar(select(func.count()).select_from(Book)), 150, "all books are there")
        author = await session.scalar(
            select(Author).where(Author.name == "author 7").options(selectinload(Author.books))
        )
        equal([book.title for book in author.books], ["book 7.0", "book 7.1", "book 7.2"], "loaded together")
        lazy = await session.scalar(select(Author).where(Author.name == "author 8"))
        equal(len(await lazy.awaitable_attrs.books), 3, "loaded when asked for")
        streamed = await session.stream_scalars(select(Book).order_by(Book.id).execution_options(yield_per=10))
        equal(len([book async for book in streamed]), 150, "streamed")
    try:
        async with sessions.begin() as session:
            session.add(Author(name="somebody new"))
            session.add(Author(name="author 1"))
        check(False, "accepted twice")
    except IntegrityError:
        check(True, "refused twice")
    async with sessions() as session:
        found = await session.scalar(select(Author).where(Author.name == "somebody new"))
        check(found is None, "rolled back together")

    async def count(n):
        async with sessions() as session:
            return await session.scalar(select(func.count()).select_from(Book).where(Book.title.like(f"book {n}.%")))

    equal(await asyncio.gather(*map(count, range(40))), [3] * 40, "40 sessions at once")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
    await engine.dispose()


async def main():
    await use(create_async_engine(URL.replace("postgresql:", "postgresql+asyncpg:"), pool_size=5))
    with tempfile.TemporaryDirectory() as folder:
        await use(create_async_engine(f"sqlite+aiosqlite:///{folder}/books.db"))
    await report()


asyncio.run(main())
