"""Which anomalies are planted, when, and what labels say of them."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence

import numpy as np

from echoanom.simulation.randomness import stream
from echoanom.simulation.settings import SENSORS, SimulationOptions
from echoanom.simulation.site import DAY_MIN
from echoanom.stamps import format_stamp

# Sensors that a kind shows in. Drop-outs and stuck values befall any one sensor.
KINDS: dict[str, tuple[str, ...]] = {
    "dense_school": ("echosounder",),
    "interference_lines": ("echosounder",),
    "sensor_dropout": SENSORS,
    "ship_passing": ("hydrophone", "echosounder"),
    "stuck_values": SENSORS,
    "surge": ("adcp", "ctd"),
}
FAULTS = ("sensor_dropout", "stuck_values")

_SHORTEST_MIN = {
    "dense_school": 20,
    "interference_lines": 20,
    "sensor_dropout": 15,
    "ship_passing": 20,
    "stuck_values": 30,
    "surge": 90,
}
_LONGEST_MIN = {
    "dense_school": 80,
    "interference_lines": 120,
    "sensor_dropout": 180,
    "ship_passing": 40,
    "stuck_values": 180,
    "surge": 300,
}
_EPOCH_MIN = datetime.date(1970, 1, 1).toordinal() * DAY_MIN
# Anomalies begin after this minute of a day and end before this minute of the next:
# those of neighbouring days never meet.
_SPILL_MIN = 180


@dataclasses.dataclass(frozen=True)
class Anomaly:
    """Something planted that is not like the rest.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    sensors : tuple of str
        Simulated sensors it shows in.
    start : int
        First minute, counted from day 0.
    minutes : int
        How long it lasts [min].
    seed : int
        The simulation's seed.
    """

    kind: str
    sensors: tuple[str, ...]
    start: int
    minutes: int
    seed: int

    @property
    def stop(self) -> int:
        """First minute after it."""
        return self.start + self.minutes

    def stream(self) -> np.random.Generator:
        """Open the random stream that its shape is drawn from.

        Returns
        -------
        numpy.random.Generator
            The same on every day it touches.
        """
        return stream(self.seed, f"anomaly at {self.start}", self.start // DAY_MIN)

    def rows(self, day: int) -> slice:
        """Tell which rows of a day it covers.

        Parameters
        ----------
        day : int
            The day, as proleptic Gregorian ordinal.

        Returns
        -------
        slice
            Rows of the day's 1440; empty if it does not touch the day.
        """
        first, stop = self.start - day * DAY_MIN, self.stop - day * DAY_MIN
        return slice(min(max(first, 0), DAY_MIN), min(max(stop, 0), DAY_MIN))


def planted_on(options: SimulationOptions, day: int) -> tuple[Anomaly, ...]:
    """Return the anomalies that touch a day.

    Parameters
    ----------
    options : SimulationOptions
        What is simulated.
    day : int
        The day, as proleptic Gregorian ordinal.

    Returns
    -------
    tuple of Anomaly
        By start. None overlaps another.
    """
    near = starting_on(options, day - 1) + starting_on(options, day)
    return tuple(a for a in near if a.rows(day).stop > a.rows(day).start)


def starting_on(options: SimulationOptions, day: int) -> tuple[Anomaly, ...]:
    """Plan the anomalies that begin on a day.

    Parameters
    ----------
    options : SimulationOptions
        What is simulated.
    day : int
        The day, as proleptic Gregorian ordinal.

    Returns
    -------
    tuple of Anomaly
        By start.
    """
    kinds = _kinds_of_day(options, day)
    draw = stream(options.seed, "anomaly times", day)
    slot = (DAY_MIN - _SPILL_MIN) / max(len(kinds), 1)
    planned = []
    for i, kind in enumerate(kinds):
        first = day * DAY_MIN + _SPILL_MIN + int(i * slot)
        last_of_day = i == len(kinds) - 1
        # Only the last one may run on over midnight. Stuck values may not: the value
        # they repeat belongs to the day they begin on.
        room = int(slot) + (_SPILL_MIN if last_of_day and kind != "stuck_values" else 0)
        longest = min(_LONGEST_MIN[kind], int(0.8 * slot))
        minutes = int(draw.integers(_SHORTEST_MIN[kind], longest + 1))
        latest = min(room - minutes, int(slot) - 1)
        start = first + int(draw.integers(0, latest + 1))
        sensors = tuple(s for s in options.sensors if s in KINDS[kind])
        if kind in FAULTS:
            sensors = (sensors[int(draw.integers(len(sensors)))],)
        planned.append(Anomaly(kind, sensors, start, minutes, options.seed))
    return tuple(planned)


def labels_of(options: SimulationOptions) -> tuple[Anomaly, ...]:
    """Return all anomalies that touch the simulated days, cut to them.

    Parameters
    ----------
    options : SimulationOptions
        What is simulated.

    Returns
    -------
    tuple of Anomaly
        By start.
    """
    first = options.first_day * DAY_MIN
    stop = first + options.days * DAY_MIN
    found = []
    for day in range(options.first_day - 1, options.first_day + options.days):
        for anomaly in starting_on(options, day):
            start, end = max(anomaly.start, first), min(anomaly.stop, stop)
            if start < end:
                found.append(
                    dataclasses.replace(anomaly, start=start, minutes=end - start)
                )
    return tuple(found)


def labels_text(labels: Sequence[Anomaly]) -> str:
    """Write labels as ``labels.csv``.

    Parameters
    ----------
    labels : sequence of Anomaly
        What was planted.

    Returns
    -------
    str
        Header and one line for each: start, end (first minute after it), sensor
        (blank if it shows in several) and kind.
    """
    lines = ["start,end,sensor,kind"]
    for label in labels:
        sensor = label.sensors[0] if len(label.sensors) == 1 else ""
        start, end = time_text(label.start), time_text(label.stop)
        lines.append(f"{start},{end},{sensor},{label.kind}")
    return "\n".join(lines) + "\n"


def time_text(minute: int) -> str:
    """Write a minute as time in UTC.

    Parameters
    ----------
    minute : int
        The minute, counted from day 0.

    Returns
    -------
    str
        ``YYYY-MM-DDTHH:MM:SSZ``.
    """
    return format_stamp(60 * (minute - _EPOCH_MIN))


def _kinds_of_day(options: SimulationOptions, day: int) -> list[str]:
    possible = [
        kind for kind, seen in KINDS.items() if set(seen) & set(options.sensors)
    ]
    if options.anomalies is None:
        # Over as many days as there are kinds, each kind comes once, so that a fortnight
        # sees them all; the calendar sets these days, not the simulation's start.
        deal, position = divmod(day, len(KINDS))
        kinds = _deck(options.seed, deal, possible, len(KINDS))
        draw = stream(options.seed, "anomaly days", deal)
        days = draw.integers(len(KINDS), size=len(KINDS))
        return [kind for kind, at in zip(kinds, days, strict=True) if at == position]
    index = day - options.first_day
    if not 0 <= index < options.days:
        return []
    # Even over the days and kinds: number n falls on day n * days // anomalies.
    total = options.anomalies
    numbers = [n for n in range(total) if n * options.days // total == index]
    dealt = max(numbers, default=-1) + 1
    order = _deck(options.seed, options.first_day, possible, dealt)
    return [order[n] for n in numbers]


def _deck(seed: int, number: int, kinds: Sequence[str], count: int) -> list[str]:
    """Deal `count` kinds from shuffled decks: each kind once before any comes again."""
    draw = stream(seed, "anomaly kinds", number)
    decks = -(-count // len(kinds))
    return [kinds[i] for _ in range(decks) for i in draw.permutation(len(kinds))][
        :count
    ]
