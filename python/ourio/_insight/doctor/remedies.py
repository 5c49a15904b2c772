"""What helps against each kind of finding, in one sentence."""

from ourio._insight.stalls import Stall
from ourio._insight.stalls import stall as causes

_STALLS = {
    causes.PYTHON: "move the computation to a process (loop.run_in_executor with a ProcessPoolExecutor), or let"
    " others run in between (await asyncio.sleep(0)).",
    causes.CALL: "use the asynchronous call instead (asyncio.sleep, streams, an asyncio client), or run it in a"
    " thread: await asyncio.to_thread(...).",
    causes.LOCK: "a lock of threading blocks the whole loop: use asyncio.Lock, or take it in a thread.",
    causes.GIL: "another thread keeps the interpreter's lock: move its work to another process.",
    causes.COLLECTION: "make fewer objects that live long and refer to each other, or gc.freeze() after the start.",
    causes.DESCHEDULED: "the machine has too little CPU for this process.",
    causes.UNKNOWN: "look at the stack, and move what blocks into a thread or a process.",
}
_NATIVE_KEEPS = "this native code keeps the interpreter's lock, so a thread does not help: run it in another process."
_NATIVE_SHARES = "run it in a thread: await asyncio.to_thread(...); it lets go of the interpreter's lock."
_DEADLOCK = "bound what may never happen: async with asyncio.timeout(...)."
_DEADLOCKS = {
    "lock": "take locks in one order everywhere, and hold none over a wait for somebody who needs it.",
    "semaphore": "hold no place of a semaphore over a wait for somebody who needs one.",
    "queue": "tell the other side when there is nothing more: a last item, task_done, or Queue.shutdown (3.13).",
    "task": "let no two tasks wait for each other's end; pass results through a future or a queue.",
    "event": "set the event on every way out of who is to set it, also when that fails.",
    "future": "set the future on every way out of who is to set it, also when that fails.",
}
LOST_EXCEPTION = (
    "asyncio: exceptions of a task are seen by who awaits it: await it, use a TaskGroup, or a done callback."
)
FLOOD = "bound how many run at a time: a Semaphore around the work, or a Queue with a few workers."
FORGOTTEN_AWAIT = "await it, or make a task of it: asyncio.create_task(...)."
SLOW_SHUTDOWN = "end tasks when they are cancelled, and tell threads to stop before the program ends."
DESTROYED_TASK = "keep a reference to a task for as long as it is to run: the loop itself keeps none."


def of_stall(stall: Stall) -> str:
    """What helps against a stall: that depends on its cause."""
    return _STALLS.get(stall.cause) or (_NATIVE_KEEPS if "with the GIL" in stall.detail else _NATIVE_SHARES)


def of_deadlock(kind: str) -> str:
    """What helps against a deadlock of tasks that wait for a thing of that kind."""
    return _DEADLOCKS.get(kind, _DEADLOCK)
