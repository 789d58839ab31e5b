"""Keep the events that stand out, by how far one peak lies above the next.

A threshold lets in what just exceeds it. Where peaks go down to what is normal in small
steps, nothing sets these events apart; where one step is large, everything above it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from echoanom.errors import ScoresError


def prune(peaks: Sequence[float], normal: float, least: float) -> int:
    """Tell how many of the highest peaks to keep.

    As in §3.3 of [1]_: with the peaks in descending order and the largest normal score
    behind them, everything above the last step that is large enough is kept. A step is
    the fall from one to the next as a share of the higher one.

    Parameters
    ----------
    peaks : sequence of float, length n
        Highest scores of events, descending.
    normal : float
        The largest score that is not above the threshold; less than every peak.
    least : float
        How large a step must be, in [0, 1): kept are events above the last step that is
        larger. 0 keeps all.

    Returns
    -------
    int
        From 0 to n.

    Raises
    ------
    ScoresError
        If a score is less than 0: a share of it is no measure.

    References
    ----------
    .. [1] K. Hundman, V. Constantinou, C. Laporte, I. Colwell and T. Soderstrom (2018),
       "Detecting Spacecraft Anomalies Using LSTMs and Nonparametric Dynamic
       Thresholding", Proc. 24th ACM SIGKDD, 387–395,
       https://doi.org/10.1145/3219819.3219845
    """
    steps = [*peaks, normal]
    if peaks and normal < 0:
        raise ScoresError(
            f"scores must be at least 0 to prune events by shares of them, got"
            f" {normal:g}; leave pruning out"
        )
    for kept in range(len(peaks), 0, -1):
        if steps[kept - 1] - steps[kept] > least * steps[kept - 1]:
            return kept
    return 0
