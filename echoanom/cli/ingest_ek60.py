"""The command that reads EK60 and EK80 echosounders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from echoanom.cli.ingesting import ingest_command
from echoanom.cli.parameters import Flag
from echoanom.ingest.ek60options import EK60Options

if TYPE_CHECKING:
    from echoanom.ingest.instrument import Instrument


def _make(options: EK60Options) -> Instrument:
    from echoanom.ingest.ek60 import EK60

    return EK60(options)


@ingest_command(
    EK60Options,
    _make,
    frequencies_hz=Flag("--frequency", "Channels to take [Hz].", default="all"),
    range_bin_m=Flag(
        "--range-bin",
        "Average Sv as power over range bins of this size [m]; 0 keeps a column for"
        " each sample.",
        "M",
    ),
    min_range_m=Flag("--min-range", "Leave out what is nearer [m].", "M"),
    max_range_m=Flag(
        "--max-range",
        "Leave out what is farther [m]. With --range-bin the bins reach so far, however"
        " far was recorded.",
        "M",
        default="as recorded",
    ),
    look=Flag("--look", "Which way the beam points."),
    tilt_deg=Flag("--tilt", "Angle between beam and vertical [degree].", "DEG"),
    instrument_depth_m=Flag(
        "--instrument-depth",
        "Depth of the transducer [m].",
        "M",
        default="as recorded, of one that looks down",
    ),
    min_depth_m=Flag(
        "--min-depth",
        "Leave out what is not wholly below this depth [m]: the surface, its bubbles.",
        "M",
    ),
    max_depth_m=Flag(
        "--max-depth",
        "Leave out what is not wholly above this depth [m]: the bottom.",
        "M",
    ),
    temperature=Flag(
        "--temperature",
        "Of the water [degC]; with salinity and pressure it gives sound speed and"
        " absorption.",
        "DEGC",
        default="both as recorded",
    ),
    salinity=Flag("--salinity", "Practical salinity [1e-3].", "S"),
    pressure=Flag("--pressure", "Pressure that stands for the beam [dbar].", "DBAR"),
    ph=Flag("--ph", "pH; it matters with --temperature alone.", "PH"),
    sound_speed=Flag("--sound-speed", "Sound speed [m/s].", "M/S"),
    absorption=Flag(
        "--absorption", "Absorption of each frequency [dB/m].", default="as recorded"
    ),
    gain=Flag("--gain", "Gain of each frequency [dB].", default="as recorded"),
    sa_correction=Flag(
        "--sa-correction",
        "Sa correction of each frequency [dB].",
        default="as recorded",
    ),
    beam_angle=Flag(
        "--beam-angle",
        "Equivalent two-way beam angle of each frequency [dB re 1 sr].",
        default="as recorded",
    ),
    noise_cell_m=Flag(
        "--noise-cell",
        "Take off each ping's background noise, the least mean over cells of this range"
        " [m]; 0 keeps it.",
        "M",
    ),
    noise_max_db=Flag("--noise-max", "Upper limit of that noise [dB].", "DB"),
    snr_db=Flag(
        "--snr", "What is not more than this above the noise is missing [dB].", "DB"
    ),
)
def ek60() -> None:
    """Make daily tables of Sv from an EK60 or EK80 echosounder's raw files.

    Sv is calibrated by echopype and averaged over each minute as power. There is a
    column for each frequency and range: Sv_38kHz_12.5m, in dB re 1 m⁻¹. Of an EK80 only
    narrow-band channels are taken. A file that is cut or damaged is refused, and the
    message says at which byte.

    \b
    Example:
      echoanom ingest ek60 cruise observatory --frequency 38000,120000 --range-bin 1
      echoanom ingest ek60 moored observatory --look up --instrument-depth 258 \\
        --range-bin 1 --max-range 300 --min-depth 5
    """
