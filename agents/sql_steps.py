"""Nodes that make SQL: a model's candidates, their check, one repair with the exact message, their runs, the vote."""

import asyncio
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from agents.answers import SURE, vote
from agents.bench import DETAIL, Bench
from agents.linking_steps import is_sure, nearest_of, refusal_of
from agents.models import BadReply, ModelUnavailable
from agents.plan import PLAN_SCHEMA, SQL_SCHEMA, read_plan
from agents.state import Candidate, State, Trouble
from core.errors import Conflict, NotFound, PlatformError, QueryUnauthorized, Timeout, Unavailable

MAX_SQL_CHARS = 20_000
MAX_RUN = 4
VOTES, MORE_VOTES = (
    (0.0, 0.5, 0.9),
    (0.7, 1.0),
)  # temperatures of a small model's statements, and of what reflection adds
MAX_SHOWN_COLUMNS = 40
PLAIN = {"model": 0.5, "plan": 0.55, "repair": 0.4}
STRONG = {"model": 0.75, "plan": 0.8, "repair": 0.65}
_NAME = re.compile(r"[a-z0-9]+")


async def generate_sql(bench: Bench, state: State) -> dict[str, Any]:
    """A model's candidates: a typed plan and SQL of a strong one. A small one cannot plan, and says SQL thrice."""
    found, notes, failure = [], [], {}
    is_strong = bench.model is not None and bench.model.strength == "strong"
    by_sql = [partial(_by_sql, temperature=temperature) for temperature in VOTES]
    for write in (_by_plan, _by_sql) if is_strong else by_sql:
        try:
            found.append(await write(bench, state))
        except BadReply as failed:
            notes.append(failed.message)
        except ModelUnavailable as failed:
            notes.append(failed.message)
            failure = {"failed": failed.message}
            break
    found = _counted(found)
    update: dict[str, Any] = {"candidates": [*state.get("candidates", []), *found]}
    missing = [item for item in found if item.get("missing")]
    if missing and is_strong and len(missing) == len(found):
        update["trouble"] = _lacks(state, [str(item.get("missing")) for item in missing])
    if not found and notes and not state.get("candidates"):
        update["trouble"] = {**refusal_of(state), "hint": f"{notes[0]} {refusal_of(state)['hint']}".strip()}
    return {**update, DETAIL: {"candidates": len(found), "notes": notes, **failure}}


async def _by_sql(bench: Bench, state: State, temperature: float = 0.0) -> Candidate:
    reply = await bench.ask(
        "generate_sql",
        SQL_SCHEMA,
        temperature,
        dialect=dialect_of(state),
        schema=schema_text(state),
        notes=notes_text(state),
        question=state["task"],
    )
    return _candidate(bench, "model", _sql_of(reply.data))


async def _by_plan(bench: Bench, state: State) -> Candidate:
    reply = await bench.ask(
        "plan_query", PLAN_SCHEMA, schema=schema_text(state), notes=notes_text(state), question=state["task"]
    )
    candidate = _candidate(bench, "plan", "")
    if isinstance(reply.data, dict) and reply.data.get("missing"):
        return {**candidate, "problem": "The model finds no such thing.", "missing": str(reply.data["missing"])[:200]}
    try:
        built = await bench.call("build_query", connection_id=state["connection_id"], **read_plan(reply.data))
    except (PlatformError, TypeError) as refused:
        message = f"{refused.message} {refused.hint}" if isinstance(refused, PlatformError) else "The plan is no plan."
        return {**candidate, "problem": message.strip()}
    return {**candidate, "sql": built.sql}


async def sample_sql(bench: Bench, state: State) -> list[Candidate]:
    """Further statements of a model, each a little another."""
    try:
        return [await _by_sql(bench, state, temperature) for temperature in MORE_VOTES]
    except ModelUnavailable:
        return []


def _counted(found: Sequence[Candidate]) -> list[Candidate]:
    """Statements that were said more than once, once, with how often."""
    once: dict[str, Candidate] = {}
    for item in found:
        said = " ".join(item["sql"].split()) or item["source"]
        once[said] = {**item, "votes": once[said].get("votes", 1) + 1} if said in once else item
    return list(once.values())


async def validate_sql(bench: Bench, state: State) -> dict[str, Any]:
    """Each candidate checked as it would run for the caller: syntax, names, types, rights."""
    checked = await asyncio.gather(*(_checked(bench, state, item) for item in state.get("candidates", [])))
    good = [item for item in checked if not item["problem"]]
    if good:
        await bench.tell("sql_generated", sql=good[0]["sql"])
    return {"candidates": list(checked), DETAIL: {"valid": len(good), "problems": _problems(checked)}}


async def _checked(bench: Bench, state: State, item: Candidate) -> Candidate:
    if item["problem"] or item.get("result"):
        return item
    check = await bench.call(
        "validate_query", sql=item["sql"], parameters=item["parameters"], connection_id=state["connection_id"]
    )
    return item if check.valid else {**item, "problem": f"{check.message} {check.hint}".strip()}


async def repair_sql(bench: Bench, state: State) -> dict[str, Any]:
    """The best refused statement once more, with the exact message and names that are like the wrong ones."""
    wrong = next((item for item in state["candidates"] if item["problem"] and item["sql"]), None)
    repairs = state.get("repairs", 0) + 1
    if wrong is None:
        return {"repairs": repairs}
    problem = wrong["problem"] + did_you_mean(wrong["sql"], state)
    try:
        reply = await bench.ask(
            "repair_sql",
            SQL_SCHEMA,
            dialect=dialect_of(state),
            schema=schema_text(state),
            notes=notes_text(state),
            sql=wrong["sql"],
            problem=problem,
            question=state["task"],
        )
        repaired = _candidate(bench, "repair", _sql_of(reply.data))
    except ModelUnavailable as failed:
        return {"repairs": repairs, DETAIL: {"problem": problem, "failed": failed.message}}
    is_same = " ".join(repaired["sql"].split()) == " ".join(wrong["sql"].split())
    added = [] if is_same else [repaired]
    return {
        "repairs": repairs,
        "candidates": [*state["candidates"], *added],
        DETAIL: {"problem": problem, "changed": not is_same},
    }


async def execute_sql(bench: Bench, state: State) -> dict[str, Any]:
    """Run what passed the check, and take what most agree on."""
    candidates = list(state.get("candidates", []))
    fit = [at for at, item in enumerate(candidates) if not item["problem"] and not item.get("result")]
    for at in fit[:MAX_RUN]:
        candidates[at] = await _run(bench, state, candidates[at])
    chosen = vote(candidates)
    trouble = None if chosen is None else refused_by_code(bench, state, chosen)
    if trouble is not None:
        chosen = None
    elif chosen is None:
        trouble = _failed(state, candidates)
    if chosen is not None:
        result = chosen.get("result") or {}
        taken_s = result["execution_time_ms"] / 1000
        facts = {"status": "success", "rows_affected": result["row_count"], "row_count": result["row_count"]}
        await bench.tell("execution_complete", **facts, execution_time=taken_s)
    return {
        "candidates": candidates,
        "chosen": chosen,
        "trouble": trouble,
        DETAIL: {"ran": len(fit[:MAX_RUN]), "problems": _problems(candidates)},
    }


async def _run(bench: Bench, state: State, item: Candidate) -> Candidate:
    try:
        answer = await bench.call(
            "execute_query",
            sql=item["sql"],
            parameters=item["parameters"],
            connection_id=state["connection_id"],
            max_rows=state["max_rows"],
        )
    except (Conflict, QueryUnauthorized, NotFound, Timeout, Unavailable) as failed:
        return {**item, "problem": f"{failed.message} {failed.hint}".strip()}
    facts = answer.metadata
    result = {
        "rows": answer.data.records(),
        "columns": [column.model_dump() for column in facts.columns],
        "row_count": facts.row_count,
        "truncated": facts.truncated,
        "query_id": facts.query_id,
        "execution_time_ms": facts.execution_time_ms,
        "private_row_count": facts.private_row_count,
    }
    return {**item, "result": result}


def refused_by_code(bench: Bench, state: State, chosen: Candidate) -> Trouble | None:
    """A small model answers whatever it is asked: words that stand for nothing in the data make it no answer."""
    is_models = chosen["source"] in PLAIN and chosen["confidence"] < SURE
    if not is_models or (bench.model is not None and bench.model.strength == "strong"):
        return None
    known = " ".join([*state.get("knowledge", []), chosen["sql"]]).lower()
    missing = [word for word in state.get("linked", {}).get("unlinked", []) if _stem(word) not in known]
    return _lacks(state, missing) if missing else None


def needs_model(state: State) -> bool:
    """Whether the planner leaves the question open."""
    return not is_sure(state)


def schema_text(state: State) -> str:
    """The linked part of the schema, as models read it: a line for each column, with samples, then joins.

    In one order whatever is asked, so that the prompts of all questions begin alike and a server's cache is of use."""
    linked, lines = state.get("linked", {}), []
    for table in sorted(linked.get("tables", []), key=lambda item: str(item["name"])):
        lines.append(f"Table {table['name']}")
        for column in table["columns"][:MAX_SHOWN_COLUMNS]:
            shown = ", ".join(column["samples"][:8])
            lines.append(f"  {column['name']} {column['family']}" + (f" -- {shown}" if shown else ""))
    joins = [f"{item['left']} = {item['right']}" for item in linked.get("joins", [])[:24]]
    return "\n".join([*lines, "Joins: " + ("; ".join(joins) or "none")])


def notes_text(state: State) -> str:
    """Time, values and knowledge of a question."""
    linked = state.get("linked", {})
    values = [f"'{item['text']}' is {item['table']}.{item['column']} = '{item['value']}'" for item in linked["values"]]
    is_timely = state["today"] and state.get("ranges")  # told where it is of use: small models filter by what they hear
    lines = [f"Today is {state['today']}."] if is_timely else []
    lines += [f"Time: {said}" for said in state.get("ranges", [])]
    lines += [f"Value: {said}" for said in values[:12]]
    return "\n".join([*lines, *(f"Known: {said}" for said in state.get("knowledge", [])[:6])])


def dialect_of(state: State) -> str:
    return str(state.get("linked", {}).get("dialect") or "SQL (DuckDB)")


def did_you_mean(sql: str, state: State) -> str:
    """Names of the schema that are like names of a statement which are not in it."""
    from difflib import get_close_matches

    linked = state.get("linked", {})
    known = {
        column["name"].lower(): f"{table['name']}.{column['name']}"
        for table in linked["tables"]
        for column in table["columns"]
    }
    used = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", re.sub(r"'[^']*'", "", sql)))
    tables = {part.lower() for table in linked["tables"] for part in re.findall(r"\w+", table["name"])}
    used = {name for name in used if name.lower() not in tables}
    hints = []
    for name in sorted(used):
        if name.lower() in known or len(name) < 4:
            continue
        close = get_close_matches(name.lower(), known, n=2, cutoff=0.75)
        hints += [f"{name}: did you mean {' or '.join(known[item] for item in close)}?"] if close else []
    return " " + " ".join(hints[:5]) if hints else ""


def _candidate(bench: Bench, source: str, sql: str) -> Candidate:
    sure = STRONG if bench.model is not None and bench.model.strength == "strong" else PLAIN
    return {
        "source": source,
        "sql": sql,
        "parameters": {},
        "confidence": sure[source],
        "assumptions": [f"The SQL was written by the model {bench.model.name if bench.model else ''}."],
        "ranges": [],
        "problem": "",
    }


def _sql_of(data: Any) -> str:
    sql = data.get("sql") if isinstance(data, dict) else None
    if not isinstance(sql, str) or not sql.strip() or len(sql) > MAX_SQL_CHARS:
        raise BadReply("The model gave no SQL.", hint="Retry, or use a stronger model.")
    return sql.strip().rstrip(";")


def _problems(candidates: Sequence[Candidate]) -> list[str]:
    return [f"{item['source']}: {item['problem']}"[:300] for item in candidates if item["problem"]]


def _failed(state: State, candidates: Sequence[Candidate]) -> Trouble:
    """Why none of the candidates gave an answer."""
    if "declined" in state.get("planned", {}):
        return refusal_of(state)
    problems = _problems(candidates)
    reason = problems[0].partition(": ")[2] if problems else "Nothing was found that answers this."
    return {**refusal_of(state), "reason": reason}


def _lacks(state: State, missing: list[str]) -> Trouble:
    words = ", ".join(repr(word[:40]) for word in missing[:5])
    return {
        "reason": f"Nothing in this connection stands for {words}.",
        "missing": missing,
        "nearest": nearest_of(state.get("linked", {})),
        "hint": "Use names of tables, columns and values as search_catalog shows them, or describe the query.",
    }


def _stem(word: str) -> str:
    return "".join(_NAME.findall(word.lower()))[:5]
