"""What to do about an alarm, and where that comes from."""

from pathlib import Path

import pytest
from onsite_tools import bench

from gateway.assess.upkeep import CalibrationWatch
from gateway.commissioning.advice import advice, corrective
from gateway.config.profiles import builtin_profile, builtin_profiles
from gateway.errors import AuroraError

UPKEEP = ("communication-loss", "battery-low", "power-loss", "stale")


@pytest.mark.parametrize("name", builtin_profiles())
def test_every_limit_of_every_profile_has_steps_with_sources(name: str) -> None:
    profile = builtin_profile(name)
    for rule in profile.rules:
        found = advice(rule, profile)
        assert found["steps"] == list(profile.actions)
        assert found["sources"]
        assert found["profile"] == profile.title


@pytest.mark.parametrize(
    "rule", ["communication-loss", "battery-low", "power-loss", "stale", *CalibrationWatch.RULES]
)
def test_what_the_gateway_says_of_its_measuring_has_steps_too(rule: str) -> None:
    found = advice(rule, None)
    assert len(found["steps"]) >= 2
    assert found["sources"]


def test_what_is_owed_to_the_law_comes_with_all_of_them() -> None:
    owed = advice("nothing-that-is-known", None)["owed"]
    assert any("852/2004" in source for source in owed["sources"])
    assert any("117.150" in source for source in owed["sources"])
    for entry in corrective()["advice"]:
        assert entry["steps"]
        assert entry["sources"]


async def test_is_asked_for_by_the_alarms_id(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        found = await at.order("alarm.advice", alarm="cold-room/high-critical")
        assert found["profile"] == "Chilled meat and large game"
        assert found["steps"][0].startswith("Find the cause")
        lost = await at.order("alarm.advice", alarm="room/communication-loss")
        assert lost["profile"] == ""
        with pytest.raises(AuroraError, match="is no alarm"):
            await at.order("alarm.advice", alarm="room")
