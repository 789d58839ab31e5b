"""Files of sound for tests."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np


def write_sound(
    path: Path, samples: Any, rate_hz: int, subtype: str = "PCM_16", comment: str = ""
) -> str:
    """Write samples of shape (N,) or (N, channels), full scale ±1; FLAC by name."""
    import soundfile

    samples = np.asarray(samples, dtype=np.float64)
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(
        str(path), "w", rate_hz, channels, subtype=subtype
    ) as sound:
        if comment:
            sound.comment = comment
        sound.write(samples)
    return str(path)


def noise(seconds: float, rate_hz: int, seed: int = 0, deviation: float = 0.1) -> Any:
    """Return white noise as 16-bit integers have it, so that files keep it exactly."""
    random = np.random.default_rng(seed)
    samples = random.standard_normal(round(seconds * rate_hz)) * deviation
    return np.clip(np.round(samples * 2**15), -(2**15), 2**15 - 1) / 2**15


def wav_bytes(samples: bytes, promised: int | None = None, extra: bytes = b"") -> bytes:
    """Return a mono 16-bit WAV of 1 kHz; its header may promise other samples."""
    length = len(samples) if promised is None else promised
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 1000, 2000, 2, 16)
    body = b"WAVE" + head + extra + struct.pack("<4sI", b"data", length) + samples
    return b"RIFF" + struct.pack("<I", len(body)) + body


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk of a WAV."""
    return (
        struct.pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2)
    )
