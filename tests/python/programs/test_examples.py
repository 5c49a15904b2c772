"""The programs of the tour print on Ourio exactly what they print on stock asyncio."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
sys.path.insert(0, str(EXAMPLES))
import scenarios  # noqa: E402
import whole_programs  # noqa: E402, F401 (registers its own)


@pytest.mark.parametrize("number", list(scenarios.SCENARIOS))
def test_a_scenario_prints_the_same_on_both_loops(number):
    printed = {}
    for loop in ("asyncio", "ourio"):
        script = EXAMPLES / ("scenarios.py" if number <= 17 else "whole_programs.py")
        command = [sys.executable, "-W", "ignore::DeprecationWarning", script, loop, str(number)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        printed[loop] = (done.stdout, done.stderr)
    assert printed["ourio"] == printed["asyncio"]
    assert len(printed["ourio"][0].splitlines()) > 1
