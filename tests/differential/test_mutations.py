"""A rule that is broken is noticed: one here, all of them in `make judge`."""

from tests.differential.mutations import MUTANTS, is_noticed


def test_a_missing_row_filter_is_noticed() -> None:
    mutant = next(item for item in MUTANTS if item.name == "no row filter")
    assert is_noticed(mutant, cases=120, seeds=(1,))


def test_each_rule_is_broken_under_a_name_of_its_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 30
