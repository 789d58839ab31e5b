#!/usr/bin/env python3
"""Take the pictures of the documentation out of the demo's report.

::

    make demo
    python tools/make_pictures.py demo-output/report.html docs/images

Writes ``overview.png`` (data, score and events) and ``event.png`` (the event of rank 2,
beside what the model made of it).
"""

from __future__ import annotations

import base64
import os
import re
import sys

# By place among the report's pictures.
PICTURES = {0: "overview.png", 2: "event.png"}


def main(arguments: list[str] | None = None) -> None:
    """Write the pictures.

    Parameters
    ----------
    arguments : list of str, optional
        The command line; that of the process if left out.
    """
    report, folder = sys.argv[1:] if arguments is None else arguments
    with open(report, encoding="utf-8") as file:
        found = re.findall(r'src="data:image/png;base64,([^"]+)"', file.read())
    os.makedirs(folder, exist_ok=True)
    for place, name in PICTURES.items():
        with open(os.path.join(folder, name), "wb") as picture:
            picture.write(base64.b64decode(found[place]))


if __name__ == "__main__":
    main()
