"""What a job, an endpoint or a transform is to run on, and how its data come."""

from __future__ import annotations

import dataclasses
from typing import Literal

from echoanom.checking import Options, require_choice, require_whole
from echoanom.errors import OptionError

InputMode = Literal["Pipe", "FastFile", "File"]
Distribution = Literal["FullyReplicated", "ShardedByS3Key"]
Compression = Literal["None", "Gzip"]
RecordWrapper = Literal["None", "RecordIO"]

TRAINING_TENSORFLOW = "2.21"
"""TensorFlow of the newest image that trains."""

SERVING_TENSORFLOW = "2.20"
"""TensorFlow of the newest image that serves."""


@dataclasses.dataclass(frozen=True)
class ChannelOptions(Options):
    """How the rows to train on come to a job.

    Attributes
    ----------
    input_mode : {'Pipe', 'FastFile', 'File'}
        Streamed anew in each epoch, mounted, or copied before the job begins.
    distribution : {'FullyReplicated', 'ShardedByS3Key'}
        Whether each host gets all shards, or has some of its own (Pipe mode).
    shuffle_objects : bool
        Whether Pipe mode streams the shards of each epoch in another order.
    compression : {'None', 'Gzip'}
        How the shards' objects are compressed in the bucket, beside what is in their
        records; Pipe mode takes it off.
    record_wrapper : {'None', 'RecordIO'}
        Whether Pipe mode wraps each object as one RecordIO record.
    """

    input_mode: InputMode = "Pipe"
    distribution: Distribution = "FullyReplicated"
    shuffle_objects: bool = False
    compression: Compression = "None"
    record_wrapper: RecordWrapper = "None"

    def __post_init__(self) -> None:
        require_choice(self, "input_mode", InputMode)
        require_choice(self, "distribution", Distribution)
        require_choice(self, "compression", Compression)
        require_choice(self, "record_wrapper", RecordWrapper)
        if self.input_mode == "Pipe":
            return
        for name in (
            "distribution",
            "shuffle_objects",
            "compression",
            "record_wrapper",
        ):
            default = getattr(ChannelOptions, name)
            if getattr(self, name) != default:
                raise OptionError(
                    f"{name} must be {default} in {self.input_mode} mode, where hosts"
                    f" deal out and shuffle windows themselves, got"
                    f" {getattr(self, name)}; only Pipe mode has it"
                )


@dataclasses.dataclass(frozen=True)
class MachineOptions(Options):
    """What a training job runs on, and for how long.

    Attributes
    ----------
    instance_type : str
        SageMaker's name of the machine.
    instance_count : int
        How many.
    volume_gib : int
        Disk of each [GiB].
    max_runtime_s : int
        When the job is ended at the latest [s].
    spot : bool
        Whether it runs on spare machines, for less, and may be interrupted.
    max_wait_s : int
        Longest time with interruptions, running included [s]; 0: twice `max_runtime_s`.
    """

    instance_type: str = "ml.m5.xlarge"
    instance_count: int = 1
    volume_gib: int = 50
    max_runtime_s: int = 86_400
    spot: bool = False
    max_wait_s: int = 0

    def __post_init__(self) -> None:
        for name in ("instance_count", "volume_gib", "max_runtime_s"):
            require_whole(self, name, 1)
        require_whole(self, "max_wait_s", 0)
        if self.max_wait_s and not self.spot:
            raise OptionError(
                f"max_wait_s must be 0 without spot instances, got {self.max_wait_s}"
            )
        if self.max_wait_s and self.max_wait_s < self.max_runtime_s:
            raise OptionError(
                f"max_wait_s must be at least max_runtime_s ({self.max_runtime_s}), got"
                f" {self.max_wait_s}"
            )


@dataclasses.dataclass(frozen=True)
class AccountOptions(Options):
    """Whose right a job or endpoint acts in, what it may reach, and who is billed.

    Attributes
    ----------
    role : str
        ARN of the role that SageMaker takes on.
    tags : tuple of str
        ``name=value`` each.
    subnets, security_groups : tuple of str
        Of a VPC; both or neither.
    network_isolation : bool
        Whether the container has no network. It must then bring all that it needs.
    encrypt_traffic : bool
        Whether hosts of one job encrypt what they tell each other.
    volume_kms_key, output_kms_key : str
        Keys for the disks and for what is written to S3. Empty: the default.
    """

    role: str = ""
    tags: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    network_isolation: bool = False
    encrypt_traffic: bool = False
    volume_kms_key: str = ""
    output_kms_key: str = ""

    def __post_init__(self) -> None:
        for tag in self.tags:
            name, equals, _ = tag.partition("=")
            if not name or not equals:
                raise OptionError(f"tags must be name=value each, got {tag!r}")
        if bool(self.subnets) != bool(self.security_groups):
            raise OptionError(
                "subnets must be given together with security groups, got"
                f" {', '.join(self.subnets) or 'none'} and"
                f" {', '.join(self.security_groups) or 'none'}"
            )


@dataclasses.dataclass(frozen=True)
class HostingOptions(Options):
    """What an endpoint runs on.

    Attributes
    ----------
    instance_type : str
        SageMaker's name of the machine.
    instance_count : int
        How many.
    """

    instance_type: str = "ml.c5.xlarge"
    instance_count: int = 1

    def __post_init__(self) -> None:
        require_whole(self, "instance_count", 1)


@dataclasses.dataclass(frozen=True)
class TransformOptions(Options):
    """What a batch transform runs on.

    Attributes
    ----------
    instance_type : str
        SageMaker's name of the machine.
    instance_count : int
        How many.
    payload_mb : int
        Largest object that is scored [MB].
    at_once : int
        Objects that a machine scores at the same time; together they may have 100 MB.
    """

    instance_type: str = "ml.c5.xlarge"
    instance_count: int = 1
    payload_mb: int = 50
    at_once: int = 2

    def __post_init__(self) -> None:
        for name in ("instance_count", "payload_mb", "at_once"):
            require_whole(self, name, 1)
        if self.payload_mb * self.at_once > 100:
            raise OptionError(
                f"payload_mb must be at most {100 // self.at_once} for {self.at_once} at"
                f" once, got {self.payload_mb}"
            )
