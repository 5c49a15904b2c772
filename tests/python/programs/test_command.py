"""``python -m ourio`` and the stubs."""

import subprocess
import sys
from pathlib import Path

import ourio


def ourio_command(*arguments):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "ourio", *arguments], capture_output=True, text=True, check=False
    )


def test_a_script_runs_on_ourio_with_its_arguments(tmp_path):
    script = tmp_path / "script.py"
    (tmp_path / "beside.py").write_text("HERE = 'beside the script'")
    script.write_text(
        "import asyncio, sys, beside\n"
        "async def main():\n"
        "    print(type(asyncio.get_running_loop()).__module__, sys.argv[1:], beside.HERE, __name__)\n"
        "asyncio.run(main())\n"
    )
    done = ourio_command(str(script), "one", "--two")
    assert (done.stdout, done.returncode) == ("ourio._loop ['one', '--two'] beside the script __main__\n", 0), done


def test_the_exit_status_is_the_programs(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import asyncio, sys\nasync def main(): sys.exit(7)\nasyncio.run(main())\n")
    assert ourio_command(str(script)).returncode == 7


def test_a_module_can_be_run():
    done = ourio_command("-m", "timeit", "-n", "1", "-r", "1", "pass")
    assert done.returncode == 0, done


def test_wrong_calls_are_explained():
    assert ourio_command("--version").stdout.startswith(f"ourio {ourio.__version__} on Python 3.")
    assert "usage: ourio" in ourio_command("--help").stdout
    assert ourio_command().returncode == 2
    missing = ourio_command("no such script.py")
    assert missing.returncode == 2
    assert "can't open file 'no such script.py'" in missing.stderr


def test_the_public_names_are_the_documented_ones():
    expected = {"EventLoop", "__version__", "new_event_loop", "run"}
    expected |= {"Deadlock", "DeadlockError", "StuckTask", "Stall", "Watchdog"}
    expected |= {"FlightRecorder", "Metrics", "export_metrics"}
    if sys.version_info < (3, 16):
        expected |= {"EventLoopPolicy", "install"}
    assert set(ourio.__all__) == expected
    for name in ourio.__all__:
        thing = getattr(ourio, name)
        assert isinstance(thing, str) or thing.__doc__, name


def test_the_benchmark_compares_loops():
    benches = Path(__file__).parents[3] / "benches"
    command = [sys.executable, benches, "--quick", "--loops", "asyncio,ourio", "sleep(0)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=55)
    assert done.returncode == 0, done.stderr
    assert "ourio" in done.stdout.splitlines()[1]
