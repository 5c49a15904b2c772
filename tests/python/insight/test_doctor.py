"""``ourio doctor`` names what is sick in a program, with its line and its cause, and says nothing of a healthy one."""

import json
import pathlib
import subprocess
import sys

import pytest

SICK = pathlib.Path(__file__).parents[3] / "examples" / "sick"
PROGRAMS = {path.stem: path for path in SICK.glob("*/*.py")}
# A machine may have no processor for the loop at that moment, which is then as true.
NO_CPU = "no processor to run on"
EXPECTED = {
    "blocking_receive": ("stall", "a system call"),
    "cpu_loop": ("stall", "Python code on the CPU"),
    "dropped_task": ("destroyed task", ""),
    "exploding_regex": ("stall", "native code on the CPU"),
    "forgotten_await": ("forgotten await", ""),
    "future_nobody_sets": ("deadlock", "definite"),
    "garbage_storm": ("stall", "garbage collection"),
    "hungry_queue": ("deadlock", "definite"),
    "lock_deadlock": ("deadlock", "definite"),
    "native_with_the_gil": ("stall", "native code on the CPU"),
    "sleep_in_coroutine": ("stall", "a system call"),
    "slow_shutdown": ("slow shutdown", ""),
    "swallowed_exception": ("lost exception", ""),
    "task_cycle": ("deadlock", "definite"),
    "task_flood": ("flood", ""),
}


def examine(script, *arguments, options=()):
    """Run a program under the doctor; its status, what was found, and what was written for people."""
    command = [sys.executable, "-m", "ourio", "doctor", "--json", "-", *options, str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    found = json.loads(done.stdout[done.stdout.index("[") :]) if "[" in done.stdout else None
    return done.returncode, found, done.stderr


def sick_lines(script):
    return [number for number, line in enumerate(script.read_text().splitlines(), 1) if line.endswith("# sick")]


def test_every_sick_program_is_known_here():
    assert set(PROGRAMS) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_sick_program_is_named_with_its_line_and_its_cause(name):
    script = PROGRAMS[name]
    kind, cause = EXPECTED[name]
    status, found, report = examine(script)
    assert status == 1
    named = [one for one in found if one["kind"] == kind and one["cause"] in (cause, NO_CPU)]
    assert named, (found, report)
    named.sort(key=lambda one: one["cause"] == NO_CPU)
    assert (named[0]["filename"], named[0]["lineno"] in sick_lines(script)) == (str(script), True), found
    assert f'at "{script}", line {named[0]["lineno"]}' in report
    assert "remedy: " in report
    if kind == "deadlock":
        assert [one["count"] for one in named] == [1], found
    # Nothing else is said of it, but for stalls of a machine that is busy.
    assert all(one["kind"] == kind or one["cause"] == NO_CPU for one in found), found


@pytest.mark.parametrize("name", EXPECTED)
def test_its_healthy_twin_is_not(name):
    # A shared machine takes the processor away for a tenth of a second now and then.
    status, found, report = examine(PROGRAMS[name], "--healthy", options=("--threshold", "0.25"))
    found = [one for one in found if one["cause"] != NO_CPU]
    assert not found, report
    assert status == 0 or "no processor" in report


def test_a_program_that_fails_shows_why_and_its_findings(tmp_path):
    script = tmp_path / "failing.py"
    script.write_text(
        "import asyncio\n"
        "async def main():\n"
        "    asyncio.sleep(0)\n"
        "    raise KeyError('the reason')\n"
        "asyncio.run(main())\n"
    )
    status, found, report = examine(script)
    assert status == 1
    assert [(one["kind"], one["lineno"]) for one in found] == [("forgotten await", 3)]
    assert "KeyError: 'the reason'" in report


def test_a_program_that_is_not_there_is_a_wrong_call():
    status, found, report = examine("/nonexistent.py")
    assert (status, found) == (2, None)
    assert "No such file" in report
    status, _, report = examine(PROGRAMS["cpu_loop"], options=("--json", "/nonexistent/findings"))
    assert status == 2
    assert "No such file" in report
    status, _, report = examine(PROGRAMS["cpu_loop"], options=("--threshold", "-1"))
    assert status == 2
    assert "positive" in report
