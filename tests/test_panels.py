from __future__ import annotations

from echoanom.columns import Column, column_from_name
from echoanom.panels import find_panels


def columns(sensor: str, *names: str) -> list[Column]:
    return [column_from_name(name, sensor) for name in names]


def test_bins_of_one_quantity_are_one_panel_by_ascending_range() -> None:
    (panel,) = find_panels(columns("ek60", "Sv_3m", "Sv_1m", "Sv_10.5m", "Sv_2m"))
    assert panel.quantity == "Sv" and panel.along == "range" and panel.is_image
    assert panel.coordinates == (1.0, 2.0, 3.0, 10.5)
    assert panel.positions == (1, 3, 0, 2)
    assert panel.label == "Sv (dB re 1 m⁻¹)"
    assert panel.difference_label == "Difference (dB)"


def test_quantities_of_one_sensor_are_panels_of_their_own() -> None:
    panels = find_panels(
        columns("adcp", "speed_1m", "dir_1m", "speed_2m", "dir_2m", "heading")
    )
    assert [(p.quantity, p.along, p.positions) for p in panels] == [
        ("speed", "range", (0, 2)),
        ("dir", "range", (1, 3)),
        ("heading", "nothing", (4,)),
    ]
    assert not any(panel.is_image for panel in panels)
    assert panels[1].label == "dir (°)"


def test_spectra_are_panels_along_frequency() -> None:
    (panel,) = find_panels(
        columns("hydrophone", *(f"ltsa_{n}kHz" for n in (1, 2, 3, 4.5)))
    )
    assert panel.along == "frequency" and panel.coordinates[-1] == 4500.0


def test_sensors_keep_their_order_and_their_panels_together() -> None:
    mixed = [
        *columns("b", "temp"),
        *columns("a", "temp"),
        *columns("b", "salinity"),
    ]
    assert [(p.sensor, p.quantity) for p in find_panels(mixed)] == [
        ("b", "temp"),
        ("b", "salinity"),
        ("a", "temp"),
    ]


def test_a_name_that_is_only_a_coordinate_stays_whole() -> None:
    panels = find_panels(
        [Column("10m", "chain", range_m=10.0), Column("20m", "chain", range_m=20.0)]
    )
    assert {panel.quantity for panel in panels} == {"10m", "20m"}


def test_every_column_is_in_exactly_one_panel() -> None:
    mixed = columns("a", "Sv_1m", "x", "y_2kHz", "z_deg", "Sv_2m", "1")
    positions = [p for panel in find_panels(mixed) for p in panel.positions]
    assert sorted(positions) == list(range(len(mixed)))


def test_a_unit_in_the_name_is_not_said_twice() -> None:
    panels = find_panels(
        [
            Column("temperature_degC", "ctd", "degC"),
            Column("sound_speed_m_s", "ctd", "m/s"),
            Column("depth", "ctd", "m"),
            Column("state", "ctd"),
            column_from_name("dir_deg", "s4"),
            column_from_name("heading_degrees", "s4"),
        ]
    )
    assert [panel.label for panel in panels] == [
        "temperature (°C)",
        "sound speed (m/s)",
        "depth (m)",
        "state",
        "dir (°)",
        "heading (°)",
    ]
