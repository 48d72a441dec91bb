"""Approvals and shares live as the model says, whatever happens in whatever order, also at once."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.engine.approvals.lives import ApprovalLife, ShareLife, postgres_store, sqlite_store

QUICK = settings(deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])
FEW = settings(QUICK, max_examples=6, stateful_step_count=12, derandomize=True)
MANY = settings(QUICK, max_examples=120, stateful_step_count=40)
STORES = {"sqlite": sqlite_store, "postgres": postgres_store}


def live(life: type[RuleBasedStateMachine], store: str, how: settings) -> None:
    run_state_machine_as_test(type(life.__name__, (life,), {"make_store": staticmethod(STORES[store])}), settings=how)


@pytest.mark.parametrize("life", [ApprovalLife, ShareLife])
def test_nothing_is_decided_twice_and_nothing_granted_that_was_not(life: type[RuleBasedStateMachine]) -> None:
    live(life, "sqlite", FEW)


@pytest.mark.slow
@pytest.mark.parametrize("store", [pytest.param("sqlite"), pytest.param("postgres", marks=pytest.mark.postgres)])
@pytest.mark.parametrize("life", [ApprovalLife, ShareLife])
def test_lives_are_told_for_longer(life: type[RuleBasedStateMachine], store: str) -> None:
    live(life, store, MANY)
