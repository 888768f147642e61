from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from minio.commonconfig import ENABLED, Filter
from minio.error import S3Error
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule

from components.shared.errors import StoreError
from components.shared.purposes import Purpose
from components.shared.registry.registry import MovedError, Registry
from components.shared.store import Store, StoreSettings
from components.shared.store_admin import (
    GRANTS,
    PURPOSES,
    Keys,
    _client,
    expire_log,
    policy,
    prepare,
    read_keys,
)
from pipelines.__main__ import main
from tests.minio_program import USERS, empty_minio, set_up


@pytest.fixture(scope="module")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSettings]:
    with empty_minio(tmp_path_factory.mktemp("minio")) as settings:
        yield settings


@pytest.fixture(scope="module")
def ready(minio: StoreSettings) -> StoreSettings:
    """The same, set up."""
    done = set_up(minio)
    assert done[2] == "rows of the inference log expire after 90 days"
    assert done[:2] == ["bucket fullcircle is there", "bucket mlpipeline is there"]
    return minio


def signed_in(settings: StoreSettings, purpose: Purpose, bucket: str = "fullcircle") -> Store:
    keys = USERS[purpose]
    return Store(replace(settings, access_key=keys.access_key, secret_key=keys.secret_key, bucket=bucket), retries=0)


def may(action, *arguments: object) -> bool:
    try:
        action(*arguments)
    except StoreError as error:
        if "not allowed" not in str(error):
            raise
        return False
    return True


# read, write, remove; what a purpose may do below each prefix.
RIGHTS: dict[Purpose, dict[str, str]] = {
    "stages": {
        "data/": "r",
        "models/": "rw",
        "predictions/": "rwd",
        "monitoring/": "rw",
        "inference/": "",
        "shadow/": "",
    },
    "serving": {"data/": "", "models/": "r", "predictions/": "", "monitoring/": "", "inference/": "w", "shadow/": "w"},
    "monitoring": {
        "data/": "r",
        "models/": "r",
        "predictions/": "r",
        "monitoring/": "rw",
        "shadow/": "rd",
        "inference/": "rd",  # no row of the endpoint's is written,
        "inference/demo/date=2026-03-01/hour=09/compacted-": "rwd",  # only what compaction makes of them
    },
    "artifacts": dict.fromkeys(("data/", "models/", "predictions/", "monitoring/", "inference/", "shadow/"), ""),
}


@pytest.mark.parametrize("purpose", PURPOSES)
def test_each_user_may_do_what_its_purpose_needs_and_nothing_else(ready, purpose, tmp_path):
    store = signed_in(ready, purpose)
    for prefix, rights in RIGHTS[purpose].items():
        Store(ready).put_bytes(f"{prefix}there", b"1")
        found = {
            "r": may(store.get_bytes, f"{prefix}there"),
            "w": may(store.put_bytes, f"{prefix}new", b"2"),
            "d": may(store.delete, f"{prefix}there"),
        }
        assert "".join(right for right, allowed in found.items() if allowed) == rights, prefix
        assert may(store.list, prefix) == ("r" in rights)
    assert not may(store.list, "")
    assert may(signed_in(ready, purpose, "mlpipeline").put_bytes, "v2/artifacts/a", b"3") == (purpose == "artifacts")


def test_the_log_expires_by_a_rule_of_the_store(store):
    """Any store with lifecycle rules; those of others stay."""
    client = _client(store.settings)

    def rules() -> dict[Any, Any]:
        found: Any = client.get_bucket_lifecycle(store.settings.bucket)
        return {
            rule.rule_id: (rule.rule_filter.prefix, rule.expiration.days) for rule in (found.rules if found else [])
        }

    other = Rule(ENABLED, rule_filter=Filter(prefix="tmp/"), rule_id="other", expiration=Expiration(days=1))
    assert expire_log(store.settings, days=30) == "rows of the inference log expire after 30 days"
    assert rules() == {"fullcircle-inference-log": ("inference/", 30), "fullcircle-shadow-log": ("shadow/", 30)}
    client.set_bucket_lifecycle(store.settings.bucket, LifecycleConfig([other]))
    expire_log(store.settings, days=7)
    expire_log(store.settings, days=9)
    assert rules() == {
        "other": ("tmp/", 1), "fullcircle-inference-log": ("inference/", 9), "fullcircle-shadow-log": ("shadow/", 9),
    }  # fmt: skip
    assert expire_log(store.settings, days=0) == "rows of the inference log are kept"
    assert rules() == {"other": ("tmp/", 1)}
    client.delete_bucket_lifecycle(store.settings.bucket)
    expire_log(store.settings, days=0)
    assert rules() == {}


def test_nobody_but_root_may_administer(ready):
    for keys in USERS.values():
        settings = replace(ready, access_key=keys.access_key, secret_key=keys.secret_key)
        with pytest.raises(StoreError, match="its root keys|not allowed"):
            prepare(settings, {}, artifact_bucket="fullcircle")


def test_stages_find_their_bucket_and_move_the_champion(ready):
    store = signed_in(ready, "stages")
    store.ensure_bucket()
    registry = Registry(store, "demo")
    assert registry.champion() is None
    first = registry.promote("1", expected=None)
    registry.promote("2", expected=first)
    with pytest.raises(MovedError):
        registry.promote("3", expected=first)
    serving = signed_in(ready, "serving")
    second = Registry(serving, "demo").champion()
    assert second is not None
    assert second.version == "2"
    assert not may(serving.create, "models/demo/other", b"")


def test_the_bucket_itself_is_looked_up_by_serving_alone(ready):
    # As boto3's head_bucket does, with which KServe's storage-initializer begins.
    for purpose in PURPOSES:
        bucket = "mlpipeline" if purpose == "artifacts" else "fullcircle"
        client = signed_in(ready, purpose, bucket)._client
        try:
            found = client.bucket_exists(bucket)
        except S3Error:
            found = False
        assert found == (purpose in ("serving", "artifacts")), purpose


def test_large_objects_go_up_in_parts(ready, tmp_path):
    (tmp_path / "large").write_bytes(bytes(6_000_000))
    signed_in(ready, "stages").put_file("models/large", tmp_path / "large")
    assert Store(ready).list("models/large")[0].size == 6_000_000


def test_once_more_changes_nothing_and_new_keys_replace_the_old(ready):
    Store(ready).put_bytes("models/kept", b"1")
    once = prepare(ready, USERS, artifact_bucket="mlpipeline")
    assert once[-1] == "user artifacts-key has the rights of artifacts"
    assert signed_in(ready, "serving").get_bytes("models/kept") == b"1"
    changed: dict[Purpose, Keys] = {
        **USERS,
        "serving": Keys("serving-new", "another-secret"),
        "stages": Keys("stages-key", "a-new-secret"),
    }
    done = prepare(ready, changed, artifact_bucket="mlpipeline")
    assert done[-1] == "user serving-key is removed: its keys were replaced"
    with pytest.raises(StoreError, match="'serving-key'"):
        signed_in(ready, "serving").get_bytes("models/kept")
    with pytest.raises(StoreError, match="secret key does not belong"):
        signed_in(ready, "stages").list("models/")
    again = prepare(ready, USERS, artifact_bucket="mlpipeline")
    assert again == [*once, "user serving-new is removed: its keys were replaced"]
    assert signed_in(ready, "serving").get_bytes("models/kept") == b"1"
    signed_in(ready, "stages").list("models/")


def test_the_command_takes_mounted_secrets(ready, tmp_path, monkeypatch, capsys):
    everybody: dict[str, Keys] = {**dict(USERS.items()), "root": Keys(ready.access_key, ready.secret_key)}
    for name, keys in everybody.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "access_key").write_text(f"{keys.access_key}\n", encoding="utf-8")
        (tmp_path / name / "secret_key").write_text(keys.secret_key, encoding="utf-8")
    monkeypatch.setenv("AWS_ENDPOINT_URL", ready.endpoint)
    assert main(["prepare-store", str(tmp_path), "--wait-seconds", "5"]) == 0
    assert "user serving-key has the rights of serving" in capsys.readouterr().out
    (tmp_path / "serving" / "secret_key").write_text("short", encoding="utf-8")
    assert main(["prepare-store", str(tmp_path)]) == 1
    assert "at least 8 characters" in capsys.readouterr().err
    (tmp_path / "serving" / "access_key").unlink()
    with pytest.raises(StoreError, match="access_key cannot be read"):
        read_keys(tmp_path / "serving")
    (tmp_path / "serving" / "access_key").touch()
    with pytest.raises(StoreError, match="is empty"):
        read_keys(tmp_path / "serving")


def test_two_purposes_with_one_key_are_refused():
    root = StoreSettings("http://127.0.0.1:1", "root", "root-secret")
    with pytest.raises(StoreError, match="serving and stages have the same access key, 'one'"):
        prepare(root, {"stages": Keys("one", "secret"), "serving": Keys("one", "secret")}, artifact_bucket="b")
    with pytest.raises(StoreError, match="stages and root have the same access key"):
        prepare(root, {"stages": Keys("root", "secret")}, artifact_bucket="b")


def test_a_store_that_does_not_answer_is_waited_for(monkeypatch):
    root = StoreSettings("http://127.0.0.1:1", "root", "root-secret")
    monkeypatch.setattr("components.shared.store_admin._PAUSE_SECONDS", 0.05)
    with pytest.raises(StoreError, match="nothing answers there"):
        prepare(root, {}, artifact_bucket="b", wait_seconds=0.1)


def test_a_secret_is_not_shown():
    assert "hidden" not in repr(Keys("name", "hidden"))


@pytest.mark.parametrize("purpose", PURPOSES)
def test_no_policy_has_wildcard_actions(purpose, capsys):
    assert main(["store-policy", purpose, "--bucket", "b"]) == 0
    text = capsys.readouterr().out
    assert '"s3:*"' not in text
    assert '"*"' not in text
    for statement in policy(purpose, "b")["Statement"]:
        assert all(resource.startswith("arn:aws:s3:::b") for resource in statement["Resource"])
    assert ("s3:DeleteObject" in text) == bool(GRANTS[purpose].remove)
