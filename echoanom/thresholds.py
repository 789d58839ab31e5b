"""From which score on a moment is unusual: rules, and what they are computed from.

The numbers behind a threshold are fixed when the model is trained (`Calibration`), so
the threshold does not move with the data that is judged by it.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echoanom.errors import OptionError, ScoresError

RULES = "mean+<k>std, quantile:<q>, mad:<k>, pot:<p>, or a number"
"""The rules, as messages name them."""

RuleKind = Literal["mean", "quantile", "mad", "pot", "number"]
Source = Literal["calibration", "scores", "number"]

_GRID = 101
_TAIL_SHARE = 0.02  # peaks over threshold start at the 98 % quantile
_TAIL_LEAST = 1000
_TAIL_MOST = 20_000
_LEAST_EXCEEDANCES = 20
# Makes the median absolute deviation an estimate of a normal standard deviation:
# 1 / Φ⁻¹(3/4).
_MAD_TO_STD = 1.4826

_MEAN = re.compile(r"mean\+(.+)std")
_NAMED = re.compile(r"(quantile|mad|pot):(.+)")


@dataclasses.dataclass(frozen=True)
class Rule:
    """A threshold rule, taken apart.

    Attributes
    ----------
    kind : {'mean', 'quantile', 'mad', 'pot', 'number'}
        Which rule.
    value : float
        Its parameter: k, q, k, p, or the threshold itself.
    """

    kind: RuleKind
    value: float


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
    """

    value: float
    rule: str
    source: Source


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
    """

    count: int
    mean: float
    std: float
    median: float
    mad: float
    grid: tuple[float, ...]
    tail: tuple[float, ...]

    @classmethod
    def from_scores(cls, scores: ArrayLike) -> Calibration:
        """Summarise scores.

        Parameters
        ----------
        scores : array_like of float, shape (N,)
            Scores of normal time; NaN (nothing to score) is left out.

        Returns
        -------
        Calibration
            The summary.

        Raises
        ------
        ScoresError
            If there is no score, or an infinite one.
        """
        values = np.asarray(scores, dtype=np.float64).ravel()
        values = np.sort(values[~np.isnan(values)])
        count = len(values)
        if count == 0:
            raise ScoresError("a calibration needs at least one score, got none")
        if not np.isfinite(values[[0, -1]]).all():
            raise ScoresError(
                "scores must be finite, got an infinite one; the model may have"
                " diverged while training"
            )
        median = float(_sorted_quantile(values, 0.5))
        kept = min(count, _TAIL_MOST, max(_TAIL_LEAST, _first_exceedances(count)))
        # Rounding can put the mean of equal numbers beside them.
        mean = float(np.clip(values.mean(), values[0], values[-1]))
        return cls(
            count=count,
            mean=mean,
            std=float(values.std()) if values[0] < values[-1] else 0.0,
            median=median,
            mad=float(np.median(np.abs(values - median))),
            grid=tuple(
                _sorted_quantile(values, q) for q in np.linspace(0.0, 1.0, _GRID)
            ),
            tail=tuple(values[count - kept :].tolist()),
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
        return {**values, "grid": list(self.grid), "tail": list(self.tail)}

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
            )
        except (KeyError, TypeError, ValueError):
            raise ScoresError(
                f"a calibration must have the numbers {', '.join(names[:5])} and the"
                f" lists {', '.join(names[5:])}; train or score again to write one"
            ) from None
        if len(made.grid) != _GRID or not 1 <= len(made.tail) <= made.count:
            raise ScoresError(
                f"a calibration must have {_GRID} quantiles and a tail of 1 to"
                f" {made.count} scores, got {len(made.grid)} and {len(made.tail)}"
            )
        return made


def parse_rule(rule: str) -> Rule:
    """Take a threshold rule apart.

    Parameters
    ----------
    rule : str
        ``mean+<k>std``, ``quantile:<q>``, ``mad:<k>``, ``pot:<p>``, or a number.

    Returns
    -------
    Rule
        Its kind and parameter.

    Raises
    ------
    OptionError
        If it is none of these, or its parameter is out of range.
    """
    text = rule.strip()
    if match := _MEAN.fullmatch(text):
        kind, number = "mean", match[1]
    elif match := _NAMED.fullmatch(text):
        kind, number = match[1], match[2]
    else:
        kind, number = "number", text
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise OptionError(f"threshold must be {RULES}, got {rule!r}")
    if kind in ("mean", "mad") and value < 0:
        raise OptionError(f"k of {kind!r} must be at least 0, got {rule!r}")
    if kind == "quantile" and not 0 <= value <= 1:
        raise OptionError(f"q of 'quantile:<q>' must be in [0, 1], got {rule!r}")
    if kind == "pot" and not 0 < value < _TAIL_SHARE:
        raise OptionError(
            f"p of 'pot:<p>' must be in (0, {_TAIL_SHARE}), got {rule!r};"
            " it is the probability of a score above the threshold"
        )
    return Rule(kind, value)  # type: ignore[arg-type]


def threshold(rule: str, calibration: Calibration | None) -> float:
    """Compute a threshold.

    Parameters
    ----------
    rule : str
        ``mean+<k>std``; ``quantile:<q>``; ``mad:<k>``, the median plus k times the
        MAD scaled to a standard deviation (× 1.4826); ``pot:<p>``, peaks over
        threshold: the score that is exceeded with probability p per row, by an
        extreme-value fit [1]_ to the largest 2 % of the scores; or a number.
    calibration : Calibration or None
        What it is computed from. Only a number needs none.

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
        half of them are (``mad``), or too few exceed the start of the tail (``pot``).

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
    if parsed.kind == "mean":
        return calibration.mean + parsed.value * calibration.std
    if parsed.kind == "quantile":
        return calibration.quantile(parsed.value)
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
    initial = max(calibration.quantile(1 - _TAIL_SHARE), float(tail[0]))
    excess = tail[tail > initial] - initial
    if len(excess) < _LEAST_EXCEEDANCES:
        raise ScoresError(
            f"threshold {rule!r} needs at least {_LEAST_EXCEEDANCES} scores above the"
            f" {1 - _TAIL_SHARE:.0%} quantile, but {len(excess)} of {calibration.count}"
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
    return math.ceil(count * _TAIL_SHARE) + 1


def _sorted_quantile(ascending: NDArray[np.float64], q: float) -> float:
    return _interpolate(ascending, q * (len(ascending) - 1))


def _interpolate(ascending: NDArray[np.float64], position: float) -> float:
    below = min(int(position), len(ascending) - 1)
    above = min(below + 1, len(ascending) - 1)
    start, end = float(ascending[below]), float(ascending[above])
    return start + (end - start) * (position - below)
