"""A platform with orders, customers and staff in its lakehouse, governed, and calls as different people."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from core.context import Principal
from engine.identity.roles import BUILT_IN
from engine.lake.warehouse import TABLE_DEFAULTS
from headwater.build import Platform
from tests.tools.admin.policy_desk import ADMIN, STRANGER, VIC, PolicyDesk, govern_staff, opened_desk

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog

EDITOR = Principal("eve", "default", frozenset({"editor"}), BUILT_IN["editor"], attributes={"region": "eu"})
AGENT = replace(ADMIN, via="agent", credential_id="bot")
__all__ = ["ADMIN", "AGENT", "EDITOR", "STRANGER", "VIC"]

SHOP = """
semantic_models:
  - name: customers
    table: shop.customers
    synonyms: [clients]
    entities: [{name: customer, type: primary, expr: id}]
    dimensions:
      - {name: country, type: categorical, synonyms: [land], samples: [FR, DE]}
      - {name: name, type: categorical}
    measures: [{name: customer_count, agg: count, expr: id}]
  - name: orders
    table: shop.orders
    subject_path: sales/orders
    owners: [ada]
    defaults: {agg_time_dimension: day}
    entities:
      - {name: order, type: primary, expr: id}
      - {name: customer, type: foreign, expr: customer_id}
    dimensions: [{name: day, type: time, type_params: {time_granularity: day}}]
    measures:
      - {name: revenue, agg: sum, expr: amount}
      - {name: order_count, agg: count, expr: id}
metrics:
  - name: revenue
    type: simple
    label: Revenue
    description: What customers have paid.
    synonyms: [turnover, takings]
    subject_path: sales/orders
    type_params: {measure: revenue}
  - name: order_count
    type: simple
    synonyms: [orders]
    type_params: {measure: order_count}
  - name: french_revenue
    type: simple
    type_params: {measure: revenue}
    filter: "{{ Dimension('customer__country') }} = 'FR'"
  - name: average_order
    type: ratio
    type_params: {numerator: revenue, denominator: order_count}
  - name: running_revenue
    type: cumulative
    type_params: {measure: revenue, cumulative_type_params: {period_agg: last}}
"""
STAFF = """
semantic_models:
  - name: staff
    table: hr.staff
    entities: [{name: person, type: primary, expr: id}]
    dimensions:
      - {name: region, type: categorical}
      - {name: number, type: categorical, expr: ssn, samples: [canary-9]}
    measures:
      - {name: payroll, agg: sum, expr: pay}
      - {name: numbers, agg: count_distinct, expr: ssn}
  - name: vault
    table: vault.staff
    entities: [{name: vault_person, type: primary, expr: id}]
    measures: [{name: vaulted, agg: count, expr: id}]
metrics:
  - {name: payroll, type: simple, type_params: {measure: payroll}}
  - {name: numbers, type: simple, type_params: {measure: numbers}}
  - {name: vaulted, type: simple, type_params: {measure: vaulted}}
  - name: numbered_payroll
    type: simple
    type_params: {measure: payroll}
    filter: "{{ Dimension('person__number') }} != 'x'"
  - {name: pay_per_number, type: ratio, type_params: {numerator: payroll, denominator: numbers}}
"""


def load_shop(platform: Platform) -> None:
    import pyarrow as pa

    orders = pa.table(
        {
            "id": pa.array([1, 2, 3, 4], pa.int64()),
            "customer_id": pa.array([1, 1, 2, 3], pa.int64()),
            "amount": pa.array([10, 20, 30, 40], pa.int64()),
            "day": [date(2025, 12, 30), date(2026, 1, 5), date(2026, 1, 20), date(2026, 2, 3)],
        }
    )
    customers = pa.table(
        {"id": pa.array([1, 2, 3, 3], pa.int64()), "country": ["FR", "DE", "FR", "FR"], "name": ["A", "B", "C", "C"]}
    )

    def work(catalog: "SqlCatalog") -> None:
        catalog.create_namespace_if_not_exists("shop")
        for name, rows in {
            "shop.orders": orders,
            "shop.customers": customers.slice(0, 3),
            "shop.doubled": customers,
        }.items():
            catalog.create_table(name, schema=rows.schema, properties=TABLE_DEFAULTS).append(rows)

    platform.engine.lake.commit_now("default", work)


async def load(desk: PolicyDesk, text: str, **arguments: Any) -> Any:
    return await desk.call("import_semantic_model", files={"models.yml": text}, **arguments)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def office(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PolicyDesk]:
    async with opened_desk(Path(tmp_path_factory.mktemp("office")) / "home") as desk:
        await asyncio.to_thread(load_shop, desk.platform)
        await govern_staff(desk)
        await desk.platform.engine.identity.directory.create_user("default", user_id="eve", roles=["editor"])
        await load(desk, SHOP)
        await load(desk, STAFF)
        yield desk
