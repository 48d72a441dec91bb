"""What a reading leaves open makes it less sure; names of other kinds of schemas are read."""

import pytest

from engine.planner.planner import Planned, plan
from tests.engine.planner.test_planner import NOW, _schema_of, _sql_of

DEPOT = {
    "drv": "drv_no:integer drv_nm:text city:text hired_dt:date",
    "veh": "veh_cd:text maker:text payload_kg:integer rank_level:integer",
    "trip_hdr": "trip_id:integer drv_no:integer veh_cd:text trip_ts:timestamp trip_stat:text",
    "trip_ln": "trip_id:integer ln_no:integer goods:text qty:integer unit_price:decimal",
    "returns": "ret_id:integer trip_id:integer goods:text qty:integer reason_cd:text ret_dt:date",
    "inspection": "inspection_id:integer veh_cd:text garage_name:text inspected_on:date",
}
VALUES = {
    ("drv", "city"): ["Gent", "Lille"],
    ("returns", "reason_cd"): ["BROKEN", "LATE"],
    ("inspection", "garage_name"): ["North Yard", "Harbour Works"],
    ("trip_hdr", "trip_stat"): ["done", "void"],
}


def _sql(question: str) -> str:
    return _sql_of(question, DEPOT, VALUES)


def _planned(question: str, *knowledge: str) -> Planned:
    return plan(question, _schema_of(DEPOT, VALUES), NOW, knowledge=knowledge)

