from components.validate.findings import Finding, report_of
from components.validate.page import contract_page

KEPT = Finding(name="a.minimum", rule="at least 0", failed_rows=0, share=0.0, holds=True)
ASIDE = Finding(
    name="b.allowed",
    rule="one of 1",
    on_failure="quarantine",
    failed_rows=2,
    share=0.2,
    examples=["<b>"],
    holds=False,
    change="Correct the data.",
)
BROKEN = Finding(name="c.required", rule="a column 'c'", holds=False, found="none at all", change="Select it.")
SAMPLE = [{"": "b.allowed", "b": "<b>"}]


def test_broken_checks_stand_first_with_what_to_do() -> None:
    html = contract_page(report_of([KEPT, ASIDE, BROKEN], 10, 2, limit=0.5), SAMPLE).render()
    places = [html.index(text) for text in ("Failed", "The run ended here", "c.required", "b.allowed", "a.minimum")]
    assert places == sorted(places)
    for text in ("Fails the run", "Quarantines rows", "Holds", "none at all", "Select it.", "20%", "The first 1 of 2."):
        assert text in html
    assert "<b>" not in html


def test_a_table_that_keeps_everything() -> None:
    html = contract_page(report_of([KEPT], 10, 0, limit=0.5), []).render()
    assert "1 checks, none broken" in html
    assert "Passed" in html
    assert "Quarantined rows" not in html


def test_a_table_with_rows_set_aside_passes() -> None:
    html = contract_page(report_of([KEPT, ASIDE], 10, 1, limit=0.5), SAMPLE).render()
    assert "The run ended here" not in html
    assert "The first" not in html
