"""Try again what a remote store failed to do, with pauses that grow and vary.

Every request to a store goes through `attempt`, and the libraries below are told not to
try again themselves: so there is one budget, and a give-up is never the product of two.
"""

from __future__ import annotations

import collections
import logging
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

ATTEMPTS = 10
"""How often something is tried whose failure passes."""

FEW_ATTEMPTS = 4
"""How often something is tried that may as well fail for good."""

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0


def attempt(
    call: Callable[[], Result], worth: Callable[[BaseException], int], what: str
) -> Result:
    """Call until it succeeds, fails for good, or failed often enough.

    Failures are counted by what they are worth, and never exceed `ATTEMPTS` in all.

    Pauses are drawn from [0, p], where p doubles from a tenth of a second to ten ("full
    jitter": M. Brooker, Exponential backoff and jitter, AWS Architecture Blog, 2015).

    Parameters
    ----------
    call : callable
        Does one request, and may be called again after it failed.
    worth : callable
        Tells how many attempts an error is worth in all: 1 if it does not pass.
    what : str
        What is done, for the log.

    Returns
    -------
    object
        What the call returned.

    Raises
    ------
    BaseException
        The last error, as it came.
    """
    import tenacity

    def tell(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        pause = state.next_action.sleep if state.next_action else 0.0
        logger.info(
            "%s failed (%s); attempt %d in %.1f s",
            what,
            type(error).__name__,
            state.attempt_number + 1,
            pause,
        )

    failed: collections.Counter[int] = collections.Counter()

    def enough(state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if error is None:
            return False
        worth_it = worth(error)
        failed[worth_it] += 1
        return failed[worth_it] >= worth_it or state.attempt_number >= ATTEMPTS

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Exception),
        wait=tenacity.wait_random_exponential(_FIRST_PAUSE_S, _LONGEST_PAUSE_S),
        stop=enough,
        before_sleep=tell,
        reraise=True,
    )(call)
