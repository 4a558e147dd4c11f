"""A real headless Chromium for the tests of what people look at.

The browser is the machine's own (Debian's package `chromium`), driven by Playwright; where there is
none, the tests that need it are skipped and say so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

requires_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine (apt-get install chromium)"
)

FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@contextmanager
def browser() -> Iterator[Browser]:
    """A running Chromium, closed at the end; each page of it starts with an empty profile."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=FLAGS,
            # Chromium's sandbox refuses to start as root, which is what containers of CI run as.
            chromium_sandbox=os.geteuid() != 0,
        )
        try:
            yield running
        finally:
            running.close()


PHONE_WIDTH = 390


@contextmanager
def phone() -> Iterator[Page]:
    """A page as narrow as a phone, that is touched: nothing hovers over it."""
    with browser() as chromium:
        yield chromium.new_page(
            viewport={"width": PHONE_WIDTH, "height": 844}, has_touch=True, is_mobile=True
        )


class Seen:
    """What a page has asked for and complained about since it was opened."""

    def __init__(self, page: Page) -> None:
        self.errors: list[str] = []
        """Uncaught exceptions and lines of the console, the page policy's refusals among them."""
        self.requests: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: self.errors.append(line.text))
        page.on("request", lambda request: self.requests.append(request.url))


def keep_screenshot(png: bytes, name: str) -> None:
    """Write a screenshot to $SCREENSHOTS when that is set, to be looked at."""
    if folder := os.environ.get("SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(png)
