"""What these programs share: they check their results, and end with a line that says how many."""

import asyncio

_checked = []


def check(holds, what):
    """Count a check; AssertionError with what was wrong if it does not hold."""
    if not holds:
        raise AssertionError(what)
    _checked.append(what)


def equal(found, expected, what):
    """Count a comparison."""
    check(found == expected, f"{what}: {found!r:.200} instead of {expected!r:.200}")


async def raises(kind, awaitable, what):
    """Count an expected exception, and return it."""
    try:
        result = await awaitable
    except kind as error:
        check(True, what)
        return error
    raise AssertionError(f"{what}: {result!r:.200} instead of {kind}")


async def report():
    """Say how many checks there were, and on which loop."""
    print(f"{len(_checked)} checks on {type(asyncio.get_running_loop()).__module__}")
