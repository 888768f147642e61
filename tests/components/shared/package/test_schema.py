import pytest
from pydantic import ValidationError

from components.shared.package.schema import FILE, Feature, Schema
from tests.helpers import make_schema


def test_columns_are_in_the_order_of_the_inputs():
    schema = Schema(
        task="binary",
        target="y",
        classes=[False, True],
        features=[
            Feature(name="when", kind="timestamp", nullable=False),
            Feature(name="colour", kind="category", nullable=False),
            Feature(name="flag", kind="boolean", nullable=False),
            Feature(name="count", kind="integer", nullable=False),
            Feature(name="size", kind="number", nullable=False),
        ],
    )
    assert schema.columns == ["flag", "count", "size", "colour", "when"]
    assert [feature.name for feature in schema.numbers] == ["flag", "count", "size"]
    assert [feature.name for feature in schema.categories] == ["colour"]
    assert [feature.name for feature in schema.timestamps] == ["when"]


@pytest.mark.parametrize("classes", [[False, True], ["näh", "我"], [0, 1, 2], []])
def test_what_is_written_is_read(tmp_path, classes):
    schema = make_schema("multiclass").model_copy(update={"classes": classes})
    schema.write(tmp_path)
    found = Schema.read(tmp_path)
    assert found == schema
    assert [type(label) for label in found.classes] == [type(label) for label in classes]


def test_a_schema_of_another_format_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        Schema.read(tmp_path)
    (tmp_path / FILE).write_text('{"columns": []}')
    with pytest.raises(ValidationError, match="features"):
        Schema.read(tmp_path)
