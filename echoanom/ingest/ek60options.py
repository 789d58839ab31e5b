"""How an EK60 or EK80 echosounder's files are calibrated and gridded."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Literal, get_args

from echoanom.checking import Options
from echoanom.errors import OptionError

Look = Literal["down", "up"]


@dataclasses.dataclass(frozen=True)
class EK60Options(Options):
    """How an EK60 or EK80 echosounder's files are calibrated and gridded.

    Attributes
    ----------
    frequencies_hz : tuple of float
        Channels to take, by their frequency [Hz]. Empty: all.
    range_bin_m : float
        Size of the range bins in which Sv is averaged as power [m]. 0: a column for
        each sample.
    min_range_m : float
        What is nearer to the transducer is left out [m].
    max_range_m : float, optional
        What is farther is left out [m]. None: nothing.
    look : {'down', 'up'}
        Which way the beam points.
    tilt_deg : float
        Angle between the beam and the vertical [degree].
    instrument_depth_m : float, optional
        Depth of the transducer below the surface [m]. None: as recorded, of a beam
        that points down.
    min_depth_m, max_depth_m : float, optional
        What is not wholly below the one and above the other is left out [m]: the
        surface with its bubbles, the bottom.
    temperature : float, optional
        Of the water [degC]; with salinity and pressure it gives sound speed and
        absorption. None: both as recorded.
    salinity : float, optional
        Practical salinity [1e-3].
    pressure : float, optional
        Pressure at the depth that stands for the beam [dbar].
    ph : float
        pH of the water; it matters with `temperature` alone.
    sound_speed : float, optional
        Sound speed [m/s], instead of the recorded or computed one.
    absorption : tuple of float
        Absorption of each of `frequencies_hz` [dB/m], instead of the recorded or
        computed one. Empty: that.
    gain : tuple of float
        Transducer gain of each of `frequencies_hz` [dB]. Empty: as recorded.
    sa_correction : tuple of float
        Sa correction of each of `frequencies_hz` [dB]. Empty: as recorded.
    beam_angle : tuple of float
        Equivalent two-way beam angle of each of `frequencies_hz` [dB re 1 sr]. Empty:
        as recorded.
    noise_cell_m : float
        Range over which echoes are averaged to find a ping's background noise, which
        is then taken off [m]. 0: noise stays.
    noise_max_db : float, optional
        Upper limit of the background noise [dB]. None: none.
    snr_db : float
        Where the signal is not more than this above the noise, it is missing [dB].
    """

    frequencies_hz: tuple[float, ...] = ()
    range_bin_m: float = 0.0
    min_range_m: float = 0.0
    max_range_m: float | None = None
    look: Look = "down"
    tilt_deg: float = 0.0
    instrument_depth_m: float | None = None
    min_depth_m: float | None = None
    max_depth_m: float | None = None
    temperature: float | None = None
    salinity: float | None = None
    pressure: float | None = None
    ph: float = 8.0
    sound_speed: float | None = None
    absorption: tuple[float, ...] = ()
    gain: tuple[float, ...] = ()
    sa_correction: tuple[float, ...] = ()
    beam_angle: tuple[float, ...] = ()
    noise_cell_m: float = 0.0
    noise_max_db: float | None = None
    snr_db: float = 3.0

    def __post_init__(self) -> None:
        self._check_numbers()
        if len(set(self.frequencies_hz)) < len(self.frequencies_hz):
            raise OptionError(
                "frequencies_hz must be different frequencies, got"
                f" {self.frequencies_hz!r}"
            )
        for name in ("absorption", "gain", "sa_correction", "beam_angle"):
            values = getattr(self, name)
            if values and len(values) != len(self.frequencies_hz):
                raise OptionError(
                    f"{name} must have a value for each of the frequencies that are"
                    f" asked for, {len(self.frequencies_hz)}, got {len(values)}"
                )
        if self.look not in get_args(Look):
            raise OptionError(f"look must be down or up, got {self.look!r}")
        water = (self.temperature, self.salinity, self.pressure)
        if None in water and water != (None, None, None):
            raise OptionError(
                "temperature must come with salinity and pressure, or none of them,"
                f" got {self.temperature!r}, {self.salinity!r} and {self.pressure!r}"
            )
        for low, high, name in (
            (self.min_range_m, self.max_range_m, "max_range_m"),
            (self.min_depth_m, self.max_depth_m, "max_depth_m"),
        ):
            if low is not None and high is not None and high <= low:
                raise OptionError(f"{name} must be more than {low!r}, got {high!r}")
        if self.range_bin_m and self.max_range_m is not None:
            if self.max_range_m - self.min_range_m < self.range_bin_m:
                raise OptionError(
                    "range_bin_m must fit between the least and the largest range,"
                    f" {self.min_range_m!r} and {self.max_range_m!r}, got"
                    f" {self.range_bin_m!r}"
                )
        depths = (self.min_depth_m, self.max_depth_m)
        if self.look == "up" and depths != (None, None):
            if self.instrument_depth_m is None:
                raise OptionError(
                    "instrument_depth_m must be given to tell the depth of what a beam"
                    " that points up sees, got None"
                )

    def _check_numbers(self) -> None:
        for name, rule, holds in _RULES:
            value = getattr(self, name)
            if value is None:
                continue
            for one in value if isinstance(value, tuple) else (value,):
                number = isinstance(one, int | float) and not isinstance(one, bool)
                if not (number and math.isfinite(one) and holds(one)):
                    raise OptionError(f"{name} must be {rule}, got {one!r}")


# Limits of depth and range are those of any water on Earth, to catch wrong units.
_RULES: tuple[tuple[str, str, Callable[[float], bool]], ...] = (
    ("frequencies_hz", "at least 1000 Hz", lambda x: x >= 1000),
    ("range_bin_m", "0, or from 0.01 to 1000 m", lambda x: not x or 0.01 <= x <= 1000),
    ("min_range_m", "a number from 0", lambda x: x >= 0),
    ("max_range_m", "between 0 and 12000 m", lambda x: 0 < x <= 12_000),
    ("tilt_deg", "from 0 to less than 90 degrees", lambda x: 0 <= x < 90),
    ("instrument_depth_m", "from 0 to 12000 m", lambda x: 0 <= x <= 12_000),
    ("min_depth_m", "from 0 to 12000 m", lambda x: 0 <= x <= 12_000),
    ("max_depth_m", "from 0 to 12000 m", lambda x: 0 <= x <= 12_000),
    ("temperature", "from -5 to 60 degC", lambda x: -5 <= x <= 60),
    ("salinity", "from 0 to 60", lambda x: 0 <= x <= 60),
    ("pressure", "from 0 to 12000 dbar", lambda x: 0 <= x <= 12_000),
    ("ph", "from 6 to 10", lambda x: 6 <= x <= 10),
    ("sound_speed", "from 1300 to 1700 m/s", lambda x: 1300 <= x <= 1700),
    ("absorption", "from 0 to 1 dB/m", lambda x: 0 <= x <= 1),
    ("gain", "from -100 to 100 dB", lambda x: -100 <= x <= 100),
    ("sa_correction", "from -100 to 100 dB", lambda x: -100 <= x <= 100),
    ("beam_angle", "from -100 to 0 dB", lambda x: -100 <= x < 0),
    ("noise_cell_m", "a number from 0", lambda x: x >= 0),
    ("noise_max_db", "from -1000 to 1000 dB", lambda x: -1000 <= x <= 1000),
    ("snr_db", "from -1000 to 1000 dB", lambda x: -1000 <= x <= 1000),
)
