"""Tests the dashboard in headless Chromium, and takes the pictures of the documentation: ``cargo xtask dashboard``.

It needs Debian's ``chromium`` (or another one, named by ``CHROMIUM``); the rest is installed into an environment of its
own. The page must stay live while the loop is blocked for five seconds, and show the line that blocks it.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

from ourio import _ourio
from ourio._insight.monitor import client
from playwright.sync_api import sync_playwright

HERE = pathlib.Path(__file__).parent
IMAGES = HERE.parents[1] / "docs" / "images"
BLOCKED = 5.0
DESKTOP, PHONE = {"width": 1200, "height": 1000}, {"width": 390, "height": 844}


@contextlib.contextmanager
def service(folder):
    """The program that is looked at, and where a browser finds its dashboard."""
    command = [sys.executable, "-m", "ourio", "run", "--tasks", "--monitor-http", "127.0.0.1:0", "service.py"]
    pipe = subprocess.PIPE
    own = {**os.environ, "XDG_RUNTIME_DIR": folder}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=own, cwd=HERE) as process:
        try:
            url = re.search(r"http://\S+", process.stderr.readline())[0]
            assert process.stdout.readline() == "ready\n"
            yield process, url
        finally:
            process.stdin.close()


def block(process, seconds):
    process.stdin.write(f"{seconds}\n")
    process.stdin.flush()


def check_it_stays_live(page, process):
    """While the loop is blocked the page goes on, and says where."""
    block(process, BLOCKED)
    page.locator(".loop.blocked").wait_for(timeout=4000)
    seen = set()
    while len(seen) < 3:
        seen.add(page.locator(".loop .status").inner_text())
        page.wait_for_timeout(300)
    assert all(text.lower().startswith("blocked for") for text in seen), seen
    note = page.locator(".note").first
    # HTML shows a run of spaces as one.
    assert "time.sleep(seconds) # the line that blocks" in note.inner_text(), page.locator("#notes").inner_text()
    note.locator("summary").click()
    assert "build_report" in note.locator("pre").inner_text()
    note.locator("summary").click()
    assert not page.locator("#link").inner_text(), "the page had its answers"
    process.stdout.readline()
    page.locator(".loop:not(.blocked)").wait_for(timeout=4000)


def check_tasks(page):
    """They are listed, sorted, searched, and shown as a tree."""
    page.locator("#tasks tbody tr").nth(9).wait_for()
    page.get_by_role("searchbox").fill("order 1")
    assert page.locator("#tasks tbody tr").count() == 1
    row = page.locator("#tasks tbody tr").inner_text()
    assert "a lock" in row
    assert "service.py" in row
    page.get_by_role("searchbox").fill("")
    page.get_by_role("button", name="task", exact=True).click()
    names = page.locator("#tasks tbody tr td:first-child").all_inner_texts()
    assert names == sorted(names, key=str.casefold), names
    page.get_by_role("button", name="who waits for whom").click()
    below = page.locator("#tree li:has(> b:text-is('refresh the cache')) > ul > li")
    assert below.count() == 3
    page.get_by_role("button", name="table").click()


def check_it_fits(page):
    """Nothing sticks out of the page, also on a phone."""
    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1], widths


def take_pictures(browser, url, folder):
    for name, scheme, size in (("dark", "dark", DESKTOP), ("light", "light", DESKTOP), ("phone", "light", PHONE)):
        page = browser.new_page(viewport=size, color_scheme=scheme)
        page.goto(url)
        page.locator("#tasks tbody tr").nth(9).wait_for()
        page.wait_for_timeout(1500)
        check_it_fits(page)
        page.screenshot(path=folder / f"dashboard-{name}.png")
        page.close()


def main():
    parser = argparse.ArgumentParser(prog="cargo xtask dashboard", description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", action="store_true", help=f"write the pictures into {IMAGES.name} of docs")
    options = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        sys.exit("no chromium is installed: apt install chromium, or name one by CHROMIUM")
    with tempfile.TemporaryDirectory() as folder, service(folder) as (process, url), sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
        browser = playwright.chromium.launch(executable_path=chromium, args=quiet)
        page = browser.new_page(viewport=DESKTOP)
        troubles = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: message.type == "error" and troubles.append(message.text))
        page.goto(url)
        assert "token" not in page.url, "the token is in the cookie now"
        check_tasks(page)
        print("tasks are listed, searched, sorted and shown as a tree")
        check_it_stays_live(page, process)
        print(f"the page stayed live while the loop was blocked for {BLOCKED:.0f} s, and showed the line")
        check_it_fits(page)
        assert not troubles, troubles
        stranger = browser.new_context().new_page()
        assert stranger.goto(url.partition("?")[0]).status == 401
        print("without the token nothing is shown")
        if options.pictures:
            IMAGES.mkdir(exist_ok=True)
            for pause in (0.3, 0.8):
                block(process, pause)
                process.stdout.readline()
                time.sleep(2)
            take_pictures(browser, url, IMAGES)
            path = f"{folder}/ourio/{process.pid}.sock"
            state, tasks = (json.dumps(client.ask(path, name)) for name in ("/api/state", "/api/tasks"))
            (IMAGES / "top.svg").write_text(_ourio._picture(state, tasks, 130, 36))
            print(f"pictures are in {IMAGES}")
        browser.close()


if __name__ == "__main__":
    main()
