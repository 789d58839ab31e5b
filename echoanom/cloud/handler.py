"""The inference handler: a request's body to scores, wherever the model runs.

In SageMaker's TensorFlow Serving container, ``code/inference.py`` calls it; on any other
machine, `echoanom.cloud.server` does.
"""

from __future__ import annotations

import http
import importlib.util
import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from echoanom.cloud.answers import answer_type, dumps, encode, score_rows
from echoanom.cloud.payloads import (
    JSON,
    media_type,
    numbers,
    read_json,
    read_rows,
    rows_from_json,
)
from echoanom.cloud.requestrows import Limits, ModelInput, RequestError, only_keys
from echoanom.cloud.tfserving import (
    Predict,
    ServingError,
    predict_over_grpc,
    predict_over_rest,
)


class Context(Protocol):
    """What the container tells about a request.

    Attributes
    ----------
    rest_uri : str
        Where the model is asked over REST.
    channel : grpc.Channel or None
        Over which it is asked by gRPC.
    request_content_type, accept_header : str
        The request's headers.
    content_length : int or None
        Size of its body [byte].
    """

    rest_uri: str
    channel: Any
    request_content_type: str
    accept_header: str
    content_length: int | None


class Body(Protocol):
    """A request's body."""

    def read(self, size: int, /) -> bytes:
        """Read some of it.

        Parameters
        ----------
        size : int
            How much, at most [byte].

        Returns
        -------
        bytes
            What came.
        """
        ...


class Handler:
    """Answers requests in the container.

    Parameters
    ----------
    folder : str
        Where ``echoanom.json`` lies.
    limits : Limits
        How much a request may bring.

    Raises
    ------
    OSError
        If it does not lie there.
    ValueError
        If it is not what `packaging` writes.
    """

    def __init__(self, folder: str, limits: Limits | None = None) -> None:
        self._model = ModelInput.read(os.path.join(folder, "echoanom.json"))
        self._limits = limits or Limits()

    def __call__(self, data: Body, context: Context) -> tuple[bytes, str]:
        """Answer a request.

        Parameters
        ----------
        data : file
            Its body.
        context : Context
            What else is known of it.

        Returns
        -------
        body : bytes
            The answer.
        content_type : str
            What it is.

        Raises
        ------
        falcon.HTTPError
            If the request is wrong, with status and reason. Containers from before they
            passed that on make a 500 of it.
        """
        try:
            return respond(
                self._read(data, context.content_length),
                context.request_content_type,
                context.accept_header,
                self._model,
                self._limits,
                _predict(context),
            )
        except RequestError as error:
            raise _refusal(error) from None

    def _read(self, data: Body, length: int | None) -> bytes:
        most = self._limits.body_bytes
        if length is not None and length > most:
            raise too_large(most, length)
        parts, left = [], most + 1
        while left and (part := data.read(left)):
            parts.append(part)
            left -= len(part)
        if not left:
            raise too_large(most)
        return b"".join(parts)


def respond(
    body: bytes,
    content_type: str,
    accept: str,
    model: ModelInput,
    limits: Limits,
    predict: Predict,
) -> tuple[bytes, str]:
    """Answer a request.

    Parameters
    ----------
    body : bytes
        Its body: rows, or JSON with ``instances``, windows as TensorFlow Serving takes
        them.
    content_type, accept : str
        Its headers.
    model : ModelInput
        What the model takes.
    limits : Limits
        How much may come.
    predict : callable
        Runs the model.

    Returns
    -------
    body : bytes
        Scores; or reconstruction and error of each window.
    content_type : str
        What it is.

    Raises
    ------
    RequestError
        If the request is wrong.
    """
    answer = answer_type(accept)
    kind = media_type(content_type)
    if kind == JSON:
        found = read_json(body)
        if isinstance(found, dict) and "instances" in found:
            return _reconstruct(found, model, limits, predict), JSON
        rows = rows_from_json(found, model, limits)
    else:
        rows = read_rows(body, kind, model, limits)

    def predict_rows(
        values: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        outputs = predict("rows", values)
        return outputs["error"], outputs["row_error"]

    return encode(score_rows(rows, model, predict_rows), model, answer), answer


def too_large(most: int, came: int | None = None) -> RequestError:
    """Say that a body is too large.

    Parameters
    ----------
    most : int
        What it may have [byte].
    came : int, optional
        What it has, if that is known [byte].

    Returns
    -------
    RequestError
        To be raised.
    """
    said = "more" if came is None else f"{came:,}"
    return RequestError(
        413, f"the body must have at most {most:,} bytes, got {said}; send fewer rows"
    )


def _reconstruct(
    found: dict[str, Any], model: ModelInput, limits: Limits, predict: Predict
) -> bytes:
    """Answer as TensorFlow Serving does for the signature ``windows``."""
    only_keys(found, ("instances", "signature_name"))
    if found.get("signature_name", "windows") != "windows":
        raise RequestError(400, "signature_name must be 'windows', got something else")
    values = numbers(found["instances"], 3, "instances")
    shape = (model.window, len(model.columns))
    if values.shape[1:] != shape:
        raise RequestError(
            400,
            f"instances must be windows of {shape[0]} rows of {shape[1]} columns, but"
            f" their shape is {values.shape[1:]}",
        )
    if len(values) > limits.windows:
        raise RequestError(
            413,
            f"a request must have at most {limits.windows:,} windows, got"
            f" {len(values):,}",
        )
    with np.errstate(over="ignore"):
        outputs = predict("windows", values.astype(np.float32))
    return dumps(
        {
            "predictions": [
                {"reconstruction": window, "error": error}
                for window, error in zip(
                    outputs["reconstruction"].tolist(),
                    outputs["error"].tolist(),
                    strict=True,
                )
            ]
        }
    )


def _predict(context: Context) -> Predict:
    rest = predict_over_rest(context.rest_uri)
    channel = getattr(context, "channel", None)
    if channel is None:
        return rest
    grpc = predict_over_grpc(channel, context.rest_uri)

    def predict(signature: str, values: NDArray[np.float32]) -> Any:
        # Reconstructions may be larger than what the container's channel takes in.
        return (grpc if signature == "rows" else rest)(signature, values)

    return predict


def _refusal(error: RequestError) -> Exception:
    if importlib.util.find_spec("falcon") is None:
        return ServingError(f"{error.status}: {error.message}")
    import falcon

    status = f"{error.status} {http.HTTPStatus(error.status).phrase}"
    return falcon.HTTPError(  # type: ignore[no-any-return]
        status, title=status, description=error.message
    )
