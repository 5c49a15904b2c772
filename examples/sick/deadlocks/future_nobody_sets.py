"""An answer that never comes, because nobody is left to give it.

``ourio doctor examples/sick/deadlocks/future_nobody_sets.py`` names the line; ``--healthy`` is how it should be.
"""

import asyncio
import sys


async def ask(answers, question):
    answers[question] = asyncio.get_running_loop().create_future()
    return await answers[question]  # sick


async def sick():
    await ask({}, "why")


async def healthy():
    answers = {}
    asyncio.get_running_loop().call_later(0.01, lambda: answers["why"].set_result("because"))
    print(await ask(answers, "why"))


if __name__ == "__main__":
    asyncio.run(healthy() if "--healthy" in sys.argv else sick())
