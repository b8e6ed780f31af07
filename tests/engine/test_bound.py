"""What binding derives from the catalogue once, and keeps."""

from pathlib import Path

from engine.dtypes.ledger import LIFETIME
from tests.worlds.engine_driver import EngineDriver
from tests.worlds.script import written_world


def test_total_windows_start_on_days_before_1970_too(tmp_path: Path) -> None:
    driver = next(
        driver
        for seed in range(40)
        if (driver := EngineDriver(written_world(seed, 1), tmp_path / str(seed))).engine.bound.total_caps
    )
    bound = driver.engine.bound
    clock = bound.clock_at(0)
    caps = bound.rulebook.catalogue.contact_policy.caps
    for day_us in (-86_400_000_000, 0, 86_400_000_000):
        days = bound.since_days(clock, day_us)
        assert len(days) == len(caps)
        assert all(day == LIFETIME or abs(day - day_us // 86_400_000_000) <= 31 for day in days.tolist())
