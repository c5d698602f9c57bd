"""Planted mistakes fail and get their name: a sample of every class in the normal run, twenty networks each in the long one."""

import pytest
from check.planting import table


def totals(rows):
    rows = list(rows)
    count = [sum(row[k] for row in rows) for k in range(3, 8)]
    return rows, dict(zip(("failed", "right", "wrong", "not found", "trials"), count))


@pytest.mark.parametrize("tier", ["twin", "arrays", "ours"])
def test_one_of_every_class_fails_and_nearly_all_are_named(tier):
    rows, count = totals(table(1, tier, seed=7))
    assert count["failed"] == count["trials"], rows
    assert count["right"] >= 0.9 * count["trials"] and count["wrong"] <= 1, rows


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("tier", ["twin", "arrays", "ours"])
def test_twenty_networks_of_every_class(tier):
    rows, count = totals(table(20, tier, seed=2))
    assert count["failed"] == count["trials"], rows
    assert count["right"] >= 0.9 * count["trials"] and count["wrong"] <= 0.02 * count["trials"], rows
    assert all(row[4] >= 0.9 * row[7] for row in rows), rows
