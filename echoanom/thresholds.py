"""From which score on a moment is unusual: rules, and what they are computed from.

The numbers behind a threshold are fixed when the model is trained (`Calibration`), so
the threshold does not move with the data that is judged by it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echoanom.alarmrates import AlarmRates
from echoanom.errors import ScoresError
from echoanom.options import DAY_S, EventOptions
from echoanom.rules import TAIL_SHARE, Rule, parse_rule

Source = Literal["calibration", "scores", "number"]

_GRID = 101
_TAIL_LEAST = 1000
_TAIL_MOST = 20_000
_LEAST_EXCEEDANCES = 20
# Makes the median absolute deviation an estimate of a normal standard deviation:
# 1 / Φ⁻¹(3/4).
_MAD_TO_STD = 1.4826


@dataclasses.dataclass(frozen=True)
class Threshold:
    """A threshold and where it comes from.

    Attributes
    ----------
    value : float
        Scores above it are unusual.
    rule : str
        The rule it was computed by.
    source : {'calibration', 'scores', 'number'}
        What it was computed from: the calibration stored with the model, the very
        scores that are judged by it, or nothing, being given as a number.
    basis : str
        What an expected rate of alarms rests on, in words.
    """

    value: float
    rule: str
    source: Source
    basis: str = ""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What is kept of the scores of normal days, enough for every rule.

    Attributes
    ----------
    count : int
        Number of scores.
    mean, std : float
        Mean and population standard deviation.
    median, mad : float
        Median, and median distance from it.
    grid : tuple of float, length 101
        Quantiles at 0, 0.01, …, 1.
    tail : tuple of float
        The largest scores, ascending: at least 2 % of them (at most 20,000 scores),
        and all of them up to 1,000.
    times : tuple of int
        Starts of their rows [s since 1970 UTC]; empty if they are not known.
    period_s : int
        Length of a row [s]; 0 if it is not known.
    """

    count: int
    mean: float
    std: float
    median: float
    mad: float
    grid: tuple[float, ...]
    tail: tuple[float, ...]
    times: tuple[int, ...] = ()
    period_s: int = 0

    @classmethod
    def from_scores(
        cls, scores: ArrayLike, times: ArrayLike | None = None, period_s: int = 0
    ) -> Calibration:
        """Summarise scores.

        Parameters
        ----------
        scores : array_like of float, shape (N,)
            Scores of normal time; NaN (nothing to score) is left out.
        times : array_like of int, shape (N,), optional
            Starts of their rows [s since 1970 UTC], each once. Without them nothing is
            known of rates of alarms.
        period_s : int
            Length of a row [s].

        Returns
        -------
        Calibration
            The summary.

        Raises
        ------
        ScoresError
            If there is no score, an infinite one, or one too large to be squared.
        """
        values = np.asarray(scores, dtype=np.float64).ravel()
        known = np.flatnonzero(~np.isnan(values))
        order = known[np.argsort(values[known], kind="stable")]
        values = values[order]
        count = len(values)
        if count == 0:
            raise ScoresError(
                "thresholds need at least one score of the days held back, but no row of"
                " them has one; take days in which something was observed"
            )
        if not np.isfinite(values[[0, -1]]).all():
            raise ScoresError(
                "scores must be finite, got an infinite one; the model may have"
                " diverged while training"
            )
        median = float(_sorted_quantile(values, 0.5))
        kept = min(count, _TAIL_MOST, max(_TAIL_LEAST, _first_exceedances(count)))
        with np.errstate(over="ignore", invalid="ignore"):
            # Rounding can put the mean of equal numbers beside them.
            mean = float(np.clip(values.mean(), values[0], values[-1]))
            std = float(values.std()) if values[0] < values[-1] else 0.0
            mad = float(np.median(np.abs(values - median)))
        if not np.isfinite([mean, std, mad]).all():
            raise ScoresError(
                "scores must have a mean and a spread, but those from"
                f" {values[0]:g} to {values[-1]:g} are too large; the model may have"
                " diverged while training"
            )
        return cls(
            count=count,
            mean=mean,
            std=std,
            median=median,
            mad=mad,
            grid=tuple(
                _sorted_quantile(values, q) for q in np.linspace(0.0, 1.0, _GRID)
            ),
            tail=tuple(values[count - kept :].tolist()),
            times=(
                ()
                if times is None
                else tuple(np.asarray(times)[order[count - kept :]].tolist())
            ),
            period_s=0 if times is None else period_s,
        )

    def alarm_rates(self, options: EventOptions) -> AlarmRates:
        """Tell how many events a day such days have above each score.

        Parameters
        ----------
        options : EventOptions
            How rows become events.

        Returns
        -------
        AlarmRates
            The rates.

        Raises
        ------
        ScoresError
            If the times of the scores are not known, or there are too few events.
        """
        if not self.times:
            raise ScoresError(
                "a rate of alarms needs the times of the calibration's scores, which"
                " models of an earlier version lack; train again, or use quantile:<q>"
            )
        return AlarmRates.from_tail(
            np.asarray(self.tail),
            np.asarray(self.times, dtype=np.int64),
            self.period_s,
            self.count * self.period_s / DAY_S,
            options.merge_gap_min,
            options.min_duration_min,
        )

    @property
    def constant(self) -> bool:
        """Whether all scores are the same."""
        return self.grid[0] == self.grid[-1]

    def quantile(self, q: float) -> float:
        """Return a quantile of the scores.

        Parameters
        ----------
        q : float
            Share of the scores below, in [0, 1].

        Returns
        -------
        float
            Exact within the tail, interpolated in the grid below it.
        """
        position = q * (self.count - 1)
        first = self.count - len(self.tail)
        if position >= first:
            return _interpolate(np.asarray(self.tail), position - first)
        return _interpolate(np.asarray(self.grid), q * (_GRID - 1))

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values.

        Returns
        -------
        dict
            Field names and values; tuples become lists.
        """
        values = dataclasses.asdict(self)
        lists = {name: list(values[name]) for name in ("grid", "tail", "times")}
        return {**values, **lists}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Calibration:
        """Rebuild from `as_json`.

        Parameters
        ----------
        values : mapping
            What `as_json` returned.

        Returns
        -------
        Calibration
            As it was.

        Raises
        ------
        ScoresError
            If the values are something else.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        try:
            made = cls(
                count=int(values["count"]),
                mean=float(values["mean"]),
                std=float(values["std"]),
                median=float(values["median"]),
                mad=float(values["mad"]),
                grid=tuple(float(number) for number in values["grid"]),
                tail=tuple(float(number) for number in values["tail"]),
                times=tuple(int(time) for time in values.get("times", ())),
                period_s=int(values.get("period_s", 0)),
            )
        except (KeyError, TypeError, ValueError):
            raise ScoresError(
                f"a calibration must have the numbers {', '.join(names[:5])} and the"
                f" lists {', '.join(names[5:])}; train or score again to write one"
            ) from None
        if not np.isfinite(
            [made.mean, made.std, made.median, made.mad, *made.grid, *made.tail]
        ).all():
            raise ScoresError(
                "the numbers of a calibration must be finite, got one that is not;"
                " train or score again to write one"
            )
        if len(made.grid) != _GRID or not 1 <= len(made.tail) <= made.count:
            raise ScoresError(
                f"a calibration must have {_GRID} quantiles and a tail of 1 to"
                f" {made.count} scores, got {len(made.grid)} and {len(made.tail)}"
            )
        if made.times and (len(made.times) != len(made.tail) or made.period_s < 1):
            raise ScoresError(
                f"a calibration must have a time for each of {len(made.tail)} scores of"
                f" its tail and the length of a row, got {len(made.times)} and"
                f" {made.period_s} s; train or score again to write one"
            )
        return made


def threshold(
    rule: str, calibration: Calibration | None, options: EventOptions | None = None
) -> float:
    """Compute a threshold.

    Parameters
    ----------
    rule : str
        ``mean+<k>std``; ``quantile:<q>``; ``mad:<k>``, the median plus k times the
        MAD scaled to a standard deviation (× 1.4826); ``pot:<p>``, peaks over
        threshold: the score that is exceeded with probability p per row, by an
        extreme-value fit [1]_ to the largest 2 % of the scores; ``alarms:<r>``, the
        score above which such days have r events a day, beyond the highest of them by
        a fit to the events' peaks; or a number.
    calibration : Calibration or None
        What it is computed from. Only a number needs none.
    options : EventOptions, optional
        How rows become events, for ``alarms``; the defaults if left out.

    Returns
    -------
    float
        Scores above it are unusual.

    Raises
    ------
    OptionError
        If the rule cannot be read.
    ScoresError
        If there is no calibration, or it does not tell: its scores are all the same,
        half of them are (``mad``), too few exceed the start of the tail (``pot``), or
        there are too few events (``alarms``). Also if the threshold is beyond every
        number.

    References
    ----------
    .. [1] A. Siffer, P.-A. Fouque, A. Termier and C. Largouët (2017), "Anomaly
       Detection in Streams with Extreme Value Theory", Proc. 23rd ACM SIGKDD,
       1067–1075, https://doi.org/10.1145/3097983.3098144
    """
    parsed = parse_rule(rule)
    if parsed.kind == "number":
        return parsed.value
    if calibration is None:
        raise ScoresError(
            f"threshold {rule!r} needs a calibration, and there is none; give a number"
        )
    if calibration.constant:
        raise ScoresError(
            f"threshold {rule!r} needs scores that differ, but all"
            f" {calibration.count} are {calibration.grid[0]:g}; give a number"
        )
    value = _level(rule, parsed, calibration, options)
    if not math.isfinite(value):
        raise ScoresError(
            f"threshold {rule!r} must be a finite number, but of these scores it is"
            f" {value:g}; ask for a lower one"
        )
    return value


def _level(
    rule: str, parsed: Rule, calibration: Calibration, options: EventOptions | None
) -> float:
    if parsed.kind == "mean":
        return calibration.mean + parsed.value * calibration.std
    if parsed.kind == "quantile":
        return calibration.quantile(parsed.value)
    if parsed.kind == "alarms":
        return calibration.alarm_rates(options or EventOptions()).level(parsed.value)
    if parsed.kind == "mad":
        if calibration.mad == 0:
            raise ScoresError(
                f"threshold {rule!r} needs a median absolute deviation above 0, but"
                f" half of the scores are {calibration.median:g}; use quantile:<q>"
            )
        return calibration.median + parsed.value * _MAD_TO_STD * calibration.mad
    return _peaks_over_threshold(rule, parsed.value, calibration)


def _peaks_over_threshold(rule: str, p: float, calibration: Calibration) -> float:
    from scipy.stats import genpareto

    tail = np.asarray(calibration.tail)
    # Of very many scores less than 2 % are kept; the fit then starts where they do.
    initial = max(calibration.quantile(1 - TAIL_SHARE), float(tail[0]))
    excess = tail[tail > initial] - initial
    if len(excess) < _LEAST_EXCEEDANCES:
        raise ScoresError(
            f"threshold {rule!r} needs at least {_LEAST_EXCEEDANCES} scores above the"
            f" {1 - TAIL_SHARE:.0%} quantile, but {len(excess)} of {calibration.count}"
            " are; calibrate on more rows, or use quantile:<q>"
        )
    ratio = p * calibration.count / len(excess)
    if ratio >= 1:
        raise ScoresError(
            f"threshold {rule!r} needs a p below {len(excess) / calibration.count:g},"
            " the share of scores in the tail that is fitted; use quantile:<q>"
        )
    # The fit knows no units: scaled to a mean of 1, small scores converge as large.
    unit = excess.mean()
    with np.errstate(all="ignore"):
        shape, _, scale = genpareto.fit(excess / unit, floc=0)
    scale *= unit
    # Eq. 1 in Siffer et al. (2017); its limit for a shape of 0 is an exponential tail.
    if abs(shape) < 1e-9:
        quantile = initial - scale * math.log(ratio)
    else:
        quantile = initial + scale / shape * (ratio**-shape - 1)
    if not math.isfinite(quantile):
        raise ScoresError(
            f"threshold {rule!r} is beyond every number: the tail of the scores is too"
            f" heavy (shape {shape:.2g}); use quantile:<q>"
        )
    return float(quantile)


def _first_exceedances(count: int) -> int:
    # One more than lie above the quantile, because it is interpolated between two.
    return math.ceil(count * TAIL_SHARE) + 1


def _sorted_quantile(ascending: NDArray[np.float64], q: float) -> float:
    return _interpolate(ascending, q * (len(ascending) - 1))


def _interpolate(ascending: NDArray[np.float64], position: float) -> float:
    below = min(int(position), len(ascending) - 1)
    above = min(below + 1, len(ascending) - 1)
    start, end = float(ascending[below]), float(ascending[above])
    return start + (end - start) * (position - below)
