"""A user logs in on the hub's page, opens a notebook in JupyterLab, and asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tests.hub.machine import Machine

if TYPE_CHECKING:
    from tests.hub.hub import Hub, Person


def test_a_person_logs_in_and_asks(
    hub: Hub, alice: Person, machine: Machine, chromium: str, pictures: Path, tmp_path: Path
) -> None:
    from tests.front_ends.lab import notebook

    cell = "%%chat --once\nGood morning"
    text = notebook(tmp_path / "question.ipynb", [cell, "%spend"]).read_text()
    machine.write("/home/alice/question.ipynb", text, owner="alice")
    # Playwright takes one of itself a thread, and other tests may have one.
    with ThreadPoolExecutor(1) as thread:
        errors = thread.submit(asked, hub.url, chromium, pictures / "hub.png").result()
    assert errors == []


def asked(url: str, chromium: str, picture: Path) -> list[str]:
    """Log in, run all cells, see the answers; what the page complained of."""
    from playwright.sync_api import sync_playwright  # it may be missing

    from tests.front_ends.lab import BROWSER_ARGUMENTS, EXECUTE, KERNEL_IS_READY
    from tests.hub.hub import PASSWORD

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, headless=True, args=BROWSER_ARGUMENTS
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{url}/hub/login?next=/user/alice/lab/tree/question.ipynb")
        page.fill("#username_input", "alice")
        page.fill("#password_input", PASSWORD)
        page.click("#login_submit")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        page.wait_for_function(KERNEL_IS_READY, polling=50, timeout=60_000)
        page.evaluate(EXECUTE, ["notebook:run-all-cells", None])
        page.wait_for_function("() => window.commandDone", polling=50, timeout=60_000)
        answer = page.locator(".jp-Notebook .jp-Cell").nth(0).locator(".jp-OutputArea")
        answer.get_by_text("Good day.").wait_for()
        answer.get_by_text("lbl/cborg-chat").first.wait_for()
        page.locator(".jp-Notebook .jp-Cell").nth(1).get_by_text(
            "CBORG_BUDGET_DAY"
        ).first.wait_for()
        page.screenshot(path=picture)
        browser.close()
    return errors
