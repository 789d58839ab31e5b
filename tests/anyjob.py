"""A job that reads its channels, tells what it saw, and ends as it is told to.

Hyperparameters: ``epochs`` of its pipes; ``host`` names the one that ``do`` is for, if
not all; ``do`` is ``fail``, ``sleep`` (until SIGTERM), ``stubborn`` (until SIGKILL).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

BASE = Path(os.environ["SAGEMAKER_BASE_DIR"])


def config(name: str) -> Any:
    return json.loads((BASE / "input/config" / f"{name}.json").read_text())


def read_pipe(channel: str, epoch: int) -> str:
    path = BASE / "input/data" / f"{channel}_{epoch}"
    until = time.monotonic() + 20
    while not path.exists():
        if time.monotonic() > until:
            fail(f"{path} does not exist")
        time.sleep(0.01)
    return hashlib.md5(path.read_bytes()).hexdigest()


def read_folder(channel: str) -> dict[str, str]:
    folder = BASE / "input/data" / channel
    return {
        str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def fail(text: str) -> None:
    (BASE / "output/failure").write_text(text)
    sys.exit(1)


def store(state: int) -> None:
    temporary = BASE / "checkpoints" / ".tmp-state"
    temporary.write_text(str(state))
    temporary.replace(BASE / "checkpoints" / "state")


def main() -> None:
    options, channels = config("hyperparameters"), config("inputdataconfig")
    host = config("resourceconfig")["current_host"]
    seen: dict[str, Any] = {
        "environment": dict(os.environ),
        "resourceconfig": config("resourceconfig"),
        "inputdataconfig": channels,
        "hyperparameters": options,
        "channels": {},
    }
    checkpoint = BASE / "checkpoints" / "state"
    state = int(checkpoint.read_text()) if checkpoint.exists() else 0
    print(f"begins at {state}", flush=True)
    print("to the error output", file=sys.stderr, flush=True)
    for name, about in channels.items():
        if about["TrainingInputMode"] == "Pipe":
            epochs = range(int(options.get("epochs", "1")))
            seen["channels"][name] = [read_pipe(name, epoch) for epoch in epochs]
        else:
            seen["channels"][name] = read_folder(name)
    for epoch in range(1, 4):
        print(f"epoch={epoch} train_loss={1 / epoch:.3f} other=1e-{epoch}", flush=True)
    (BASE / "model" / host).mkdir()
    (BASE / "model" / host / "weights").write_text(host)
    (BASE / "model" / "common").write_text(host)
    (BASE / "output/data" / f"{host}.json").write_text(json.dumps(seen))
    (BASE / "output/tensorboard" / f"{host}.log").write_text("events")
    if host == "algo-1":
        store(state + 1)
    if options.get("host", host) != host and options.get("do") == "fail":
        options["do"] = "sleep"
    if options.get("do") == "fail":
        fail(f"{host} was told to\nfail")
    if options.get("do") in ("sleep", "stubborn"):

        def end(number: int, frame: FrameType | None) -> None:
            print("asked to end", flush=True)
            if options["do"] == "sleep":
                store(state + 10)
                sys.exit(143)

        signal.signal(signal.SIGTERM, end)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print(f"sleeps beside {child.pid}", flush=True)
        while True:
            time.sleep(600)


if __name__ == "__main__":
    main()
