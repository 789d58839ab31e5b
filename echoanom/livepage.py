"""What the moving part of a page needs: figures, numbers, and what they mean."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from echoanom import livefigures, livemodels, pagetext
from echoanom.errors import MissingExtraError
from echoanom.events import Event
from echoanom.imagecodes import Codes, packed
from echoanom.panels import Mounting, Panel
from echoanom.reconstruction import Comparison
from echoanom.timegrid import choose_grid, highest
from echoanom.tracks import (
    ImageTrack,
    Track,
    Tracks,
    blocks_of,
    grid_json,
    image_codes,
    track_json,
)

_MOST_SCORES = 100_000
_MOST_PANELS = 12
_DIFFERENCES = "RdBu_r"


@dataclasses.dataclass(frozen=True)
class Shown:
    """An event, and what the model makes of the time around it.

    Attributes
    ----------
    event : Event
        The event.
    compared : Comparison or None
        Nothing where no window fits into the run of its peak.
    panels : tuple of Panel
        Those that it shows in most.
    """

    event: Event
    compared: Comparison | None
    panels: tuple[Panel, ...]


class LivePage:
    """Gathers what the page's program draws.

    Parameters
    ----------
    tracks : Tracks
        All panels over time.
    mountings : mapping of str to Mounting
        How each sensor's instrument looks.
    digest : str
        What tells this page's marks from those of another.
    """

    def __init__(
        self, tracks: Tracks, mountings: dict[str, Mounting], digest: str
    ) -> None:
        self._tracks = tracks
        self._mountings = mountings
        self._digest = digest
        self._blocks: dict[str, str] = {}

    def content(
        self,
        *,
        times: NDArray[np.int64],
        score: NDArray[np.float64],
        threshold: float | None,
        period_s: int,
        span: tuple[int, int],
        days: Sequence[int],
        events: Sequence[Event],
        shown: Sequence[Shown],
        charts: dict[str, Any],
        why_not: str,
    ) -> dict[str, Any]:
        """Make the template's variables.

        Parameters
        ----------
        times : ndarray of int64, shape (N,)
            Starts of the rows that were scored [s since 1970 UTC].
        score : ndarray of float64, shape (N,)
            Their scores.
        threshold : float or None
            Where events begin.
        period_s : int
            Length of a row [s].
        span : tuple of int
            The time to show [s since 1970 UTC], half-open.
        days : sequence of int
            Starts of the days that have rows [s since 1970 UTC].
        events : sequence of Event
            All events.
        shown : sequence of Shown
            Those to show beside what the model makes of them.
        charts : dict of str to Model
            More figures, by the id of their element.
        why_not : str
            Says why an event is not among those shown.

        Returns
        -------
        dict
            ``scripts``, ``figures``, ``data`` and ``blocks``.

        Raises
        ------
        MissingExtraError
            If Bokeh or matplotlib is not installed.
        """
        try:
            import bokeh  # noqa: F401
        except ImportError:
            raise MissingExtraError("the report", "report") from None
        for at, track in enumerate(self._tracks.panels):
            for level, text in blocks_of(track).items():
                self._blocks[f"panel-{at}-{level}"] = text
        grid = choose_grid(*span, period_s, _MOST_SCORES)
        self._blocks["score"] = packed(highest(times, score, grid).astype(np.float32))
        details = {one.event.rank: self._detail(one) for one in shown}
        top, panels = livefigures.timeline(
            _drawn(self._tracks.panels), score, threshold, *span
        )
        first = {"live-score": top, "live-panels": panels}
        then = {"live-detail": livefigures.details(), **charts}
        return {
            "scripts": livemodels.scripts(),
            # What is not seen at once is not waited for.
            "figures": _in_script([livemodels.document(at) for at in (first, then)]),
            "data": _in_script(
                {
                    "key": self._key(events),
                    "start": span[0],
                    "end": span[1],
                    "period": period_s,
                    "coarse": grid_json(self._tracks.coarse),
                    "fine": grid_json(self._tracks.fine),
                    "score": grid_json(grid),
                    "days": list(days),
                    "panels": [self._panel(track) for track in self._tracks.panels],
                    "events": [
                        _event_json(event, details.get(event.rank), why_not)
                        for event in events
                    ],
                    "detail_rows": livefigures.DETAIL_ROWS,
                    "difference_palette": livemodels.palette(_DIFFERENCES),
                }
            ),
            "blocks": self._blocks,
        }

    def _key(self, events: Sequence[Event]) -> str:
        what = repr([(event.rank, event.start, event.end) for event in events])
        return f"echoanom:{self._digest}:{xxhash.xxh3_64_hexdigest(what.encode())}"

    def _panel(self, track: Track) -> dict[str, Any]:
        if isinstance(track, ImageTrack):
            return track_json(track, livemodels.palette(track.colours))
        return track_json(track, ())

    def _detail(self, one: Shown) -> list[dict[str, Any]] | None:
        if one.compared is None:
            return None
        parts = []
        for place, panel in enumerate(one.panels[: livefigures.DETAIL_ROWS]):
            at = next(
                at
                for at, track in enumerate(self._tracks.panels)
                if track.panel == panel
            )
            numbers, about = self._compared(one.compared, self._tracks.panels[at])
            for kind, values in zip(livefigures.DETAIL_COLUMNS, numbers, strict=True):
                name = f"event-{one.event.rank}-{place}-{kind}"
                self._blocks[name] = packed(values)
            parts.append(
                {
                    "panel": at,
                    "start": int(one.compared.edges[0]),
                    "rows": len(one.compared.original),
                    "unit": panel.difference_label.partition("(")[2].rstrip(")"),
                    **about,
                }
            )
        return parts

    def _compared(
        self, compared: Comparison, track: Track
    ) -> tuple[tuple[NDArray[Any], ...], dict[str, Any]]:
        """Make the numbers of one panel, and say what they lie between."""
        panel = track.panel
        columns = list(panel.positions)
        original = compared.original[:, columns]
        reproduced = compared.reproduced[:, columns]
        difference = compared.difference(panel)
        known = np.abs(difference[np.isfinite(difference)])
        if isinstance(track, ImageTrack):
            mounting = self._mountings[panel.sensor]
            largest = float(np.percentile(known, 99.0)) if len(known) else 0.0
            codes = Codes(-(largest or 1.0), largest or 1.0)
            scalar = dataclasses.replace(panel, kind="scalar")
            return (
                image_codes(panel, original, mounting, track.codes),
                image_codes(panel, reproduced, mounting, track.codes),
                image_codes(scalar, difference, mounting, codes),
            ), {"limits": [codes.low, codes.high]}
        both = np.concatenate((original, reproduced))
        both = both[np.isfinite(both)]
        ends = (float(both.min()), float(both.max())) if len(both) else (0.0, 1.0)
        room = 0.08 * (ends[1] - ends[0]) or 0.5
        furthest = 1.08 * float(known.max(initial=0.0)) or 1.0
        return (original, reproduced, difference), {
            "ends": [ends[0] - room, ends[1] + room],
            "limits": [-furthest, furthest],
        }


def _in_script(value: Any) -> str:
    """Write JSON that ends no script element, with keys in their order.

    Bokeh defines an object where it is first named, so that order matters.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _drawn(tracks: Sequence[Track]) -> list[Track | None]:
    """Leave out what a sensor has too much of."""
    found: dict[str, int] = {}
    drawn: list[Track | None] = []
    for track in tracks:
        sensor = track.panel.sensor
        found[sensor] = found.get(sensor, 0) + 1
        drawn.append(track if found[sensor] <= _MOST_PANELS else None)
    return drawn


def _event_json(
    event: Event, detail: list[dict[str, Any]] | None, why_not: str
) -> dict[str, Any]:
    facts = [pagetext.duration(event.end - event.start)]
    if event.kind == "unusual":
        peak = pagetext.clock(event.peak, event.start)
        facts += [
            f"peak score {pagetext.number(event.peak_score)} at {peak}",
            f"mean score {pagetext.number(event.mean_score)}",
        ]
    else:
        facts.append(f"{event.kind} sensor")
    if event.alarms_per_day is not None:
        facts.append(f"by chance {pagetext.how_often(event.alarms_per_day)}")
    return {
        "rank": event.rank,
        "start": event.start,
        "end": event.end,
        "facts": ", ".join(facts),
        "sensors": [[name, share] for name, share in event.top_sensors],
        "where": [[name, share] for name, share in event.where],
        "detail": detail,
        "why": "" if detail else why_not,
    }
