"""Why a request is not answered: one line of JSON, whoever refuses it."""

from __future__ import annotations

import json
from typing import Any

from echoanom.cloud.handler import too_large
from echoanom.cloud.payloads import JSON


def refusal(message: str) -> bytes:
    """Write why a request is not answered.

    Parameters
    ----------
    message : str
        The reason.

    Returns
    -------
    bytes
        A line of JSON.
    """
    return (json.dumps({"error": " ".join(message.split())}) + "\n").encode()


def refusing_channel(most_bytes: int) -> type:
    """Let what waitress refuses by itself, unread, look like all other refusals.

    Parameters
    ----------
    most_bytes : int
        Size of a request, at most [byte].

    Returns
    -------
    type
        For ``channel_class`` of a waitress server.
    """
    from waitress.channel import HTTPChannel
    from waitress.parser import HTTPRequestParser
    from waitress.utilities import Error, RequestEntityTooLarge

    class Refused(Error):  # type: ignore[misc]
        def to_response(self, ident: str | None = None) -> Any:
            headers = [
                ("Content-Type", JSON),
                ("Connection", "close"),
                ("X-Content-Type-Options", "nosniff"),
            ]
            return f"{self.code} {self.reason}", headers, refusal(self.body)

    class Parser(HTTPRequestParser):  # type: ignore[misc]
        error: Any = None

        def received(self, data: bytes) -> int:
            consumed: int = super().received(data)
            error = self.error
            if error is not None and not isinstance(error, Refused):
                body = error.body
                if isinstance(error, RequestEntityTooLarge):
                    body = too_large(most_bytes, self.content_length or None).message
                self.error = Refused(body)
                self.error.code, self.error.reason = error.code, error.reason
            return consumed

    class Channel(HTTPChannel):  # type: ignore[misc]
        parser_class = Parser

    return Channel
