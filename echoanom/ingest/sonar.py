"""Geometry, range bins and background noise of a sounder's pings; arithmetic alone.

Every result of a ping depends on that ping alone, bit for bit, so pings may come in any
pieces.

References
----------
.. [1] De Robertis, A. and Higginbottom, I. (2007). A post-processing technique to
   estimate the signal-to-noise ratio and remove echosounder background noise. ICES
   Journal of Marine Science 64, 1282-1291.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from echoanom.ingest.ek60options import EK60Options

Floats = NDArray[np.float64]


def depths(ranges_m: Floats, depth_m: float, options: EK60Options) -> Floats:
    """Tell how deep what a beam sees is.

    Parameters
    ----------
    ranges_m : ndarray of float64, shape (S,)
        Ranges [m].
    depth_m : float
        Depth of the transducer [m].
    options : EK60Options
        Which way it looks.

    Returns
    -------
    ndarray of float64, shape (S,)
        Depths below the surface [m]; negative above it.
    """
    vertical = ranges_m * math.cos(math.radians(options.tilt_deg))
    below: Floats = depth_m + (-vertical if options.look == "up" else vertical)
    return below


def bin_edges(ranges_m: Floats, options: EK60Options) -> Floats:
    """Lay range bins.

    Parameters
    ----------
    ranges_m : ndarray of float64, shape (S,)
        Ranges of the samples [m], ascending.
    options : EK60Options
        Size of the bins, and least and largest range.

    Returns
    -------
    ndarray of float64, shape (B + 1,)
        Edges, at multiples of the size [m]; from the bin that `min_range_m` begins or
        lies in front of, up to `max_range_m`, so that they do not depend on the
        recording, or else the last sample's bin.
    """
    size = options.range_bin_m
    # A multiple of the size may come out just beside one.
    first = math.ceil(options.min_range_m / size - 1e-9)
    if options.max_range_m is None:
        stop = math.floor(float(ranges_m[-1]) / size) + 1
    else:
        stop = math.floor(options.max_range_m / size + 1e-9)
    return np.arange(first, max(stop, first) + 1).astype(np.float64) * size


def bin_means(sv_db: Floats, ranges_m: Floats, edges_m: Floats) -> Floats:
    """Average Sv over range bins, as power.

    Parameters
    ----------
    sv_db : ndarray of float64, shape (P, S)
        Sv [dB re 1 m⁻¹]; NaN where missing.
    ranges_m : ndarray of float64, shape (S,)
        Ranges [m], ascending.
    edges_m : ndarray of float64, shape (B + 1,)
        Edges of the bins; a sample on an edge belongs to the bin behind it.

    Returns
    -------
    ndarray of float64, shape (P, B)
        Mean over the observed samples of each bin [dB re 1 m⁻¹]; NaN where none is.
    """
    first = np.searchsorted(ranges_m, edges_m, side="left")
    starts, stops = first[:-1], first[1:]
    shape = (len(sv_db), len(starts))
    total, observed = np.zeros(shape), np.zeros(shape)
    power = 10.0 ** (sv_db / 10.0)
    missing = np.isnan(power)
    power[missing] = 0.0
    # One sample of every bin at a time: each sum is made in the samples' order.
    for step in range(int((stops - starts).max(initial=0))):
        has = np.flatnonzero(starts + step < stops)
        total[:, has] += power[:, starts[has] + step]
        observed[:, has] += ~missing[:, starts[has] + step]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean: Floats = 10.0 * np.log10(total / observed)
    mean[~np.isfinite(mean)] = np.nan
    return mean


def without_noise(
    sv_db: Floats,
    ranges_m: Floats,
    absorption: float,
    cell_samples: int,
    options: EK60Options,
) -> Floats:
    """Take the background noise of each ping off.

    After [1]_, but over one ping instead of several: the estimate is then the same
    however pings are spread over files, and follows faster changes, at the price of
    more scatter. It is the least of the means over cells of range, so scatter makes it
    lower, not higher.

    Parameters
    ----------
    sv_db : ndarray of float64, shape (P, S)
        Sv [dB re 1 m⁻¹]; NaN where missing.
    ranges_m : ndarray of float64, shape (S,)
        Ranges [m].
    absorption : float
        Absorption [dB/m].
    cell_samples : int
        Samples of a cell, from 1.
    options : EK60Options
        Limit of the noise, and least ratio of signal and noise.

    Returns
    -------
    ndarray of float64, shape (P, S)
        Sv without noise; NaN where not enough stands out of it.
    """
    # [1], Eq. 3: received power, but for a constant. Nearer than 1 m there is no gain.
    loss = 20.0 * np.log10(np.maximum(ranges_m, 1.0)) + 2.0 * absorption * ranges_m
    power = 10.0 ** ((sv_db - loss) / 10.0)
    cells = -(-power.shape[1] // cell_samples)
    padded = np.full((len(power), cells * cell_samples), np.nan)
    padded[:, : power.shape[1]] = power
    padded = padded.reshape(len(power), cells, cell_samples)
    observed = ~np.isnan(padded)
    total = np.zeros(padded.shape[:2])
    for step in range(cell_samples):
        total += np.where(observed[:, :, step], padded[:, :, step], 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        # [1], Eq. 5 and 6.
        means = 10.0 * np.log10(total / observed.sum(axis=2))
        noise = np.fmin.reduce(means, axis=1)
    if options.noise_max_db is not None:
        noise = np.fmin(noise, options.noise_max_db)
    # [1], Eq. 7 to 9.
    noise_db = noise[:, np.newaxis] + loss
    with np.errstate(divide="ignore", invalid="ignore"):
        signal: Floats = 10.0 * np.log10(
            10.0 ** (sv_db / 10.0) - 10.0 ** (noise_db / 10.0)
        )
        signal[~(signal - noise_db > options.snr_db)] = np.nan
    return signal
