"""On this machine; tests/cluster has the same for a cluster."""

import pytest

from components.deploy.rollback import is_served_here, roll_back, undeploy
from components.shared.errors import DeployError
from components.shared.package.model_package import GOLDEN
from components.shared.registry.champion import read_champion
from tests.components.deploy.conftest import NAME, Site


def champion(site: Site) -> tuple[str, str | None]:
    found = read_champion(site.store, NAME)
    assert found is not None
    return found.version, found.previous


def test_there_is_nothing_to_roll_back_to(site):
    with pytest.raises(DeployError, match="No version of 'my-model-2' is published"):
        roll_back(site.store, NAME, folder=site.folder)
    site.crown(site.add(1))
    with pytest.raises(DeployError, match="is the first one: there is none to roll back to"):
        roll_back(site.store, NAME, folder=site.folder)
    site.crown(site.add(2))
    assert not is_served_here(NAME, site.folder)
    with pytest.raises(DeployError, match="No server of 'my-model-2' runs on this machine. Deploy it first"):
        roll_back(site.store, NAME, folder=site.folder)
    with pytest.raises(DeployError, match="No server of 'my-model-2' runs on this machine"):
        undeploy(NAME, folder=site.folder)
    assert champion(site) == (site.add(2), site.add(1))


def test_back_and_forth_with_the_settings_in_use(site):
    first, second = site.add(1), site.add(2)
    site.deploy(first)
    site.deploy(second, site.serving.model_copy(update={"rows": 7}))
    assert is_served_here(NAME, site.folder)
    deployed = roll_back(site.store, NAME, folder=site.folder)
    assert (deployed.version, deployed.replaced) == (first, second)
    assert champion(site) == (first, second)
    state = site.endpoint.running()
    assert state is not None
    assert (state.version, state.wanted_port) == (first, site.port)
    assert '"rows":7' in state.settings
    assert roll_back(site.store, NAME, folder=site.folder).version == second
    assert champion(site) == (second, first)


def test_a_roll_back_that_fails_changes_nothing(site):
    broken, second = site.add(3, broken=GOLDEN), site.add(2)
    site.crown(broken)
    site.crown(second)
    with pytest.raises(DeployError, match="golden requests wrongly"):
        roll_back(site.store, NAME, folder=site.folder)
    assert champion(site) == (second, broken)
    state = site.endpoint.running()
    assert state is not None
    assert state.version == second


def test_an_endpoint_is_ended(site):
    before = champion(site)
    assert undeploy(NAME, folder=site.folder) == before[0]
    assert not is_served_here(NAME, site.folder)
    assert champion(site) == before
