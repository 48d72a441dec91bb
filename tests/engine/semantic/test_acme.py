"""Somebody else's semantic models: all their files are read, all their metrics answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.semantic.metricflow import read_metricflow
from engine.semantic.templates import read_filter
from tests.engine.semantic.world import World, world

FILES = {file.name: file.read_text() for file in sorted((Path(__file__).parent / "acme").glob("*.yaml"))}
METRICS = {
    "avg_time_to_settle_claim",
    "claims",
    "loss_payment_amount",
    "loss_reserve_amount",
    "number_of_policies",
    "total_loss_amount",
    "total_policy_amount",
}
TABLES = """
    CREATE TABLE Claim (Claim_Identifier INT, Catastrophe_Identifier INT, Company_Claim_Number VARCHAR,
        Claim_Open_Date TIMESTAMP, Claim_Close_Date TIMESTAMP, Claims_Made_Date TIMESTAMP);
    CREATE TABLE Claim_Amount (Claim_Amount_Identifier BIGINT, Claim_Identifier INT, Event_Date TIMESTAMP,
        Claim_Amount DECIMAL(15, 2));
    CREATE TABLE Loss_Payment (Claim_Amount_Identifier BIGINT);
    CREATE TABLE Loss_Reserve (Claim_Amount_Identifier BIGINT);
    CREATE TABLE Policy (Policy_Identifier INT, Effective_Date TIMESTAMP, Policy_Number VARCHAR, Status_Code VARCHAR);
    CREATE TABLE Agreement_Party_Role (Agreement_Identifier INT, Party_Identifier BIGINT, Party_Role_Code VARCHAR);
    CREATE TABLE Policy_Amount (Policy_Amount_Identifier BIGINT, Policy_Identifier INT, Effective_Date TIMESTAMP,
        Policy_Amount DECIMAL(15, 2));
    CREATE TABLE Premium (Policy_Amount_Identifier BIGINT);
    INSERT INTO Claim VALUES (1, 4, 'c1', '2019-01-15', '2019-01-31', NULL), (2, 4, 'c2', '2019-06-02', NULL, NULL);
    INSERT INTO Claim_Amount VALUES (1, 1, '2019-02-01', 1000), (2, 1, '2019-02-02', 1100), (3, 1, '2019-03-01', 1200),
        (4, 1, NULL, 1250), (5, 2, '2019-07-01', 2100), (6, 2, '2019-07-01', 2200);
    INSERT INTO Loss_Payment VALUES (3), (4), (6);
    INSERT INTO Loss_Reserve VALUES (1), (5);
    INSERT INTO Policy VALUES (1, '2015-01-01', 'p1', 'A'), (2, '2019-06-01', 'p2', NULL), (3, '2019-07-01', 'p3', 'A');
    INSERT INTO Agreement_Party_Role VALUES (1, 1, 'PH'), (1, 2, 'AG'), (2, 1, 'PH'), (2, 2, 'AG'), (3, 5, 'AG');
    INSERT INTO Policy_Amount VALUES (1, 1, '2015-01-01', 1000000), (2, 1, '2015-01-01', 15000),
        (3, 1, '2016-01-01', 16000), (4, 2, '2019-06-01', 12000), (5, 2, NULL, 600000);
    INSERT INTO Premium VALUES (2), (3), (4);
"""
PREMIUM = "{{ Dimension('policy_amount__has_premium') }} = 1"
HOLDER = "{{ Dimension('policy__party_role_code') }} = 'PH'"
AGENT = "{{ Dimension('policy__party_role_code') }} = 'AG'"
PARTY, NUMBER, CLAIM = "policy__party_identifier_dim", "policy__policy_number", "claim_identifier__company_claim_number"
ROLES = "agreement_party_role r JOIN policy p ON r.agreement_identifier = p.policy_identifier"
PREMIUMS = "JOIN policy_amount a USING (policy_identifier) JOIN premium USING (policy_amount_identifier)"
LOSS = (
    "SELECT claim_identifier, sum(claim_amount) AS amount FROM claim_amount "
    "JOIN {} USING (claim_amount_identifier) GROUP BY 1"
)


@pytest.fixture(scope="module")
def acme() -> Iterator[World]:
    with world(TABLES, FILES) as made:
        yield made


def test_every_file_is_read_and_nothing_in_them_is_unknown() -> None:
    read = read_metricflow(FILES, "shop")
    assert (len(read.models), read.errors, read.warnings) == (25, [], [])
    assert {metric.name for metric in read.metrics} == METRICS


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_every_metric_compiles_and_runs(acme: World, metric: str) -> None:
    assert len(acme.rows(metric)) == 1


@pytest.mark.parametrize(
    ("metrics", "groups", "filters", "gold"),
    [
        (["claims"], [], [], "SELECT count(company_claim_number) FROM claim"),
        (
            ["loss_payment_amount", "loss_reserve_amount", "total_loss_amount"],
            [CLAIM],
            [],
            f"SELECT company_claim_number, p.amount, r.amount, p.amount + r.amount FROM claim "
            f"LEFT JOIN ({LOSS.format('loss_payment')}) p USING (claim_identifier) "
            f"LEFT JOIN ({LOSS.format('loss_reserve')}) r USING (claim_identifier)",
        ),
        (
            ["number_of_policies"],
            [PARTY],
            [AGENT],
            f"SELECT party_identifier, count(*) FROM {ROLES} WHERE party_role_code = 'AG' GROUP BY 1",
        ),
        (
            ["total_policy_amount"],
            [NUMBER, PARTY],
            [f"{PREMIUM} AND {HOLDER}"],
            f"SELECT policy_number, party_identifier, sum(policy_amount) FROM {ROLES} {PREMIUMS} "
            "WHERE party_role_code = 'PH' GROUP BY 1, 2",
        ),
        (
            ["number_of_policies"],
            [PARTY],
            [HOLDER],
            f"SELECT party_identifier, count(*) FROM {ROLES} WHERE party_role_code = 'PH' GROUP BY 1",
        ),
        (
            ["total_policy_amount"],
            [NUMBER],
            [PREMIUM],
            f"SELECT policy_number, sum(policy_amount) FROM policy {PREMIUMS} GROUP BY 1",
        ),
        (["number_of_policies"], [], [], "SELECT count(*) FROM policy"),
        (
            ["total_policy_amount"],
            [PARTY],
            [f"{PREMIUM} AND {HOLDER}"],
            f"SELECT party_identifier, sum(policy_amount) FROM {ROLES} {PREMIUMS} "
            "WHERE party_role_code = 'PH' GROUP BY 1",
        ),
    ],
)
def test_published_metric_queries_give_the_rows_of_hand_written_sql(
    acme: World, metrics: list[str], groups: list[str], filters: list[str], gold: str
) -> None:
    where = [read_filter(text) for text in filters]
    rows = acme.rows(*metrics, group_by=groups, where=where)
    assert rows == acme.run(gold)
    assert rows
