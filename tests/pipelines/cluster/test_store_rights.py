"""Rights that are tried out in a real MinIO."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from components.shared.purposes import Purpose
from components.shared.store import Store, StoreSettings
from components.shared.store_admin import PURPOSES
from pipelines.cluster.store_rights import PREFIXES, report, try_rights
from tests.minio_program import USERS, empty_minio, set_up


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSettings]:
    """A MinIO that is set up, and its root keys."""
    with empty_minio(tmp_path_factory.mktemp("minio")) as settings:
        set_up(settings)
        yield settings


def settings_of(settings: StoreSettings, purpose: Purpose, **changes: str) -> StoreSettings:
    bucket = "mlpipeline" if purpose == "artifacts" else "fullcircle"
    keys = {"access_key": USERS[purpose].access_key, "secret_key": USERS[purpose].secret_key}
    return replace(settings, **{"bucket": bucket, **keys, **changes})


@pytest.mark.parametrize("purpose", PURPOSES)
def test_rights_are_tried_without_leaving_anything(ready, purpose):
    before = [Store(ready).for_bucket(bucket).list() for bucket in ("fullcircle", "mlpipeline")]

    rights = try_rights(settings_of(ready, purpose), purpose)

    assert {right.place for right in rights} == set(PREFIXES)
    assert [right for right in rights if right.allowed != right.expected] == []
    assert before == [Store(ready).for_bucket(bucket).list() for bucket in ("fullcircle", "mlpipeline")]


def test_too_many_and_too_few_rights_are_seen(ready):
    as_serving = {(right.action, right.place): right for right in try_rights(settings_of(ready, "serving"), "stages")}
    as_root = try_rights(ready, "serving")

    assert as_serving["write", "inference/"].allowed
    assert not as_serving["write", "inference/"].expected
    assert not as_serving["write", "models/"].allowed
    assert as_serving["write", "models/"].expected
    assert {right.place for right in as_root if right.action == "remove" and right.allowed} == set(PREFIXES)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"access_key": "nobody"}, "AWS_ACCESS_KEY_ID"),
        ({"secret_key": "not-the-secret"}, "AWS_SECRET_ACCESS_KEY"),
        ({"endpoint": "http://127.0.0.1:1"}, "AWS_ENDPOINT_URL"),
    ],
)
def test_what_prevents_trying_is_named(ready, changes, named):
    found = report(settings_of(ready, "stages", **changes), "stages")

    assert named in found["error"]
    assert "rights" not in found


def test_a_missing_bucket_is_named(ready):
    assert "'absent' does not exist" in report(replace(ready, bucket="absent"), "stages")["error"]
