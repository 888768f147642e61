"""On this machine; tests/cluster has the same for a cluster."""

import pytest

from components.deploy.rollback import is_served_here, roll_back, undeploy
from components.shared.errors import DeployError, PackageError
from components.shared.package.model_package import GOLDEN
from components.shared.registry.history import rollback_path
from components.shared.registry.registry import Registry
from tests.components.deploy.conftest import NAME, Site


def champion(site: Site) -> tuple[str, str | None]:
    """The champion, and what it replaced."""
    found = Registry(site.store, NAME).champion()
    assert found is not None
    return found.version, found.replaced


def serves(site: Site) -> str:
    state = site.endpoint.running()
    assert state is not None
    return state.version


def test_there_is_nothing_to_roll_back_to(site):
    with pytest.raises(PackageError, match="No version of 'my-model-2' has served yet: there is nothing to roll back"):
        roll_back(site.store, NAME, folder=site.folder)
    site.crown(site.add(1))
    with pytest.raises(PackageError, match="is the first one that served: there is none to roll back to"):
        roll_back(site.store, NAME, folder=site.folder)
    site.crown(site.add(2))
    assert not is_served_here(NAME, site.folder)
    with pytest.raises(DeployError, match="No server of 'my-model-2' runs on this machine. Deploy it first"):
        roll_back(site.store, NAME, folder=site.folder)
    with pytest.raises(DeployError, match="No server of 'my-model-2' runs on this machine"):
        undeploy(NAME, folder=site.folder)
    assert champion(site) == (site.add(2), site.add(1))


def test_back_with_the_settings_in_use(site):
    first, second = site.add(1), site.add(2)
    site.deploy(first)
    site.deploy(second, site.serving.model_copy(update={"rows": 7}))
    assert is_served_here(NAME, site.folder)
    deployed = roll_back(site.store, NAME, folder=site.folder, why="wrong on Mondays")
    assert (deployed.version, deployed.replaced) == (first, second)
    assert champion(site) == (first, second)
    newest = Registry(site.store, NAME).history()[-1]
    assert (newest.action, newest.why, newest.run) == ("rolled back", "wrong on Mondays", "")
    state = site.endpoint.running()
    assert state is not None
    assert (state.version, state.wanted_port) == (first, site.port)
    assert '"rows":7' in state.settings


def test_a_failed_deployment_is_no_station_on_the_way_back(site):
    """A, B, then a C that fails: back from B is A. Done again it goes further, not forth."""
    first, second = site.add(1), site.add(2)
    site.deploy(second)
    with pytest.raises(DeployError, match="golden requests wrongly"):
        site.deploy(site.add(3, broken=GOLDEN))
    assert roll_back(site.store, NAME, folder=site.folder).version == first
    assert champion(site) == (first, second) == (serves(site), second)
    way = [entry.version for entry in Registry(site.store, NAME).history()]
    assert way == [first, second, first, second, first, second, first]
    with pytest.raises(PackageError, match=rf"aaaa of '{NAME}' was never the champion: expected one that has served"):
        roll_back(site.store, NAME, folder=site.folder, version="aaaa")
    # The next one goes to what was champion before the first of these, and one by name wherever it is told to.
    assert roll_back(site.store, NAME, folder=site.folder).version == second
    assert rollback_path(Registry(site.store, NAME).history()) == [first, second]
    assert roll_back(site.store, NAME, folder=site.folder, version=first).version == first
    site.deploy(second)


def test_from_what_is_not_the_champion_the_way_back_is_the_champion(site):
    """As on a machine whose champion another one has moved, or where a deployment was killed before its last act."""
    served, other = serves(site), site.add(1)
    site.crown(other)
    history = Registry(site.store, NAME).history()
    assert roll_back(site.store, NAME, folder=site.folder).version == other
    assert serves(site) == other
    assert Registry(site.store, NAME).history() == history
    site.deploy(served)


def test_a_roll_back_that_fails_changes_nothing(site):
    broken, second = site.add(3, broken=GOLDEN), site.add(2)
    site.crown(broken)
    site.crown(second)
    before = Registry(site.store, NAME).history()
    with pytest.raises(DeployError, match="golden requests wrongly"):
        roll_back(site.store, NAME, folder=site.folder)
    assert Registry(site.store, NAME).history() == before
    assert champion(site) == (second, broken)
    assert serves(site) == second


def test_an_endpoint_is_ended(site):
    before = champion(site)
    assert undeploy(NAME, folder=site.folder) == before[0]
    assert not is_served_here(NAME, site.folder)
    assert champion(site) == before
