"""Whole tables through a real package and a real object store."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.predict import parts, predict, rejects
from components.predict.predict import predict_table
from components.shared.errors import InputError, PackageError, StoreError
from components.shared.package.model_package import version_prefix
from components.shared.package.scoring import Scorer, parse_rows
from components.shared.registry.registry import Registry
from components.shared.store import Store
from tests.components.predict.conftest import NAME
from tests.helpers import LINEAGE, make_table


def with_value(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def answers(site, rows):
    scorer = Scorer.load(site.package)
    return scorer.answers(scorer.score(parse_rows(rows, scorer.schema)))


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_every_row_gets_the_answer_that_the_endpoint_gives(publish, task):
    site, table = publish(task), make_table(task, rows=80)

    summary = site.predict(table)

    found = site.read(summary)
    labels = Scorer.load(site.package).schema.classes
    names = [str(label).lower() if isinstance(label, bool) else str(label) for label in labels]
    assert found.column_names == [
        "id", "opened at", "source_row", "prediction", *(f"probability_{name}" for name in names), "model_version",
    ]  # fmt: skip
    assert found.column("id").equals(table.column("id"))
    assert found.column("source_row").to_pylist() == list(range(80))
    expected = answers(site, table.to_pylist())
    assert found.column("prediction").to_pylist() == [answer["label"] for answer in expected]
    for name in names:
        probabilities = [answer["probabilities"][name] for answer in expected]
        np.testing.assert_allclose(found.column(f"probability_{name}").to_numpy(), probabilities, atol=1e-6)
    assert set(found.column("model_version").to_pylist()) == {site.version}
    assert summary.classes == {
        name: found.column("prediction").to_pylist().count(label) for name, label in zip(names, labels, strict=True)
    }


def test_a_regression_gives_values(publish):
    site, table = publish("regression"), make_table("regression", rows=30)

    summary = site.predict(table)

    found = site.read(summary).column("prediction").to_numpy()
    expected = [answer["value"] for answer in answers(site, table.to_pylist())]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert summary.classes == {}
    assert summary.values is not None
    assert summary.values.mean == pytest.approx(found.mean())
    assert (summary.values.minimum, summary.values.maximum) == pytest.approx((found.min(), found.max()))


def test_the_summary_says_what_lies_where(site, table):
    summary = site.predict(table.drop(["target"]))

    assert site.stored(summary) == summary.model_dump(mode="json")
    assert (summary.rows, summary.predicted, summary.rejected) == (50, 50, 0)
    assert (summary.name, summary.version, summary.parts) == (NAME, site.version, {"part-00000.parquet": 50})
    assert summary.lineage == LINEAGE
    prefix = summary.place.removeprefix(site.store.uri(""))
    assert prefix.startswith("predictions/demo/2")
    assert site.keys() == [f"{prefix}part-00000.parquet", f"{prefix}summary.json"]


def test_a_table_without_keys_and_time_is_predicted_too(publish):
    site, table = publish(), make_table(rows=10).drop(["id", "target"])

    assert site.read(site.predict(table)).column_names[:2] == ["opened at", "source_row"]


def test_bad_rows_are_set_aside_with_their_reason_and_all_their_columns(site, table):
    amounts = table.column("amount").to_pylist()
    amounts[3] = float("inf")
    visits = table.column("visits").to_pylist()
    visits[3], visits[41] = None, None
    bad = with_value(with_value(table, "amount", pa.array(amounts)), "visits", pa.array(visits))
    bad = bad.append_column("note", pa.array([f"note {row}" for row in range(50)]))

    summary = site.predict(bad, rows_a_group=20)

    assert (summary.predicted, summary.rejected) == (48, 2)
    rejected = site.rejected(summary)
    assert [row["source_row"] for row in rejected] == [3, 41]
    assert [row["reject_reason"] for row in rejected] == [
        "column 'amount': found inf; expected a number or null.",
        "column 'visits': found null; expected a whole number.",
    ]
    assert rejected[0]["amount"] == "inf"
    assert rejected[1]["note"] == "note 41"
    assert rejected[1]["visits"] is None
    assert rejected[1]["id"] == "41"
    assert summary.reasons == [f"Row {row['source_row']}, {row['reject_reason']}" for row in rejected]
    kept = site.read(summary)
    assert kept.column("source_row").to_pylist() == [row for row in range(50) if row not in (3, 41)]
    fitting = [row for row in bad.to_pylist() if row["id"] not in (3, 41)]
    assert kept.column("prediction").to_pylist() == [answer["label"] for answer in answers(site, fitting)]


def test_texts_of_an_untyped_file_are_what_they_spell(site, table):
    texts = pa.table({name: pc.cast(table.column(name), pa.string()) for name in table.column_names})
    visits = texts.column("visits").to_pylist()
    visits[7] = "often"
    texts = with_value(texts, "visits", pa.array(visits))

    summary = site.predict(texts)

    assert summary.reasons == ["Row 7, column 'visits': found 'often'; expected a whole number."]
    found, typed = site.read(summary), site.read(site.predict(table))
    typed = typed.filter(pc.not_equal(typed.column("source_row"), 7))
    for name in ("source_row", "prediction", "probability_true"):
        assert found.column(name).equals(typed.column(name))


def test_so_many_reasons_are_worded_and_all_rows_reject(site, table, monkeypatch):
    monkeypatch.setattr(rejects, "WORDED", 3)
    colours = pa.array([f"never {row}" if row < 9 else "1" for row in range(50)])

    summary = site.predict(with_value(table, "visits", colours))

    reasons = [row["reject_reason"] for row in site.rejected(summary)]
    assert len(reasons) == 9
    assert reasons[2] == "column 'visits': found 'never 2'; expected a whole number."
    assert set(reasons[3:]) == {"column 'visits': the value does not fit, like 3 others that are described."}


def test_values_that_are_not_numbers_share_one_reason(site, table, monkeypatch):
    monkeypatch.setattr(rejects, "WORDED", 1)

    summary = site.predict(with_value(table, "visits", pa.array([float("nan")] * 20 + [1.0] * 30)), rows_a_group=5)

    expected = "column 'visits': found nan; expected a whole number."
    assert {row["reject_reason"] for row in site.rejected(summary)} == {expected}


def test_columns_called_like_ours_are_kept_under_another_name(site, table):
    columns = table.append_column("source_row", pa.array(range(100, 150)))
    columns = with_value(columns, "visits", pa.array([None, *[1] * 49]))

    assert site.rejected(site.predict(columns))[0]["table_source_row"] == "100"


def test_very_many_columns_are_read_fewer_rows_at_a_time(site, table, monkeypatch):
    monkeypatch.setattr(predict, "CELLS", 25)
    visits = pa.array([None if row % 7 == 0 else 1 for row in range(50)])

    summary = site.predict(with_value(table, "visits", visits), rows_a_group=13)

    assert [row["source_row"] for row in site.rejected(summary)] == list(range(0, 50, 7))
    assert site.read(summary).column("source_row").to_pylist() == [row for row in range(50) if row % 7]


def test_only_the_first_reasons_are_shown(site, table):
    numbers = pa.array([None if row < 30 else 1 for row in range(50)])

    summary = site.predict(with_value(table, "visits", numbers), rows_a_group=7)

    assert summary.rejected == 30
    assert len(summary.reasons) == rejects.SHOWN
    assert summary.reasons[-1].startswith("Row 9, ")


def test_moments_beyond_python_are_set_aside_as_text(site, table):
    moments = pa.array([10**18, *range(49)], pa.timestamp("us"))

    summary = site.predict(with_value(table, "opened at", moments))

    assert summary.rejected == 1
    assert "column 'opened at': found '<value out of range" in summary.reasons[0]


def test_large_tables_become_several_parts(site, monkeypatch):
    monkeypatch.setattr(predict, "BLOCK", 16)
    monkeypatch.setattr(parts, "ROW_GROUP", 50)
    monkeypatch.setattr(parts, "PART", 100)
    table = make_table(rows=330)

    summary = site.predict(table, rows_a_group=70)

    assert sum(summary.parts.values()) == 330
    assert len(summary.parts) == 3
    assert site.read(summary).column("id").to_pylist() == table.column("id").to_pylist()


def test_columns_that_are_missing_are_one_error(site, table):
    with pytest.raises(InputError, match=r"no column 'visits', 'colour', which the model needs; it has id, amount"):
        site.predict(table.drop(["visits", "colour"]))

    assert site.keys() == []


def test_a_table_without_rows_is_an_error(site, table):
    with pytest.raises(InputError, match="no rows"):
        site.predict(table.slice(0, 0))


def test_no_row_that_fits_is_an_error_with_the_first_reasons(site, table):
    with pytest.raises(
        InputError, match=r"None of the 50 rows fits the model; the first ones:\n· Row 0, column 'member'"
    ):
        site.predict(with_value(table, "member", pa.array(["maybe"] * 50)))

    assert site.keys() == []


def test_a_key_called_like_an_output_is_refused(publish, tmp_path):
    site = publish()
    package = shutil.copytree(site.package, tmp_path / "other")
    schema = json.loads((package / "schema.json").read_bytes())

    with pytest.raises(InputError, match="'prediction' is called like"):
        predict.check_table(
            pq.read_metadata(site.write(make_table(rows=3))),
            [*make_table(rows=1).column_names, "prediction"],
            Scorer.load(package).schema.model_copy(update={"keys": ["prediction", *schema["keys"]]}),
        )


def test_without_a_champion_nothing_is_predicted(publish, table):
    site = publish(champion=False)

    with pytest.raises(PackageError, match="demo has no champion yet in s3://"):
        site.predict(table)

    assert site.predict(table, version=site.version).predicted == 50


def test_a_version_that_is_not_there_names_those_that_are(site, table):
    with pytest.raises(PackageError, match=f"no version 'v9' of demo in s3://.*; there are {site.version}"):
        site.predict(table, version="v9")


def test_a_model_that_was_never_published(site, table):
    with pytest.raises(PackageError, match="no version 'v9' of other in s3://.*; there is none"):
        predict_table(site.store, "other", site.write(table), lineage=LINEAGE, version="v9")


@pytest.mark.parametrize("file", ["model.onnx", "schema.json", "golden.json"])
def test_a_tampered_package_is_refused(site, table, file):
    key = f"{version_prefix(NAME, site.version)}{file}"
    site.store.put_bytes(key, site.store.get_bytes(key) + b" ")

    with pytest.raises(PackageError, match="SHA-256 differs"):
        site.predict(table)

    assert site.keys() == []


def test_answers_that_are_no_numbers_are_an_error(site, table, monkeypatch):
    monkeypatch.setattr(Scorer, "score", lambda self, inputs: np.full((len(inputs), 2), np.nan, np.float32))

    with pytest.raises(PackageError, match="answers NaN or infinity"):
        site.predict(table)


def test_a_destination_is_used_once(site, table):
    summary = site.predict(table, destination="june")

    assert summary.place == site.store.uri("june/")
    with pytest.raises(StoreError, match="june/ is in use"):
        site.predict(table, destination="/june/")
    assert site.stored(summary)["rows"] == 50


def test_another_bucket_may_be_the_destination(site, table):
    other = site.store.for_bucket(f"{site.store.settings.bucket}-2")
    other.ensure_bucket()

    summary = site.predict(table, destination=other.uri("june"))

    assert summary.place == other.uri("june/")
    assert other.exists("june/summary.json")


@pytest.mark.parametrize("place", ["/", "a//b", "../x", "s3://bucket"])
def test_a_destination_that_is_no_prefix_is_refused(site, table, place):
    with pytest.raises(InputError, match="destination: expected a prefix such as"):
        site.predict(table, destination=place)


def test_an_interrupted_upload_leaves_neither_summary_nor_parts(site, monkeypatch):
    monkeypatch.setattr(parts, "ROW_GROUP", 50)
    monkeypatch.setattr(predict, "BLOCK", 50)
    monkeypatch.setattr(parts, "PART", 50)
    upload = Store.put_file

    def stop(store: Store, key: str, path: Path) -> None:
        if key.endswith("part-00002.parquet"):
            raise KeyboardInterrupt
        upload(store, key, path)

    monkeypatch.setattr(Store, "put_file", stop)
    with pytest.raises(KeyboardInterrupt):
        site.predict(make_table(rows=200), destination="june")

    assert site.keys() == []
    monkeypatch.setattr(Store, "put_file", upload)
    assert site.predict(make_table(rows=200), destination="june").predicted == 200


def test_a_run_that_goes_on_holds_its_destination(site, table):
    site.store.put_bytes("june/_started", b"")

    with pytest.raises(StoreError, match="another run writes there"):
        site.predict(table, destination="june")


def test_the_champion_predicts(site, table):
    champion = Registry(site.store, NAME).champion()

    assert champion is not None
    assert site.predict(table).version == champion.version
