#!/usr/bin/env python3
"""Convert daily tables to a dataset of shards: ``echoanom convert``, from a checkout."""

import sys

from echoanom.cli import main

if __name__ == "__main__":
    sys.exit(main(["convert", *sys.argv[1:]]))
