"""Credentials taken out of what is shown to people."""

from __future__ import annotations

import os
import re

_SECRETS = (
    # user:password@ of a URL.
    (re.compile(r"(\w+://)[^/@\s]+@"), r"\1***@"),
    # Parts of signed URLs, and settings as libraries print them.
    (
        re.compile(
            r"((?:x-amz-(?:signature|credential|security-token)|aws_?access_?key_?id"
            r"|(?:aws_?)?secret(?:_?access_?key)?|(?:aws_?)?session_?token|password"
            r"|(?<=[?&])signature)"
            r"[\"']?\s*[=:]\s*[\"']?)[^\s&\"',)]+",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"), "***"),
)
_SECRET_VARIABLE = re.compile(
    r"(?:SECRET|TOKEN|PASSWORD|ACCESS_KEY|CREDENTIAL)(?!.*(?:FILE|PATH|DIR|URI|URL)$)",
    re.IGNORECASE,
)


def redact(text: str) -> str:
    """Take credentials out of a message.

    Parameters
    ----------
    text : str
        The message.

    Returns
    -------
    str
        The message with ``***`` for passwords and signatures in URLs, access keys, and
        the values of environment variables that hold secrets.
    """
    for name, value in os.environ.items():
        if len(value) >= 8 and _SECRET_VARIABLE.search(name):
            text = text.replace(value, "***")
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text
