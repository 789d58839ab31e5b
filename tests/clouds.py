"""A control plane and a store on this machine, with the environment set to use them."""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from collections.abc import Iterator

import pytest
from conftest import forget_clients

from echoanom.cloud.standin import StandIn, standin
from echoanom.testing.s3server import S3Server

ROLE = "arn:aws:iam::123456789012:role/SageMaker"
IMAGE = (
    "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-training:2.21-cpu-py312"
)


@dataclasses.dataclass(frozen=True)
class LocalCloud:
    """Where everything is: a bucket's URL, and the control plane."""

    bucket: str
    plane: StandIn


@contextlib.contextmanager
def local_cloud(server: S3Server) -> Iterator[LocalCloud]:
    """Play AWS, until the end."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        forget_clients()
        with standin() as plane:
            for name, value in plane.environment().items():
                patch.setenv(name, value)
            bucket = server.make_bucket(f"cloud-{uuid.uuid4().hex}")
            yield LocalCloud(bucket, plane)
    forget_clients()
