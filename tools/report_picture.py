#!/usr/bin/env python3
"""Take the picture of a report that stands in docs/report.md, with a real browser.

::

    make browser
    python tools/report_picture.py report.html 7 docs/images/report.png

`benchmarks/README.md` has the commands that make a simulated fortnight; its report is
opened at the event of that rank, a surge, with the pointer over the reconstruction.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH, HEIGHT = 1280, 1100


def main(arguments: list[str] | None = None) -> None:
    """Take the picture.

    Parameters
    ----------
    arguments : list of str, optional
        The command line; that of the process if left out.
    """
    report, rank, picture = sys.argv[1:] if arguments is None else arguments
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        sys.exit("there must be a Chromium, but there is none; run: make browser")
    with sync_playwright() as driver:
        # Within a container there is no sandbox of the browser's own.
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(Path(report).resolve().as_uri())
        page.wait_for_function("document.documentElement.dataset.whole")
        for _ in range(int(rank)):
            page.keyboard.press("n")
        detail = page.locator("div:has(> #live-detail)")
        detail.wait_for()
        page.wait_for_timeout(500)
        # From the score that stays above it to the end of what is told of the event.
        detail.evaluate(
            "(element) => scrollBy(0, element.getBoundingClientRect().top - 190)"
        )
        box = page.locator("#live-detail .bk-Figure").nth(1).bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(500)
        card = detail.bounding_box()
        assert card is not None
        end = card["y"] + card["height"] + 8
        page.screenshot(
            path=picture, clip={"x": 0, "y": 0, "width": WIDTH, "height": end}
        )
        browser.close()


if __name__ == "__main__":
    main()
