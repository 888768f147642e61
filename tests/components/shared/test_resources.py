import os

import pytest

from components.shared import resources
from components.shared.resources import cpu_count, memory_budget

GIBIBYTE = 1024**3


def test_cores_are_those_this_process_may_use():
    assert 1 <= cpu_count() <= len(os.sched_getaffinity(0))


def test_affinity_counts():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert cpu_count() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("content", "cores"),
    [
        ("200000 100000", 2),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("max 100000", 10**6),
        ("", 10**6),
        (None, 10**6),
    ],
)
def test_the_quota_of_a_container_counts(tmp_path, content, cores):
    if content is not None:
        (tmp_path / "cpu.max").write_text(content)
    assert resources._quota(tmp_path) == cores


@pytest.mark.parametrize(
    ("limit", "budget"),
    [(str(512 * 1024**2), 256 * 1024**2), (str(64 * GIBIBYTE), GIBIBYTE), ("max", GIBIBYTE), (None, GIBIBYTE)],
)
def test_memory_is_half_of_the_containers_at_most_a_gibibyte(tmp_path, monkeypatch, limit, budget):
    monkeypatch.delenv("FULLCIRCLE_MEMORY_MB", raising=False)
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
    assert memory_budget(tmp_path) == budget


def test_memory_can_be_stated(monkeypatch):
    monkeypatch.setenv("FULLCIRCLE_MEMORY_MB", "300")
    assert memory_budget() == 300 * 1024**2


def test_a_stated_number_of_cores_lowers_it_and_never_raises_it(monkeypatch):
    found = cpu_count()
    monkeypatch.setenv("FULLCIRCLE_CPUS", "1")
    assert cpu_count() == 1
    monkeypatch.setenv("FULLCIRCLE_CPUS", "4096")
    assert cpu_count() == found
