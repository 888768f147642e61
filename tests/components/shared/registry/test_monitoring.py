"""How a version is watched travels with it, and does not make another version of it."""

import pytest

from components.shared.config import ColumnDrift, MonitoringConfig
from components.shared.errors import PackageError
from components.shared.package.model_package import verify, version_prefix
from components.shared.registry.monitoring import keep_settings, read_settings, settings_key
from tests.helpers import put_folder

OWN = MonitoringConfig(columns={"amount": ColumnDrift(method="ks", threshold=0.01)}, window_hours=6)


def test_a_section_is_read_as_it_was_kept(store):
    keep_settings(store, "demo", "v1", OWN)
    keep_settings(store, "demo", "v2", MonitoringConfig(rows=500))
    assert read_settings(store, "demo", "v1") == OWN
    assert read_settings(store, "demo", "v2").rows == 500
    keep_settings(store, "demo", "v1", MonitoringConfig(rows=700))
    assert read_settings(store, "demo", "v1").rows == 700


def test_a_version_of_before_is_watched_by_the_defaults(store):
    assert read_settings(store, "demo", "v0") == MonitoringConfig()


def test_the_version_stays_what_it_is(store, packages, tmp_path):
    """Its files and their hash do not change, and what downloads it gets no file that its manifest does not list."""
    version = verify(packages()).version
    put_folder(store, version_prefix("demo", version), packages())
    keep_settings(store, "demo", version, OWN)
    store.get_folder(version_prefix("demo", version), tmp_path / "package")
    assert verify(tmp_path / "package").version == version


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"what?", "Invalid JSON"),
        (b'{"format": "fullcircle-monitoring/1"}', "monitoring"),
        (b'{"format": "fullcircle-monitoring/2", "monitoring": {"seasons": 4}}', "seasons"),
    ],
)
def test_what_this_program_does_not_know_is_told(store, content, found):
    store.put_bytes(settings_key("demo", "v1"), content)
    with pytest.raises(PackageError, match="does not say how version v1 is watched") as told:
        read_settings(store, "demo", "v1")
    assert found in str(told.value)


def test_fields_that_were_given_go_before_and_the_others_stay():
    found = OWN.overridden(MonitoringConfig.model_validate({"rows": 500, "drift_share": 0.5}))
    assert found == OWN.model_copy(update={"rows": 500, "drift_share": 0.5})
    assert OWN.overridden(MonitoringConfig()) == OWN


def test_what_goes_before_a_version_s_own_settings_leaves_the_rest_of_a_section():
    own = MonitoringConfig.model_validate({"windows": {"size": "1d", "time": "event", "zone": "America/New_York"}})
    found = own.overridden(MonitoringConfig.model_validate({"windows": {"size": "2d"}}))
    assert (found.windows.size, found.windows.time, found.windows.zone) == ("2d", "event", "America/New_York")
