"""The command that reads recordings of hydrophones."""

from __future__ import annotations

from echoanom.cli.ingesting import ingest_command
from echoanom.cli.parameters import Flag
from echoanom.ingest.hydrophone import Hydrophone
from echoanom.ingest.hydrophoneoptions import HydrophoneOptions


@ingest_command(
    HydrophoneOptions,
    Hydrophone,
    bands=Flag(
        "--bands", "Thirds of an octave (IEC 61260, base ten), or bands of one width."
    ),
    bandwidth_hz=Flag("--bandwidth", "Width of linear bands [Hz].", "HZ"),
    band_hz=Flag(
        "--band",
        "What no band reaches beyond [Hz]; nor beyond half the recording's rate.",
        "HZ",
    ),
    lowest_hz=Flag("--lowest", "Least middle of a band [Hz].", "HZ"),
    segment_s=Flag(
        "--segment", "Length of the segments whose spectra are averaged [s].", "SECONDS"
    ),
    sensitivity_db=Flag(
        "--sensitivity",
        "Sensitivity of the hydrophone, with the gain behind it [dB re 1 V/µPa].",
        "DB",
        default="none: levels are re full scale",
    ),
    full_scale_v=Flag(
        "--full-scale", "Voltage of a sample at full scale [V], peak.", "VOLT"
    ),
    end_to_end_db=Flag(
        "--end-to-end",
        "Instead of both: level of a sample at full scale [dB re 1 µPa], peak.",
        "DB",
    ),
    channel=Flag("--channel", "Channel of the recordings, from 1.", "N"),
    min_coverage=Flag(
        "--min-coverage", "Least share of a minute's segments that make a row.", "SHARE"
    ),
    dropout_s=Flag(
        "--dropout",
        "Shortest run of samples of one value that is a drop-out [s]; segments with"
        " one are left out.",
        "SECONDS",
    ),
    join_tolerance_s=Flag(
        "--join-tolerance",
        "How far a start in a name may be from the end of the recording before, for"
        " one to follow the other without a gap [s].",
        "SECONDS",
    ),
    name_pattern=Flag(
        "--name-pattern",
        "How a name tells the start: text with %Y %y %m %d %j %H %M %S %f.",
        "TEXT",
        default="known layouts, then a note in the file",
    ),
    utc_offset_h=Flag(
        "--utc-offset",
        "How far the recorder's clock is ahead of UTC [h], where name or note do not"
        " say.",
        "HOURS",
    ),
)
def hydrophone() -> None:
    """Make levels of sound of a hydrophone's recordings, WAV or FLAC.

    Each minute gets its mean power spectral density in bands of frequency, in columns
    LTSA_63Hz and so on. Recordings that follow each other are taken as one.

    \b
    Example:
      echoanom ingest hydrophone deployment observatory --end-to-end 176.2
      echoanom ingest hydrophone s3://bucket/wav observatory --bands linear
      echoanom ingest hydrophone wav observatory --name-pattern '%d%m%y-%H%M%S'
    """
