import json

from kfp import dsl

from components.predict.component import predict
from tests.components.predict.conftest import NAME
from tests.helpers import LINEAGE

SOURCE = json.dumps({"tables": {"t": {"path": "t.csv"}}})


def test_the_adapter_writes_a_summary_and_a_page(site, table, tmp_path, capsys):
    visits = [None, *([1] * 49)]
    bad = table.set_column(table.column_names.index("visits"), "visits", [visits])

    place = predict.python_func(
        name=NAME,
        source=SOURCE,
        lineage=LINEAGE.model_dump_json(),
        version="",
        destination="june",
        table=dsl.Dataset(uri=str(site.write(bad))),
        summary=dsl.Artifact(uri=str(tmp_path / "summary")),
        predict_page=dsl.HTML(uri=str(tmp_path / "page")),
    )

    assert place == site.store.uri("june/")
    assert json.loads((tmp_path / "summary").read_bytes())["predicted"] == 49
    page = (tmp_path / "page").read_text(encoding="utf-8")
    assert "Row 0, column &#39;visits&#39;: found null; expected a whole number." in page
    assert "1 rejected" in page
    assert capsys.readouterr().out == (f"▸ 49 rows predicted by version {site.version}; 1 rejected, in {place}\n")


def test_the_page_of_a_regression_shows_its_values(publish, tmp_path):
    from components.predict.page import prediction_page
    from tests.helpers import make_table

    summary = publish("regression").predict(make_table("regression", rows=20))

    page = prediction_page(summary).write(tmp_path / "page").read_text(encoding="utf-8")
    assert "all rows predicted" in page
    assert "Minimum" in page
    assert "Rejected" in page
