"""These tests need an environment and a model of their own: make test-serving."""

from __future__ import annotations

import os

if "ECHOANOM_SERVED" not in os.environ:
    collect_ignore_glob = ["test_*.py"]
