"""Threshold rules as people write them, taken apart."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Literal

from echoanom.errors import OptionError

RULES = "mean+<k>std, quantile:<q>, mad:<k>, pot:<p>, alarms:<r>, or a number"
"""The rules, as messages name them."""

RuleKind = Literal["mean", "quantile", "mad", "pot", "alarms", "number"]

TAIL_SHARE = 0.02
"""Share of the scores that ``pot`` is fitted to: those above the 98 % quantile."""

_MEAN = re.compile(r"mean\+(.+)std")
_NAMED = re.compile(r"(quantile|mad|pot|alarms):(.+)")


@dataclasses.dataclass(frozen=True)
class Rule:
    """A threshold rule, taken apart.

    Attributes
    ----------
    kind : {'mean', 'quantile', 'mad', 'pot', 'alarms', 'number'}
        Which rule.
    value : float
        Its parameter: k, q, k, p, r, or the threshold itself.
    """

    kind: RuleKind
    value: float


def parse_rule(rule: str) -> Rule:
    """Take a threshold rule apart.

    Parameters
    ----------
    rule : str
        ``mean+<k>std``, ``quantile:<q>``, ``mad:<k>``, ``pot:<p>``, ``alarms:<r>``, or
        a number.

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
    if kind == "pot" and not 0 < value < TAIL_SHARE:
        raise OptionError(
            f"p of 'pot:<p>' must be in (0, {TAIL_SHARE}), got {rule!r};"
            " it is the probability of a score above the threshold"
        )
    if kind == "alarms" and value <= 0:
        raise OptionError(
            f"r of 'alarms:<r>' must be more than 0, got {rule!r}; it is the number of"
            " false alarms a day"
        )
    return Rule(kind, value)  # type: ignore[arg-type]
