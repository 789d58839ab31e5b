"""These tests need tensorflow-io, and so an environment of their own: make test-tfio."""

from __future__ import annotations

import importlib.util

if importlib.util.find_spec("tensorflow_io") is None:
    collect_ignore_glob = ["test_*.py"]
