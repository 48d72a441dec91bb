"""Every way around a policy that we know of: no canary in answer or error, and the right rows where there is one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import PlatformError, QueryUnauthorized
from tests.tools.admin.policy_desk import ADMIN, VIC, PolicyDesk, govern_staff, opened_desk

REFUSED = [
    "SELECT ssn FROM hr.staff",
    'SELECT "SSN" FROM hr.staff',
    "SELECT s.ssn FROM hr.staff AS s",
    "SELECT hr.staff.ssn FROM hr.staff",
    "SELECT headwater.hr.staff.ssn FROM headwater.hr.staff",
    "SELECT name FROM hr.staff WHERE ssn LIKE 'c%'",
    "SELECT name FROM hr.staff ORDER BY ssn",
    "SELECT count(*) FROM hr.staff GROUP BY ssn",
    "SELECT count(*) FROM hr.staff HAVING max(ssn) > 'a'",
    "SELECT count(*) OVER (PARTITION BY ssn) FROM hr.staff",
    "SELECT name FROM hr.staff QUALIFY row_number() OVER (ORDER BY ssn) = 1",
    "SELECT * FROM hr.staff AS a JOIN hr.staff AS b USING (ssn)",
    "SELECT * FROM hr.teams AS t JOIN hr.staff AS s ON s.ssn = t.team",
    "SELECT * EXCLUDE (ssn) FROM hr.staff",
    "SELECT * REPLACE (ssn AS name) FROM hr.staff",
    "SELECT (SELECT ssn FROM hr.staff LIMIT 1)",
    "SELECT team FROM hr.teams WHERE EXISTS (SELECT 1 FROM hr.staff WHERE staff.ssn = team)",
    "SELECT team, (SELECT max(ssn) FROM hr.staff WHERE id = boss_id) FROM hr.teams",
    "WITH x AS (SELECT ssn FROM hr.staff) SELECT * FROM x",
    "WITH RECURSIVE x AS (SELECT ssn FROM hr.staff UNION ALL SELECT ssn FROM x) SELECT * FROM x",
    "SELECT team FROM hr.teams UNION ALL SELECT ssn FROM hr.staff",
    "SELECT l.ssn FROM hr.teams, LATERAL (SELECT ssn FROM hr.staff WHERE id = boss_id) AS l",
    "SELECT list(ssn) FROM hr.staff",
    "SELECT governed_source.ssn FROM hr.staff",
    'SELECT "governed_source"."ssn" FROM hr.staff',
    "SELECT name FROM hr.staff WHERE governed_source.region = 'us'",
    "SELECT staff FROM hr.staff",
    "SELECT hr.staff FROM hr.staff",
    "SELECT to_json(s) FROM hr.staff AS s",
    "SELECT COLUMNS('s.*') FROM hr.staff",
    "SELECT * FROM vault.staff",
    "SELECT * FROM vault.canary",
    "SELECT * FROM canary",
    'SELECT * FROM "VAULT"."canary"',
    "SELECT * FROM headwater.vault.canary",
    "FROM vault.staff",
    "TABLE vault.staff",
    "SUMMARIZE hr.staff",
    "DESCRIBE vault.staff",
    "SELECT * FROM query_table('vault.staff')",
    "SELECT * FROM hr.staff AT (VERSION => 1)",
    "SELECT \u0455sn FROM hr.staff",
    "SELECT principal.region FROM hr.staff",
    "SELECT * FROM iceberg_scan('x')",
    "SELECT headwater_hash('a', name) FROM hr.staff",
]
HARMLESS = {
    "SELECT count(*) AS n FROM hr.staff": [3],
    "SELECT count(*) AS n FROM hr.staff WHERE region = 'us' OR 1 = 1": [3],
    "SELECT count(*) AS n FROM hr.staff AS a NATURAL JOIN hr.staff AS b": [3],
    "SELECT count(*) AS n FROM hr.staff AS a JOIN hr.staff AS b USING (id, email)": [3],
    "SELECT count(*) AS n FROM hr.teams LEFT JOIN hr.staff ON id = boss_id WHERE name IS NOT NULL": [1],
    "SELECT count(*) AS n FROM hr.teams WHERE boss_id NOT IN (SELECT id FROM hr.staff)": [1],
    "WITH staff AS (SELECT * FROM hr.staff) SELECT count(*) AS n FROM staff": [3],
    "WITH vault AS (SELECT 1 AS x) SELECT count(*) AS n FROM vault": [1],
    "SELECT count(*) AS n FROM hr.staff WHERE email LIKE 'a%@%'": [0],
    "SELECT count(*) AS n FROM hr.staff WHERE email = 'ada@x.org'": [0],
    "SELECT count(*) AS n FROM HR.STAFF": [3],
    'SELECT count(*) AS n FROM "hr"."staff" TABLESAMPLE 100%': [3],
    "SELECT count(*) AS n FROM (SELECT * FROM hr.staff LIMIT 100 OFFSET 0)": [3],
    "SELECT max(id) AS n FROM hr.staff WHERE id > $least": [3],
    "SELECT id AS n FROM hr.staff ORDER BY email DESC LIMIT 1": [3],
    "SELECT count(DISTINCT region) AS n FROM hr.staff": [1],
    "SELECT count(*) AS n FROM hr.staff WHERE CAST(CASE WHEN region = 'us' THEN name ELSE '1' END AS INT) = 1": [3],
    "SELECT count(*) AS n FROM hr.staff WHERE strptime(CASE WHEN region = 'us' THEN name ELSE '1' END, '%d') "
    "IS NOT NULL": [3],
    "SELECT count(*) AS n FROM hr.staff WHERE list_transform([name], x -> CASE WHEN region = 'us' THEN CAST(x AS INT) "
    "ELSE 1 END)[1] = 1": [3],
}
TELLING = [
    "SELECT * FROM hr.staff AS s(a, b, c, d, e, f)",
    "SELECT CAST(name AS INT) FROM hr.staff",
    "SELECT CAST(email AS INT) FROM hr.staff WHERE region = 'us'",
    "SELECT error(name) FROM hr.staff",
    "SELECT json_extract(name, '$.a') FROM hr.staff",
    "SELECT strptime(name, '%d') FROM hr.staff",
    "SELECT name + 1 FROM hr.staff",
    "SELECT (SELECT name FROM hr.staff) FROM hr.staff",
    "SELECT nam FROM hr.staff",
    "SELECT s FROM hr.staf",
    "SELECT * FROM hr.staff WHERE name",
    "SELECT sum(name) FROM hr.staff",
]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[PolicyDesk]:
    async with opened_desk(tmp_path / "home") as opened:
        await govern_staff(opened)
        yield opened


async def test_no_statement_gets_around_a_policy(desk: PolicyDesk) -> None:
    leaks = []
    for sql in REFUSED:
        try:
            leaks.append((sql, await desk.rows(sql)))
        except QueryUnauthorized as error:
            assert "canary" not in f"{error} {error.hint}".replace("'canary'", ""), sql
            assert "ssn" not in f"{error} {error.hint}".lower(), sql
    assert leaks == []
    for sql, expected in HARMLESS.items():
        parameters = {"least": "0"} if "$least" in sql else {}
        assert [row["n"] for row in await desk.rows(sql, parameters=parameters)] == expected, sql


async def test_errors_tell_nothing_of_what_is_kept_back(desk: PolicyDesk) -> None:
    for sql in TELLING:
        for tool in ("execute_query", "explain_query"):
            try:
                text = (await desk.call(tool, VIC, sql=sql)).model_dump_json()
            except PlatformError as error:
                text = f"{error} {error.hint}"
            assert not any(word in text for word in ("canary", "ssn", "vault", "@x.org", "'eu'")), (sql, text)


async def test_a_missing_and_a_hidden_name_are_refused_alike(desk: PolicyDesk) -> None:
    pairs = [
        ("SELECT * FROM vault.staff", "SELECT * FROM nowhere.people"),
        ("SELECT ssn FROM hr.staff", "SELECT zzz FROM hr.staff"),
        ("SELECT name FROM hr.staff GROUP BY ssn", "SELECT name FROM hr.staff GROUP BY zzz"),
    ]
    for hidden, missing in pairs:
        said = []
        for sql in (hidden, missing):
            with pytest.raises(QueryUnauthorized) as refused:
                await desk.rows(sql)
            said.append((refused.value.message, refused.value.hint))
        assert said[0] == said[1]


async def test_plans_and_answers_are_not_shared_between_people(desk: PolicyDesk) -> None:
    sql = "SELECT count(*) AS n FROM hr.staff"
    for _ in range(3):
        assert await desk.rows(sql, ADMIN) == [{"n": 6}]
        assert await desk.rows(sql) == [{"n": 3}]
    everyone = (await desk.call("list_policies")).policies
    for policy in everyone:
        await desk.call("update_policy", policy_id=policy.policy_id, enabled=False)
    assert await desk.rows(sql) == [{"n": 6}]
    for policy in everyone:
        await desk.call("update_policy", policy_id=policy.policy_id, enabled=True)
    assert await desk.rows(sql) == [{"n": 3}]


async def test_equal_values_stay_equal_under_a_hash_and_the_key_is_the_tenants_own(desk: PolicyDesk) -> None:
    mask = {"kind": "hash"}
    for table, column in (("hr.staff", "id"), ("hr.teams", "boss_id")):
        await desk.call("create_policy", name=column, kind="column", table=table, columns=[column], mask=mask)
    rows = await desk.rows("SELECT team, name FROM hr.teams JOIN hr.staff ON id = boss_id")
    assert rows == [{"team": "a", "name": "Ada"}]
    assert await desk.rows("SELECT name FROM hr.staff WHERE id = 1") == []
