"""When a recording starts, from its file's name or from a note in the file."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import os
import posixpath
import re
from collections.abc import Iterator

from echoanom.errors import InstrumentFileError, OptionError

_EPOCH = datetime.datetime(1970, 1, 1)
_END = datetime.datetime(3000, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)

_DATE = r"(?P<Y>(?:19|20)\d\d)-?(?P<m>\d\d)-?(?P<d>\d\d)"
_SHORT_DATE = r"(?P<y>\d\d)(?P<m>\d\d)(?P<d>\d\d)"
_CLOCK = r"(?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)"
_CLOCK_APART = r"(?P<H>\d\d)[-:._](?P<M>\d\d)[-:._](?P<S>\d\d)"
_BEHIND = r"(?:\.(?P<f>\d{1,6}))?(?P<z>Z)?(?!\d)"
_ZONE_BEHIND = r"(?P<f>)(?P<z>[+-](?:0\d|1[0-4])(?:00|15|30|45))(?!\d)"
_LAYOUTS = tuple(
    (example, re.compile(text))
    for example, text in (
        ("67416073.210610033655", rf"\d\.{_SHORT_DATE}{_CLOCK}{_BEHIND}"),
        ("20210610T033655+0200", rf"(?<!\d){_DATE}T{_CLOCK}{_ZONE_BEHIND}"),
        ("20210610T033655Z", rf"(?<!\d){_DATE}T{_CLOCK}{_BEHIND}"),
        ("20210610_033655", rf"(?<!\d){_DATE}[_ -]?{_CLOCK}{_BEHIND}"),
        ("2021-06-10_03-36-55", rf"(?<!\d){_DATE}[T_ -]{_CLOCK_APART}{_BEHIND}"),
        ("210610_033655", rf"(?<!\d){_SHORT_DATE}[T_]{_CLOCK}{_BEHIND}"),
    )
)
# "Recorded at 03:36:55 10/06/2021 (UTC+2) by AudioMoth ...".
_AUDIOMOTH = re.compile(
    r"(?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)(?:\.(?P<f>\d{1,6}))? "
    r"(?P<d>\d\d)/(?P<m>\d\d)/(?P<Y>\d{4})"
    r"(?: \(UTC(?P<z>(?:[+-]\d\d?(?::\d\d)?)?)\))?"
)
_ISO = re.compile(
    r"(?P<Y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)[T ]"
    r"(?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)(?:\.(?P<f>\d{1,6}))?"
    r"(?P<z>Z|[+-]\d\d:\d\d)?"
)
_DIRECTIVES = {
    "Y": r"\d{4}",
    "f": r"\d{1,6}",
    "j": r"\d{3}",
    **dict.fromkeys("ymdHMS", r"\d\d"),
}


@dataclasses.dataclass(frozen=True)
class StartTimes:
    """How to tell when recordings start.

    Attributes
    ----------
    pattern : str
        What stands in a name, in the letters of `datetime.datetime.strptime`: of
        %Y %y %m %d %j %H %M %S %f. Empty: the layouts that are known are tried, and
        then the file's note.
    utc_offset_h : float
        How far the recorder's clock is ahead of UTC [h], where name or note do not say.
    """

    pattern: str = ""
    utc_offset_h: float = 0.0

    def __post_init__(self) -> None:
        if self.pattern:
            _compile(self.pattern)

    def of(self, path: str, note: str) -> int:
        """Tell when a recording starts.

        Parameters
        ----------
        path : str
            The file, as path or URL.
        note : str
            What the file says of itself; may be empty.

        Returns
        -------
        int
            Time of its first sample since 1970 UTC [µs].

        Raises
        ------
        InstrumentFileError
            If neither tells.
        """
        stem, _ = os.path.splitext(posixpath.basename(path.replace(os.sep, "/")))
        moments = self._by_pattern(stem) if self.pattern else self._found(stem, note)
        for moment in moments:
            if _EPOCH <= moment.replace(tzinfo=None) < _END:
                return self._microseconds(moment)
        if self.pattern:
            raise InstrumentFileError(
                f"must have its start time in its name as {self.pattern}, got"
                f" {stem!r}; correct the pattern, or rename the file",
                path,
            )
        tried = ", ".join(example for example, _ in _LAYOUTS)
        has = f"the note {note[:80]!r}" if note else "no note in the file"
        raise InstrumentFileError(
            f"must have its start time in its name, as {tried}, or in a note in the"
            f" file, as AudioMoths write it, got {stem!r} and {has}; give a name"
            " pattern, or rename the file",
            path,
        )

    def _microseconds(self, moment: datetime.datetime) -> int:
        offset = moment.utcoffset()
        if offset is None:
            offset = datetime.timedelta(hours=self.utc_offset_h)
        return (moment.replace(tzinfo=None) - offset - _EPOCH) // _MICROSECOND

    def _by_pattern(self, stem: str) -> Iterator[datetime.datetime]:
        for match in _compile(self.pattern).finditer(stem):
            try:
                yield datetime.datetime.strptime(match[0], self.pattern)
            except ValueError:
                continue

    @staticmethod
    def _found(stem: str, note: str) -> Iterator[datetime.datetime]:
        searched = [(layout, stem) for _, layout in _LAYOUTS]
        searched += [(_AUDIOMOTH, note), (_ISO, note)]
        for layout, text in searched:
            for match in layout.finditer(text):
                try:
                    yield _moment(match)
                except ValueError:
                    # Digits that are no time, such as a serial number.
                    continue


def _moment(match: re.Match[str]) -> datetime.datetime:
    parts = match.groupdict()
    year = int(parts["Y"]) if "Y" in parts else 2000 + int(parts["y"])
    month, day, hour, minute, second = (int(parts[key]) for key in "mdHMS")
    fraction = int((parts["f"] or "0").ljust(6, "0"))
    moment = datetime.datetime(year, month, day, hour, minute, second, fraction)
    zone = parts["z"]
    return moment if zone is None else moment.replace(tzinfo=_zone(zone))


def _zone(text: str) -> datetime.timezone:
    if text in ("", "Z"):
        return datetime.UTC
    # +2, +0230 or +02:30.
    hours, minutes = re.findall(r"\d\d?", text + " 0")[:2]
    ahead = datetime.timedelta(hours=int(hours), minutes=int(minutes))
    return datetime.timezone(-ahead if text.startswith("-") else ahead)


@functools.lru_cache
def _compile(pattern: str) -> re.Pattern[str]:
    """Make of a pattern for times one that finds their text."""
    made, used = [], set()
    for part in re.findall(r"%.?|[^%]+", pattern, re.DOTALL):
        if not part.startswith("%"):
            made.append(re.escape(part))
        elif part[1:] in _DIRECTIVES and part not in used:
            used.add(part)
            made.append(_DIRECTIVES[part[1:]])
        else:
            known = " ".join(f"%{letter}" for letter in sorted(_DIRECTIVES))
            raise OptionError(
                f"name_pattern must be made of {known}, each once, and plain text, got"
                f" {part!r} in {pattern!r}"
            )
    letters = {part[1] for part in used}
    dated = letters & {"Y", "y"} and ({"m", "d"} <= letters or "j" in letters)
    if not dated or "H" not in letters:
        raise OptionError(
            "name_pattern must tell year, month, day and hour, as %Y%m%d_%H%M%S does,"
            f" got {pattern!r}"
        )
    # Not within a longer number.
    return re.compile(r"(?<!\d)" + "".join(made) + r"(?!\d)")
