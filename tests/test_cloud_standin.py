"""The stand-in's answers, as real clients of AWS read them."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.config
import botocore.exceptions
import pytest
from botocore.validate import ParamValidator

from echoanom import objects
from echoanom.cloud.shapes import service_model
from echoanom.cloud.standin import REQUEST_BYTES, StandIn, standin
from echoanom.cloud.standinhosting import INVOKE_BYTES
from echoanom.testing.s3server import S3Server

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::123456789012:role/SageMaker"


@pytest.fixture
def plane(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Return a control plane, with the environment set to use it."""
    with standin() as running:
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def client(plane: StandIn) -> Any:
    return boto3.session.Session().client("sagemaker")


def model_data(bucket: str, content: bytes = b"not a model") -> str:
    url = f"{bucket}/model.tar.gz"
    objects.write(url, content)
    return url


def make_model(client: Any, name: str, url: str) -> None:
    client.create_model(
        ModelName=name,
        PrimaryContainer={"Image": "image", "ModelDataUrl": url},
        ExecutionRoleArn=ROLE,
    )


def make_config(client: Any, name: str, model: str) -> None:
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": model,
        "InstanceType": "ml.c5.large",
        "InitialInstanceCount": 1,
    }
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])


def refusal(call: Any, **request: Any) -> tuple[str, str]:
    with pytest.raises(botocore.exceptions.ClientError) as raised:
        call(**request)
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


def whole(operation: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Hold an answer against the service's model."""
    answer = {k: v for k, v in answer.items() if k != "ResponseMetadata"}
    shape = service_model().operation_model(operation).output_shape
    report = ParamValidator().validate(answer, shape)
    assert not report.has_errors(), report.generate_report()
    return answer


def test_what_does_not_exist_is_refused_as_the_service_does(client: Any) -> None:
    code, message = refusal(client.describe_training_job, TrainingJobName="none")
    assert (code, message) == ("ValidationException", "Requested resource not found.")
    for call, name in (
        (client.describe_endpoint, "EndpointName"),
        (client.delete_endpoint, "EndpointName"),
        (client.describe_model, "ModelName"),
        (client.delete_endpoint_config, "EndpointConfigName"),
        (client.describe_transform_job, "TransformJobName"),
    ):
        code, message = refusal(call, **{name: "none"})
        assert code == "ValidationException" and "Could not find" in message
    code, _ = refusal(
        client.create_endpoint, EndpointName="e", EndpointConfigName="none"
    )
    assert code == "ValidationException"


def test_models_and_configurations_come_and_go(client: Any, bucket: str) -> None:
    code, message = refusal(
        client.create_model,
        ModelName="one",
        PrimaryContainer={"Image": "i", "ModelDataUrl": f"{bucket}/none.tar.gz"},
        ExecutionRoleArn=ROLE,
    )
    assert code == "ValidationException" and "Could not find model data" in message
    url = model_data(bucket)
    for name in ("one", "two", "other"):
        make_model(client, name, url)
        make_config(client, name, name)
    code, message = refusal(
        client.create_model,
        ModelName="one",
        PrimaryContainer={"Image": "i", "ModelDataUrl": url},
        ExecutionRoleArn=ROLE,
    )
    assert code == "ValidationException" and "already existing model" in message
    found = whole("DescribeModel", client.describe_model(ModelName="two"))
    assert found["PrimaryContainer"]["ModelDataUrl"] == url
    listed = whole("ListModels", client.list_models(NameContains="o"))
    assert [one["ModelName"] for one in listed["Models"]] == ["other", "two", "one"]
    first = client.list_endpoint_configs(MaxResults=2)
    assert len(first["EndpointConfigs"]) == 2
    rest = client.list_endpoint_configs(NextToken=first["NextToken"])
    assert [one["EndpointConfigName"] for one in rest["EndpointConfigs"]] == ["one"]
    whole(
        "DescribeEndpointConfig",
        client.describe_endpoint_config(EndpointConfigName="one"),
    )
    client.delete_model(ModelName="two")
    assert refusal(client.describe_model, ModelName="two")[0] == "ValidationException"


def test_every_request_is_held_against_the_model(plane: StandIn) -> None:
    client = boto3.session.Session().client(
        "sagemaker", config=botocore.config.Config(parameter_validation=False)
    )
    code, message = refusal(
        client.create_training_job,
        TrainingJobName="one",
        RoleArn=ROLE,
        AlgorithmSpecification={"TrainingImage": "i", "TrainingInputMode": "Tape"},
        OutputDataConfig={"S3OutputPath": "s3://b/o"},
        ResourceConfig={"InstanceType": "ml.m5.tiny", "InstanceCount": 1},
    )
    assert code == "ValidationException"
    assert message.startswith("2 validation errors detected: ")
    assert "TrainingInputMode must be one of" in message
    code, message = refusal(client.create_model, PrimaryContainer={})
    assert "Missing required parameter" in message
    assert refusal(client.list_notebook_instances)[0] == "UnknownOperationException"


def test_a_client_that_is_throttled_tries_again(plane: StandIn, client: Any) -> None:
    plane.plane.throttled = 2
    answer = client.list_endpoints()
    assert answer["Endpoints"] == []
    assert answer["ResponseMetadata"]["RetryAttempts"] == 2


def test_an_endpoint_that_is_not_there_is_not_invoked(plane: StandIn) -> None:
    runtime = boto3.session.Session().client("sagemaker-runtime")
    code, message = refusal(
        runtime.invoke_endpoint, EndpointName="none", Body=b"1", ContentType="text/csv"
    )
    assert code == "ValidationError" and "none is not found" in message


def send(
    plane: StandIn, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(
        urllib.parse.urlsplit(plane.endpoint).netloc, timeout=10
    )
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=x",
    "X-Amz-Target": "SageMaker.ListEndpoints",
}


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "code"),
    [
        (
            "/",
            b"{}",
            {"X-Amz-Target": "SageMaker.ListEndpoints"},
            403,
            "MissingAuthenticationTokenException",
        ),
        ("/", b"[1]", SIGNED, 400, "SerializationException"),
        ("/", b"{", SIGNED, 400, "SerializationException"),
        ("/", b"[" * 100_000, SIGNED, 400, "SerializationException"),
        ("/else", b"{}", SIGNED, 404, "UnknownOperationException"),
        (
            "/",
            b"{}",
            {**SIGNED, "X-Amz-Target": "DynamoDB.ListTables"},
            404,
            "UnknownOperationException",
        ),
    ],
)
def test_what_is_no_request_is_refused(
    plane: StandIn,
    path: str,
    body: bytes,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    found, answer = send(plane, path, body, headers)
    assert (found, answer["__type"]) == (status, code)


@pytest.mark.parametrize(
    ("path", "most"),
    [("/", REQUEST_BYTES), ("/endpoints/e/invocations", INVOKE_BYTES)],
)
def test_a_body_that_is_too_large_is_not_read(
    plane: StandIn, path: str, most: int
) -> None:
    host, _, port = urllib.parse.urlsplit(plane.endpoint).netloc.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {most + 1}\r\n\r\n"
        connection.sendall(head.encode())
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.slow
def test_an_endpoint_whose_model_cannot_be_loaded_fails_and_can_be_deleted(
    client: Any, bucket: str
) -> None:
    make_model(client, "bad", model_data(bucket))
    make_config(client, "bad", "bad")
    client.create_endpoint(EndpointName="e", EndpointConfigName="bad")
    found = whole("DescribeEndpoint", client.describe_endpoint(EndpointName="e"))
    assert found["EndpointStatus"] == "Creating"
    code, message = refusal(
        client.create_endpoint, EndpointName="e", EndpointConfigName="bad"
    )
    assert "already existing endpoint" in message
    assert (
        "its status is Creating" in refusal(client.delete_endpoint, EndpointName="e")[1]
    )
    found = settled(client)
    assert found["EndpointStatus"] == "Failed"
    assert "gzipped tar archive" in found["FailureReason"]
    client.delete_endpoint(EndpointName="e")
    assert settled(client) is None


def settled(client: Any) -> Any:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            found = client.describe_endpoint(EndpointName="e")
        except botocore.exceptions.ClientError:
            return None
        if found["EndpointStatus"] not in ("Creating", "Deleting"):
            return whole("DescribeEndpoint", found)
        time.sleep(0.2)
    raise AssertionError("it does not settle")


@pytest.mark.slow
def test_it_runs_as_a_program_until_it_is_told_to_end() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "echoanom.cloud.standin"],
        stdout=subprocess.PIPE,
        text=True,
    )
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        variables = json.loads(process.stdout.readline())
        client = boto3.session.Session().client(
            "sagemaker",
            endpoint_url=variables["AWS_ENDPOINT_URL_SAGEMAKER"],
            region_name=variables["AWS_DEFAULT_REGION"],
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
        assert client.list_training_jobs()["TrainingJobSummaries"] == []
        process.terminate()
        assert process.wait(30) == 0
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
