"""How many events a day data like the held-back days have above each score.

A score by itself says little. How often normal data reach it, counted as events, is what
it costs to be told of it: at one event a day a person looks, at a hundred nobody does.
Counted are the exceedances of the held-back days, merged as events are; beyond the
highest of them the rate goes on by a fit to the events' peaks.
"""

from __future__ import annotations

import bisect
import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from echoanom.errors import ScoresError

LEAST_PEAKS = 10
"""Events that a fit needs."""

MOST_PEAKS = 50
"""Events that a fit takes, the highest."""

_DAY_S = 86_400
_LEAST_SHAPE = 1e-9


def count_events(
    scores: NDArray[np.float64],
    times: NDArray[np.int64],
    period_s: int,
    merge_gap_min: float,
    min_duration_min: float,
) -> NDArray[np.int64]:
    """Count the events above a threshold, for a threshold below each score.

    Parameters
    ----------
    scores : ndarray of float64, shape (n,)
        Scores, descending.
    times : ndarray of int64, shape (n,)
        Starts of their rows [s], each once.
    period_s : int
        Length of a row [s].
    merge_gap_min : float
        Events at most this far apart are one [min].
    min_duration_min : float
        Shorter events do not count [min].

    Returns
    -------
    ndarray of int64, shape (n,)
        Events that the rows up to each, itself included, make.
    """
    reach = merge_gap_min * 60 + period_s
    least = min_duration_min * 60 - period_s
    counts = np.empty(len(scores), dtype=np.int64)
    # First and last row of the events so far, both in order of time.
    firsts: list[int] = []
    lasts: list[int] = []
    count = 0
    for number, time in enumerate(times.tolist()):
        behind = bisect.bisect_right(firsts, time)
        if behind and lasts[behind - 1] >= time:
            counts[number] = count  # a row between two of an event
            continue
        joins_left = behind > 0 and time - lasts[behind - 1] <= reach
        joins_right = behind < len(firsts) and firsts[behind] - time <= reach
        begin, end = behind - joins_left, behind + joins_right
        first = firsts[begin] if joins_left else time
        last = lasts[end - 1] if joins_right else time
        for place in range(begin, end):
            count -= lasts[place] - firsts[place] >= least
        firsts[begin:end] = [first]
        lasts[begin:end] = [last]
        count += last - first >= least
        counts[number] = count
    return counts


def event_peaks(
    scores: NDArray[np.float64],
    times: NDArray[np.int64],
    period_s: int,
    merge_gap_min: float,
    min_duration_min: float,
) -> NDArray[np.float64]:
    """Find the peaks of the events that rows make.

    Parameters
    ----------
    scores : ndarray of float64, shape (n,)
        Scores of the rows above a threshold.
    times : ndarray of int64, shape (n,)
        Starts of the rows [s], each once.
    period_s : int
        Length of a row [s].
    merge_gap_min : float
        Events at most this far apart are one [min].
    min_duration_min : float
        Shorter events are left out [min].

    Returns
    -------
    ndarray of float64, shape (k,)
        The highest score of each event, in order of time.
    """
    if not len(scores):
        return np.empty(0)
    order = np.argsort(times)
    score, time = scores[order], times[order]
    gaps = np.diff(time) - period_s
    heads = np.flatnonzero(np.concatenate(([True], gaps > merge_gap_min * 60)))
    tails = np.concatenate((heads[1:] - 1, [len(time) - 1]))
    long = time[tails] - time[heads] + period_s >= min_duration_min * 60
    return np.asarray(np.maximum.reduceat(score, heads)[long], dtype=np.float64)


def fit_excess(excess: NDArray[np.float64]) -> tuple[float, float]:
    """Fit a generalised Pareto distribution by probability-weighted moments.

    Eq. 8 and the estimator of §4 in [1]_, which for a few dozen excesses varies less
    than the most likely parameters. Departing from it, a shape below 0 becomes 0, an
    exponential tail: the fit then never says of a score that it cannot occur.

    Parameters
    ----------
    excess : ndarray of float64, shape (n,)
        Distances above the threshold, more than 0; at least two.

    Returns
    -------
    shape : float
        At least 0; Hosking and Wallis have its negative.
    scale : float
        More than 0 [unit of the excesses].

    References
    ----------
    .. [1] J. R. M. Hosking and J. R. Wallis (1987), "Parameter and Quantile Estimation
       for the Generalized Pareto Distribution", Technometrics 29(3), 339–349,
       https://doi.org/10.1080/00401706.1987.10488243
    """
    ascending = np.sort(excess)
    count = len(ascending)
    mean = float(ascending.mean())
    # The mean of x (1 − F(x)), with the plotting position (i − 0.35) / n.
    below = (np.arange(1, count + 1) - 0.35) / count
    weighed = float(((1 - below) * ascending).mean())
    rest = mean - 2 * weighed
    # Weights that fall while the excesses rise keep the rest above 0.
    shape = 2 - mean / rest
    return (shape, 2 * mean * weighed / rest) if shape > 0 else (0.0, mean)


@dataclasses.dataclass(frozen=True)
class AlarmRates:
    """Events a day above each score, on data like the held-back days.

    Attributes
    ----------
    days : float
        Scored time of the held-back days [day].
    levels : ndarray of float64, shape (n,)
        Scores, descending, each once.
    counts : ndarray of int64, shape (n,)
        Events above a threshold just below each level: the most that there are there
        or higher, so that they never fall. Beneath a high threshold one event can be
        two.
    tail_level : float
        The fit describes events above it.
    tail_count : int
        How many there are.
    shape, scale : float
        Of the generalised Pareto distribution of their peaks above that level.
    """

    days: float
    levels: NDArray[np.float64]
    counts: NDArray[np.int64]
    tail_level: float
    tail_count: int
    shape: float
    scale: float

    @classmethod
    def from_tail(
        cls,
        scores: NDArray[np.float64],
        times: NDArray[np.int64],
        period_s: int,
        days: float,
        merge_gap_min: float,
        min_duration_min: float,
    ) -> AlarmRates:
        """Count and fit.

        Parameters
        ----------
        scores : ndarray of float64, shape (n,)
            The highest scores of normal days.
        times : ndarray of int64, shape (n,)
            Starts of their rows [s], each once.
        period_s : int
            Length of a row [s].
        days : float
            Scored time that they are the highest of [day].
        merge_gap_min : float
            Events at most this far apart are one [min].
        min_duration_min : float
            Shorter events do not count [min].

        Returns
        -------
        AlarmRates
            The rates.

        Raises
        ------
        ScoresError
            If there are fewer than ten events at any threshold.
        """
        how = (period_s, merge_gap_min, min_duration_min)
        order = np.argsort(-scores, kind="stable")
        score, time = scores[order], times[order]
        counts = np.maximum.accumulate(count_events(score, time, *how))
        # Of equal scores the last has counted all.
        ends = np.flatnonzero(np.concatenate((score[1:] < score[:-1], [True])))
        levels, counts = score[ends], counts[ends]
        wanted = min(MOST_PEAKS, int(counts[-1]))
        # Above this level lie fewer events than wanted, at it there are enough.
        place = int(np.searchsorted(counts, wanted))
        above = slice(0, int(np.searchsorted(-score, -levels[place])))
        peaks = event_peaks(score[above], time[above], *how)
        if len(peaks) < LEAST_PEAKS:
            raise ScoresError(
                f"a rate of alarms needs at least {LEAST_PEAKS} events above some score"
                f" of the {days:.3g} days held back, but there are {len(peaks)}; hold"
                " back more days, merge less, or use quantile:<q>"
            )
        shape, scale = fit_excess(peaks - levels[place])
        return cls(
            days=days,
            levels=levels,
            counts=counts,
            tail_level=float(levels[place]),
            tail_count=len(peaks),
            shape=shape,
            scale=scale,
        )

    @property
    def highest(self) -> float:
        """The highest rate that the scores tell [1/day]."""
        return int(self.counts[-1]) / self.days

    def basis(self, rate: float) -> str:
        """Say in words what the threshold of a rate rests on.

        Parameters
        ----------
        rate : float
            Events a day, more than 0 [1/day].

        Returns
        -------
        str
            Counted, by a fit within what was seen, or by one beyond it.
        """
        days = f"{self.days:.3g} days of scores"
        if rate * self.days > self.tail_count:
            return f"counted in {days}"
        fit = (
            f"peaks over threshold: a fit to the {self.tail_count} highest events of"
            f" {days}"
        )
        return f"{fit}, extrapolated" if rate * self.days < 1 else fit

    def rate(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Tell how many events a day lie above scores.

        Parameters
        ----------
        scores : ndarray of float64, shape (...)
            Scores.

        Returns
        -------
        ndarray of float64, shape (...)
            Expected false alarms of a threshold there [1/day], never rising with the
            score; NaN of NaN. Below the scores that were kept it is their highest.
        """
        levels = self.levels[::-1]
        # A threshold counts what is above it.
        above = np.searchsorted(levels, scores, side="right")
        counts = np.concatenate((self.counts[::-1], [0]))[above]
        excess = np.maximum(scores - self.tail_level, 0.0) / self.scale
        if self.shape < _LEAST_SHAPE:
            survival = np.exp(-excess)
        else:
            survival = (1 + self.shape * excess) ** (-1 / self.shape)
        events = np.where(excess > 0, self.tail_count * survival, counts)
        return np.where(np.isnan(scores), np.nan, events / self.days)

    def level(self, rate: float) -> float:
        """Find the lowest threshold with a rate of alarms.

        Parameters
        ----------
        rate : float
            Events a day, more than 0 [1/day].

        Returns
        -------
        float
            The threshold.

        Raises
        ------
        ScoresError
            If the rate is higher than these scores tell.
        """
        if rate > self.highest:
            # What the message offers must be accepted.
            step = 10.0 ** (math.floor(math.log10(self.highest)) - 2)
            rounded_down = math.floor(self.highest / step) * step
            raise ScoresError(
                f"a rate of alarms must be at most {rounded_down:g} a day, the most"
                " that the highest scores of the days held back tell of, got"
                f" {rate:g}; ask for fewer, or use quantile:<q>"
            )
        events = rate * self.days
        if events <= self.tail_count:
            ratio = events / self.tail_count
            if self.shape < _LEAST_SHAPE:
                return self.tail_level - self.scale * math.log(ratio)
            growth = math.pow(ratio, -self.shape) - 1
            return self.tail_level + self.scale / self.shape * growth
        # The first level at which there are more events; just that is not above it.
        more = int(np.searchsorted(self.counts, events, side="right"))
        return float(self.levels[min(more, len(self.levels) - 1)])
