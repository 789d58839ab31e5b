"""What levels are computed from hydrophones' recordings, and how."""

from __future__ import annotations

import dataclasses
import functools
import math

from echoanom.checking import Options, require
from echoanom.ingest.spectra import LOWEST_LINE, Band, BandForm, make_bands
from echoanom.ingest.starttimes import StartTimes

_MOST_BANDS = 100_000


@dataclasses.dataclass(frozen=True)
class HydrophoneOptions(Options):
    """What levels are computed from recordings, and how.

    Attributes
    ----------
    bands : {'third-octave', 'linear'}
        Bands of a third of an octave, or of the same width.
    bandwidth_hz : float
        Width of linear bands, which lie around its multiples [Hz].
    band_hz : float
        What no band reaches beyond [Hz]; nor beyond half the recording's rate.
    lowest_hz : float
        Least middle of a band [Hz].
    segment_s : float
        Length of the segments whose spectra are averaged [s].
    sensitivity_db : float, optional
        Sensitivity of the hydrophone, with the gain behind it [dB re 1 V/µPa].
    full_scale_v : float, optional
        Voltage of a sample at full scale [V], with `sensitivity_db`.
    end_to_end_db : float, optional
        Instead of both: sound pressure level of full scale [dB re 1 µPa].
    channel : int
        The channel, from 1.
    min_coverage : float
        Least share of a minute's segments that make a row.
    dropout_s : float
        Shortest run of samples of one value that is no sound but a drop-out [s]; ten
        samples at least.
    join_tolerance_s : float
        Greatest difference between the end of a recording and the start that the next
        one's name tells, for it to follow without a gap [s].
    name_pattern : str
        How a name tells the start, as for `datetime.datetime.strptime`. Empty: as one
        of the layouts that are known.
    utc_offset_h : float
        How far the recorder's clock is ahead of UTC [h].
    """

    bands: BandForm = "third-octave"
    bandwidth_hz: float = 100.0
    band_hz: float = 12_000.0
    lowest_hz: float = 10.0
    segment_s: float = 1.0
    sensitivity_db: float | None = None
    full_scale_v: float | None = None
    end_to_end_db: float | None = None
    channel: int = 1
    min_coverage: float = 0.5
    dropout_s: float = 0.05
    join_tolerance_s: float = 1.0
    name_pattern: str = ""
    utc_offset_h: float = 0.0

    def __post_init__(self) -> None:
        require(0.001 <= self.segment_s <= 30, self, "segment_s", "from 0.001 to 30")
        require(0 < self.band_hz <= 1e7, self, "band_hz", "above 0 and at most 1e7")
        require(
            0 < self.lowest_hz < self.band_hz,
            self,
            "lowest_hz",
            f"above 0 and below band_hz ({self.band_hz:g})",
        )
        require(0 < self.bandwidth_hz <= 1e7, self, "bandwidth_hz", "above 0")
        require(self.channel >= 1, self, "channel", "at least 1")
        require(0 < self.min_coverage <= 1, self, "min_coverage", "above 0, at most 1")
        require(0.001 <= self.dropout_s <= 60, self, "dropout_s", "from 0.001 to 60")
        require(
            0 <= self.join_tolerance_s <= 60, self, "join_tolerance_s", "from 0 to 60"
        )
        require(-14 <= self.utc_offset_h <= 14, self, "utc_offset_h", "from -14 to 14")
        self._check_calibration()
        self._check_resolution()
        StartTimes(self.name_pattern)

    def _check_calibration(self) -> None:
        if self.end_to_end_db is not None:
            require(
                self.sensitivity_db is None and self.full_scale_v is None,
                self,
                "end_to_end_db",
                "given without sensitivity and full scale",
            )
            require(
                abs(self.end_to_end_db) <= 400, self, "end_to_end_db", "within ±400"
            )
        elif self.sensitivity_db is not None:
            require(
                abs(self.sensitivity_db) <= 400, self, "sensitivity_db", "within ±400"
            )
            require(
                self.full_scale_v is not None and 0 < self.full_scale_v <= 1e6,
                self,
                "full_scale_v",
                "above 0, and given with the sensitivity",
            )
        else:
            require(
                self.full_scale_v is None,
                self,
                "full_scale_v",
                "given with the sensitivity, or not at all",
            )

    def _check_resolution(self) -> None:
        line_hz = 1 / self.segment_s
        if self.bands == "linear":
            least_hz = max(line_hz * (1 - 1e-9), self.band_hz / _MOST_BANDS)
            require(
                self.bandwidth_hz >= least_hz,
                self,
                "bandwidth_hz",
                f"at least {least_hz:.4g} Hz, as segments of"
                f" {self.segment_s:g} s and at most {_MOST_BANDS:,} bands ask for",
            )
        bands = self.bands_up_to(self.band_hz)
        require(
            bool(bands),
            self,
            "band_hz",
            f"such that a band fits above {self.lowest_hz:g} Hz",
        )
        lowest = bands[0]
        least_s = max(1 / lowest.width_hz, (LOWEST_LINE - 0.5) / lowest.low_hz)
        require(
            self.segment_s >= least_s * (1 - 1e-9),
            self,
            "segment_s",
            f"long enough for the band at {lowest.label} Hz, that is {least_s:.3g} at"
            " least",
        )

    def bands_at(self, rate_hz: int) -> tuple[Band, ...]:
        """Return the bands of recordings of a rate.

        Parameters
        ----------
        rate_hz : int
            Samples a second [Hz].

        Returns
        -------
        tuple of Band
            By frequency; empty if none fits.
        """
        return _bands_at(self, rate_hz)

    def bands_up_to(self, highest_hz: float) -> tuple[Band, ...]:
        """Return the bands that lie below a frequency.

        Parameters
        ----------
        highest_hz : float
            The frequency [Hz]; not above `band_hz`.

        Returns
        -------
        tuple of Band
            By frequency.
        """
        return make_bands(self.bands, self.lowest_hz, highest_hz, self.bandwidth_hz)

    @property
    def calibration_db(self) -> float | None:
        """Sound pressure level of full scale [dB re 1 µPa]; None if unknown."""
        if self.end_to_end_db is not None:
            return self.end_to_end_db
        if self.sensitivity_db is None or self.full_scale_v is None:
            return None
        return 20 * math.log10(self.full_scale_v) - self.sensitivity_db


@functools.lru_cache(maxsize=64)
def _bands_at(options: HydrophoneOptions, rate_hz: int) -> tuple[Band, ...]:
    return options.bands_up_to(min(options.band_hz, rate_hz / 2))
