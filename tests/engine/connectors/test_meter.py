"""Processor time is parted between what runs side by side."""

from engine.connectors.meter import CpuMeter


def test_time_alone_is_ones_own_and_time_together_is_halved() -> None:
    now = [0.0]
    meter = CpuMeter(lambda: now[0])
    now[0] = 5.0  # before anybody came
    meter.enter("a")
    now[0] = 6.0
    meter.enter("b")
    now[0] = 8.0
    assert meter.leave("a") == 2.0
    now[0] = 9.0
    assert meter.leave("b") == 2.0
    assert meter.leave("b") == 0.0
