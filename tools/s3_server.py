#!/usr/bin/env python3
"""Run a real S3 server on this machine, to try echoanom's s3:// with.

::

    python tools/s3_server.py                    its data are gone when it ends
    python tools/s3_server.py --folder kept      they stay there

Prints the variables that make every AWS client, echoanom's included, use it; set them in
another terminal. It is the server of the tests (SeaweedFS), and ends with Ctrl-C.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence

from echoanom.errors import EchoanomError
from echoanom.testing.s3server import PUBLIC_BUCKET, s3_server


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until it is interrupted.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process if left out.

    Returns
    -------
    int
        1 if it cannot be started.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", help="where it keeps its data; left out, nowhere")
    parser.add_argument("--bucket", default="data", help="made at the start")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with s3_server(options.folder) as server:
            server.make_bucket(options.bucket)
            for name, value in server.environment().items():
                print(f"export {name}={shlex.quote(value)}")
            print(
                f"# s3://{options.bucket} is there, and s3://{PUBLIC_BUCKET}, which"
                " anybody may read. Ctrl-C ends the server.",
                flush=True,
            )
            signal.pause()
    except KeyboardInterrupt:
        pass
    except EchoanomError as error:
        print(f"s3_server: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
