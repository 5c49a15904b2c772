"""uvloop's own tests, from its source package, with Ourio in uvloop's place."""

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version

CONFORMANCE = pathlib.Path(__file__).resolve().parents[1] / "conformance"


def run(keep):
    """Run them; the names of what failed."""
    folder = keep / f"uvloop-{version('uvloop')}"
    if not folder.exists():
        fetch(folder)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [sys.executable, str(CONFORMANCE), "--suite", "uvloop", "--keep", str(keep / f"uvloop-{python}")]
    done = subprocess.run(command, env=environment, check=False)
    return [] if done.returncode == 0 else ["uvloop"]


def fetch(folder):
    """Unpack the tests of the source package of the installed version."""
    with tempfile.TemporaryDirectory() as downloads:
        wanted = f"uvloop=={version('uvloop')}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--no-binary", "uvloop", "--dest", downloads, wanted]
        subprocess.run(command, check=True)
        (archive,) = pathlib.Path(downloads).glob("*.tar.gz")
        with tarfile.open(archive) as source:
            source.extractall(downloads, filter="data")
        (unpacked,) = pathlib.Path(downloads).glob("uvloop-*/")
        folder.mkdir(parents=True)
        # Only the tests: the package itself is the installed one.
        shutil.move(unpacked / "tests", folder / "tests")
