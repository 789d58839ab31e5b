"""Power spectral density of segments of sound, averaged over bands of frequency.

A band's edge lies between two lines of the spectrum, as a rule. A line stands for the
frequencies half a line's distance around it, and a band takes the part that lies in it:
so bands that touch share all power out, and none is counted twice.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import MissingExtraError

BandForm = Literal["third-octave", "linear"]

LOWEST_LINE = 2
"""First line of a spectrum that a constant offset does not reach through the window."""

# Preferred numbers of ISO 266 [1]_ for a third of an octave.
_PREFERRED = ("1", "1.25", "1.6", "2", "2.5", "3.15", "4", "5", "6.3", "8")


@dataclasses.dataclass(frozen=True)
class Band:
    """A band of frequency.

    Attributes
    ----------
    label : str
        Its nominal middle [Hz], as in a column's name: ``63`` or ``31.5``.
    low_hz, middle_hz, high_hz : float
        Its exact edges and middle [Hz].
    """

    label: str
    low_hz: float
    middle_hz: float
    high_hz: float

    @property
    def width_hz(self) -> float:
        """Its width [Hz]."""
        return self.high_hz - self.low_hz


def make_bands(
    form: BandForm, lowest_hz: float, highest_hz: float, bandwidth_hz: float
) -> tuple[Band, ...]:
    """Make the bands that lie below a frequency.

    Parameters
    ----------
    form : {'third-octave', 'linear'}
        Third of an octave to base ten [2]_, or bands of the same width around its
        multiples.
    lowest_hz : float
        Least middle of a band [Hz]; nominal, so that 63 takes the band at 63.1 Hz.
    highest_hz : float
        What no band reaches beyond [Hz].
    bandwidth_hz : float
        Width of linear bands [Hz].

    Returns
    -------
    tuple of Band
        By frequency; empty if none fits.

    References
    ----------
    .. [1] ISO 266:1997, Acoustics: preferred frequencies.
    .. [2] IEC 61260-1:2014, Electroacoustics: octave-band and fractional-octave-band
       filters, equations 1 to 5: ratio 10^(3/10), middles 1000 Hz times a power of
       10^(1/10), edges 10^(1/20) below and above.
    """
    bands: list[Band] = []
    if form == "linear":
        first = max(1, math.ceil(lowest_hz / bandwidth_hz))
        # A width such as 0.1 is no binary fraction: a hair above is not above.
        behind = math.floor(highest_hz / bandwidth_hz + 0.5 + 1e-9)
        for number in range(first, behind):
            middle = number * bandwidth_hz
            half = bandwidth_hz / 2
            bands.append(Band(_label(middle), middle - half, middle, middle + half))
        return tuple(bands)
    step = math.floor(10 * math.log10(lowest_hz)) - 1
    while (middle := 10.0 ** (step / 10)) * 10**0.05 <= highest_hz:
        label = _preferred(step)
        if float(label) >= lowest_hz:
            band = Band(label, middle * 10**-0.05, middle, middle * 10**0.05)
            bands.append(band)
        step += 1
    return tuple(bands)


def _preferred(step: int) -> str:
    decade, place = divmod(step, 10)
    return _label(float(_PREFERRED[place]) * 10.0**decade)


def _label(frequency_hz: float) -> str:
    # Twelve digits: more than anyone asks for, and fewer than those that are noise.
    return np.format_float_positional(float(f"{frequency_hz:.12g}"), trim="-")


class BandSpectrum:
    """Mean power spectral density of bands, from a segment of sound.

    A Hann window, whose loss of power is made up for, and the periodogram of one side:
    that of Welch's method [1]_ before it is averaged, with no trend taken off.

    Parameters
    ----------
    rate_hz : int
        Samples a second [Hz].
    frames : int
        Samples of a segment, F.
    bands : tuple of Band
        The bands, length B, below half the rate; each spans a line of the spectrum,
        and begins above those that a constant offset reaches.

    Raises
    ------
    MissingExtraError
        If SciPy is not installed.

    References
    ----------
    .. [1] Welch, P. (1967). The use of fast Fourier transform for the estimation of
       power spectra. IEEE Trans. Audio Electroacoust. 15(2), 70-73.
       doi:10.1109/TAU.1967.1161901. The same as equations 5 to 11 of Merchant, N. D.
       et al. (2015). Measuring acoustic habitats. Methods Ecol. Evol. 6(3), 257-265.
       doi:10.1111/2041-210X.12330, appendix S1.
    """

    def __init__(self, rate_hz: int, frames: int, bands: tuple[Band, ...]) -> None:
        try:
            import scipy.fft
            import scipy.signal.windows
        except ImportError:
            raise MissingExtraError("a spectrum of sound", "ingest") from None
        self._transform: Any = scipy.fft.rfft
        # Periodic, as it is made for a Fourier transform.
        window = scipy.signal.windows.hann(frames, sym=False)
        self._window: NDArray[np.float64] = window
        self.frames = frames
        line_hz = rate_hz / frames
        parts: list[NDArray[np.int64]] = []
        weights: list[NDArray[np.float64]] = []
        for band in bands:
            # Those that may touch it, and one more on either side.
            first = max(0, math.floor(band.low_hz / line_hz) - 1)
            last = min(frames // 2, math.ceil(band.high_hz / line_hz) + 1)
            lines = np.arange(first, last + 1)
            low = np.maximum((lines - 0.5) * line_hz, band.low_hz)
            # Half of the last line, at half the rate, would stand for what lies beyond.
            high = np.minimum((lines + 0.5) * line_hz, min(band.high_hz, rate_hz / 2))
            taken = high > low
            parts.append(lines[taken])
            weights.append((high - low)[taken] / band.width_hz)
        # Two sides in one.
        scale = 2.0 / (rate_hz * float(np.sum(window**2)))
        self._lines = np.concatenate(parts)
        self._weights = np.concatenate(weights) * scale
        lengths = [len(part) for part in parts]
        self._starts = np.cumsum([0, *lengths[:-1]])

    def __call__(self, segment: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the densities.

        Parameters
        ----------
        segment : ndarray of float64, shape (F,)
            The samples.

        Returns
        -------
        ndarray of float64, shape (B,)
            Mean of each band [square of the samples' unit, per Hz].
        """
        amplitudes = self._transform(segment * self._window)
        power = amplitudes.real**2 + amplitudes.imag**2
        densities: NDArray[np.float64] = np.add.reduceat(
            power[self._lines] * self._weights, self._starts
        )
        return densities


@functools.lru_cache(maxsize=8)
def band_spectrum(rate_hz: int, frames: int, bands: tuple[Band, ...]) -> BandSpectrum:
    """Make a `BandSpectrum`, or take the one that was made before.

    Parameters
    ----------
    rate_hz : int
        Samples a second [Hz].
    frames : int
        Samples of a segment.
    bands : tuple of Band
        The bands.

    Returns
    -------
    BandSpectrum
        For such segments.
    """
    return BandSpectrum(rate_hz, frames, bands)


def decibels(
    densities: NDArray[np.float32], calibration_db: float
) -> NDArray[np.float32]:
    """Turn densities into levels.

    Parameters
    ----------
    densities : ndarray of float32
        Densities [full scale²/Hz]. NaN where missing.
    calibration_db : float
        Sound pressure level of full scale [dB re 1 µPa]; 0 for levels re full scale.

    Returns
    -------
    ndarray of float32
        Levels [dB]. NaN for a density of 0, whose level is no number.
    """
    linear = densities.astype(np.float64)
    linear[linear <= 0] = np.nan
    return (10.0 * np.log10(linear) + calibration_db).astype(np.float32)
