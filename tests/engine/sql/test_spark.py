"""Statements for Spark: read, checked, governed and printed; there is no Spark here to run them."""

# ruff: noqa: E501 - a statement is one line

import asyncio
import re

import pytest
import sqlglot

from core.errors import PlatformError, QueryUnauthorized
from engine.catalog.snapshots import make_snapshot
from engine.catalog.views import View
from engine.connectors.connector import ColumnInfo, ConnectionSpec, RelationInfo
from engine.policy.rules import ColumnRule, Governed, Mask, RowFilter, open_to_all
from engine.sql.bind import prepare
from engine.sql.dialects import print_sql
from engine.sql.filters import read_filter
from engine.sql.parse import parse
from engine.sql.plans import Plans
from tests.engine.sql.salaries import seen
from tests.engine.sql.world import ANN

BENIGN = """
SELECT transform(array(1, 2), x -> x + 1) AS t, filter(tags, x -> x LIKE 'a%'), forall(tags, x -> x IS NOT NULL) FROM sales
SELECT exists(tags, x -> x = 'a'), aggregate(array(1, 2), 0, (acc, x) -> acc + x, acc -> acc * 2), reduce(array(1), 0, (a, x) -> a + x) FROM sales
SELECT zip_with(tags, tags, (x, y) -> x || y), map_filter(counts, (k, v) -> v > 1), transform_values(counts, (k, v) -> v + 1) FROM sales
SELECT array_sort(tags, (l, r) -> CASE WHEN l < r THEN -1 WHEN l > r THEN 1 ELSE 0 END) FROM sales
SELECT extra.channel, counts['k'], tags[0], s.extra.rank FROM sales s
SELECT id, tag FROM sales LATERAL VIEW explode(tags) e AS tag
SELECT id, p, tag FROM sales LATERAL VIEW OUTER posexplode(tags) e AS p, tag
SELECT id, e.k, f.tag FROM sales LATERAL VIEW explode(counts) e AS k, v LATERAL VIEW explode(tags) f AS tag WHERE v > 1
SELECT id, col FROM sales LATERAL VIEW explode_outer(tags) e
SELECT id, explode(tags) AS tag FROM sales
SELECT s.id, e.tag FROM sales s JOIN LATERAL explode(s.tags) AS e(tag)
SELECT named_struct('a', 1) AS s, struct(id, region AS r) AS t, map('a', 1) AS m, array(1, 2) AS l FROM sales
SELECT date_add(day, 3), day + INTERVAL 3 DAYS, day - INTERVAL '1' MONTH, add_months(day, 1), datediff(day, current_date) FROM sales
SELECT CAST(id AS STRING), id::bigint, try_cast(region AS int), CAST(tags AS ARRAY<STRING>), CAST(id AS DECIMAL(10, 2)) FROM sales
SELECT CAST(NULL AS MAP<STRING, INT>), CAST(NULL AS STRUCT<x: INT, y: STRING>) FROM (SELECT 1 AS id) t
SELECT name FROM people LEFT SEMI JOIN sales ON people.person_id = sales.person_id
SELECT name FROM people p LEFT ANTI JOIN sales USING (person_id)
SELECT a, b FROM VALUES (1, 2), (3, 4) AS v(a, b)
SELECT col1 + col2 FROM VALUES (1, 2)
SELECT * EXCEPT (doc) FROM sales
SELECT region RLIKE '^n', region <=> NULL, id DIV 2, id % 2, ~id, id & 1, id | 1, id ^ 1, region LIKE 'n_%', region ILIKE 'N%' FROM sales
SELECT id FROM range(10)
SELECT r.n FROM range(1, 5) AS r(n)
SELECT `Mixed Case`, `select` FROM `Odd Name`
SELECT "text" AS t, 'it\\'s' AS u, 'a\\\\b' AS v, "dq'x" AS w, 'tab\\tx' AS x
SELECT extract(YEAR FROM day), date_trunc('month', at), year(day), trunc(day, 'MM'), quarter(day), date_format(day, 'yyyy-MM') FROM sales
SELECT substr(region, 1, 2), substring(region FROM 2 FOR 3), trim(BOTH 'x' FROM region), trim(region), ltrim(region), overlay(region PLACING 'b' FROM 2) FROM sales
SELECT if(id > 1, 'a', 'b'), nvl(region, 'x'), coalesce(region, '?'), nullif(region, 'n'), nvl2(region, 1, 2) FROM sales
SELECT CASE region WHEN 'north' THEN 1 ELSE 2 END AS side, CASE WHEN amount > 5 THEN 'big' END FROM sales
SELECT id FROM sales ORDER BY amount DESC NULLS LAST, id LIMIT 10 OFFSET 2
SELECT lag(amount) IGNORE NULLS OVER (ORDER BY id), lead(amount, 1, 0) OVER (ORDER BY id) FROM sales
SELECT first_value(amount, true) OVER w FROM sales WINDOW w AS (PARTITION BY region ORDER BY day RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND CURRENT ROW)
SELECT id, sum(amount) OVER (PARTITION BY region ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS running FROM sales
SELECT percentile_approx(amount, 0.5), percentile(amount, 0.9), approx_count_distinct(region), count_if(amount > 5) FROM sales
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount), collect_list(region) FILTER (WHERE amount > 1), collect_set(region) FROM sales
SELECT count(*), count(DISTINCT region, day), sum(DISTINCT id), any_value(region), max_by(region, amount), stddev(amount), corr(id, amount) FROM sales
SELECT region, count(*) AS n FROM sales GROUP BY region HAVING n > 1 ORDER BY n
SELECT region, grouping(region), sum(amount) FROM sales GROUP BY region WITH ROLLUP
SELECT region, day, sum(amount) FROM sales GROUP BY GROUPING SETS ((region), (day), ())
SELECT region, day, sum(amount) FROM sales GROUP BY CUBE (region, day)
SELECT region AS r, sum(amount) FROM sales GROUP BY ALL
SELECT amount * 2 AS double_amount, double_amount + 1 AS more FROM sales
SELECT region FROM sales UNION ALL SELECT name FROM people MINUS SELECT 'x'
SELECT region FROM sales INTERSECT SELECT name FROM people
SELECT DISTINCT region FROM sales WHERE id IN (1, 2) AND EXISTS (SELECT 1 FROM people p WHERE p.person_id = sales.person_id)
SELECT p.name, l.amount FROM people p, LATERAL (SELECT amount FROM sales s WHERE s.person_id = p.person_id ORDER BY amount LIMIT 1) l
SELECT name, (SELECT max(amount) FROM sales s WHERE s.person_id = p.person_id) AS best FROM people p
WITH big AS (SELECT * FROM sales WHERE amount > 5), few AS (SELECT region FROM big) SELECT region, count(*) FROM few GROUP BY region
WITH a(x) AS (SELECT 1) SELECT x FROM a
SELECT * FROM people NATURAL JOIN sales CROSS JOIN `Odd Name`
SELECT * FROM people p FULL OUTER JOIN sales s USING (person_id) WHERE s.id IS NULL
SELECT get_json_object(doc, '$.k'), from_json(doc, 'k INT').k, to_json(extra), split(region, 'o')[0], size(tags) FROM sales
SELECT element_at(counts, 'k'), map_keys(counts), sequence(1, 5), sort_array(tags, false), array_contains(tags, 'a'), concat_ws(',', tags) FROM sales
SELECT timestampdiff(DAY, day, at), dateadd(DAY, 1, day), try_divide(amount, 0), decode(region, 'n', 'x', 'y'), initcap(region), listagg(region, ',') FROM sales
SELECT id FROM sales QUALIFY row_number() OVER (PARTITION BY region ORDER BY amount DESC) <= 2
SELECT name FROM people /*+ COALESCE(1) */
SELECT t.* FROM (SELECT id, region FROM sales WHERE region = :region) t
SELECT id FROM sales TABLESAMPLE (10 PERCENT)
FROM sales SELECT id, region WHERE amount BETWEEN 1 AND 5
SELECT /* a note */ id FROM sales -- and another
SELECT X'1F' AS b, true AS t, NULL AS n, 1e3 AS f, 1L AS l, 2.5 AS d
""".strip().splitlines()
# Literals with a suffix are printed as casts: the same values in another form.
_REFORMED = ("SELECT X'1F'",)

REFUSED = """
SELECT * FROM parquet.`/x`
SELECT * FROM csv.`/etc/passwd`
SELECT * FROM `parquet`.`s3://bucket/x`
SELECT * FROM delta.`/x` VERSION AS OF 1
SELECT * FROM sales VERSION AS OF 1
SELECT * FROM sales TIMESTAMP AS OF '2020-01-01'
SELECT * FROM IDENTIFIER('staff')
SELECT IDENTIFIER('salary') FROM staff
SELECT * FROM read_files('/x')
SELECT * FROM text.`/etc/passwd`
SELECT * FROM sql_keywords()
SELECT reflect('java.lang.System', 'exit', 1)
SELECT java_method('java.lang.Runtime', 'getRuntime')
SELECT try_reflect('java.lang.System', 'getenv')
SELECT `reflect`('java.lang.System', 'exit')
SELECT default.lower(name) FROM people
SELECT system.builtin.reflect('a', 'b')
SELECT TRANSFORM(name) USING 'cat' AS (x) FROM people
SELECT MAP(name) USING 'cat' FROM people
FROM people REDUCE name USING 'cat'
SELECT /*+ BROADCAST(people) */ name FROM people
SELECT /*+ REPARTITION(1000000) */ name FROM people
DESCRIBE people
DESCRIBE EXTENDED people
DESC FUNCTION reflect
SHOW TABLES
SHOW CREATE TABLE people
SHOW FUNCTIONS
SET spark.sql.ansi.enabled = false
SET
RESET
SET ROLE x
USE other
USE CATALOG spark_catalog
CREATE TEMP VIEW v AS SELECT 1
CREATE TEMPORARY VIEW v AS SELECT * FROM staff
CREATE TABLE t USING parquet LOCATION '/x' AS SELECT 1
CREATE FUNCTION f AS 'x.Y' USING JAR '/x.jar'
CREATE TEMPORARY FUNCTION f AS 'x.Y'
ADD JAR '/x.jar'
ADD FILE '/x'
LIST JARS
CACHE TABLE people
CACHE LAZY TABLE v AS SELECT * FROM staff
UNCACHE TABLE people
REFRESH TABLE people
REFRESH '/x'
CLEAR CACHE
LOAD DATA INPATH '/x' INTO TABLE people
INSERT OVERWRITE DIRECTORY '/x' USING parquet SELECT 1
INSERT INTO people VALUES (1)
FROM people INSERT INTO t SELECT name INSERT INTO u SELECT name
DELETE FROM people
UPDATE people SET name = 'x'
MERGE INTO people USING sales ON true WHEN MATCHED THEN DELETE
DROP TABLE people
TRUNCATE TABLE people
MSCK REPAIR TABLE people
ANALYZE TABLE people COMPUTE STATISTICS
EXPLAIN EXTENDED SELECT 1
EXECUTE IMMEDIATE 'SELECT 1'
DECLARE x INT
BEGIN SELECT 1; END
SELECT 1; SELECT 2
SELECT current_user
SELECT current_user()
SELECT session_user()
SELECT current_database()
SELECT current_catalog()
SELECT version()
SELECT input_file_name() FROM people
SELECT input_file_block_start() FROM people
SELECT _metadata.file_path FROM people
SELECT people._metadata FROM people
SELECT spark_partition_id() FROM people
SELECT raise_error(name) FROM people
SELECT assert_true(name = 'x') FROM people
SELECT xpath(name, 'a') FROM people
SELECT window(at, '10 minutes', '1 second') FROM sales
SELECT stack(100000, 1)
SELECT repeat('x', 1000000000)
SELECT space(1000000000)
SELECT array_repeat('x', 1000000000)
SELECT sequence(1, 100000000000)
SELECT * FROM range(100000000000)
SELECT explode(sequence(1, 1000000000))
SELECT * FROM people CLUSTER BY name
SELECT * FROM people DISTRIBUTE BY name SORT BY name
SELECT * FROM sales PIVOT (sum(amount) FOR region IN ('a'))
SELECT struct(*) FROM people
SELECT people FROM people
SELECT to_json(p) FROM people p
SELECT to_json(struct(p.*)) FROM people p
SELECT `na.*` FROM people
SELECT 'a' 'b' FROM people
SELECT 'it''s' FROM people
SELECT name FROM people WHERE name = 'a
SELECT CAST(name AS VARIANT) FROM people
SELECT people.name.secret.x.y.z FROM nowhere.people
SELECT posexplode(tags) AS (p, x) FROM sales
SELECT person_id AS pers\u0131n FROM people
SELECT nothing FROM people
""".strip().splitlines()

PROTECTED = """
SELECT salary FROM staff
SELECT `SALARY` FROM staff
SELECT * FROM staff
SELECT staff.* FROM staff
SELECT * EXCEPT (id) FROM staff
SELECT min(salary) FROM staff
SELECT collect_list(salary) FROM staff
SELECT percentile_approx(salary, 0.5) FROM staff
SELECT max_by(salary, id) FROM staff
SELECT try_sum(salary) FROM staff
SELECT id FROM staff WHERE salary > 5
SELECT id FROM staff ORDER BY salary
SELECT id FROM staff GROUP BY id, salary
SELECT sum(salary) FILTER (WHERE id = 1) FROM staff
SELECT sum(IF(id = 1, salary, 0)) FROM staff
SELECT sum(salary) OVER () FROM staff
SELECT transform(array(id), x -> x + salary) FROM staff
SELECT transform(array(1), salary -> staff.salary) FROM staff
SELECT aggregate(collect_list(salary), 0, (a, b) -> a + b) FROM staff
SELECT e.x FROM staff LATERAL VIEW explode(array(salary)) e AS x
SELECT e.x FROM staff JOIN LATERAL explode(array(staff.salary)) AS e(x)
SELECT explode(array(salary)) FROM staff
SELECT id AS x, salary AS y, y + 1 AS z FROM staff
SELECT id AS \u017falary, \u017falary + 1 AS y FROM staff
SELECT id AS salary, salary + 1 AS y FROM staff
SELECT h.id, (SELECT sum(s.salary) FROM staff s WHERE s.id <> h.id) FROM hits h
SELECT dept_id, sum(salary) FROM staff GROUP BY dept_id WITH ROLLUP
SELECT sum(salary) FROM staff TABLESAMPLE (1 ROWS)
SELECT sum(salary), rand() FROM staff
SELECT sum(salary) FROM (SELECT salary FROM staff LIMIT 1)
SELECT named_struct('a', salary) FROM staff
SELECT id FROM staff NATURAL JOIN dept
""".strip().splitlines()


def relation(name: str, columns: str) -> RelationInfo:
    listed = enumerate((part.rpartition(" ") for part in columns.split("; ")), start=1)
    return RelationInfo(name, tuple(ColumnInfo(column, kind, True, place) for place, (column, _, kind) in listed))


RELATIONS = [
    relation(
        "sales",
        "id int; person_id int; region string; amount decimal(10,2); day date; at timestamp; tags array<string>;"
        " counts map<string,int>; extra struct<channel:string,rank:int>; doc string",
    ),
    relation("people", "person_id int; name string"),
    relation("Odd Name", "Mixed Case int; select int"),
]
SNAPSHOT = make_snapshot(ConnectionSpec("default", "spark", "spark", "duckdb"), RELATIONS, 0.0)
OPEN = View(ANN, SNAPSHOT, "all", lambda key: open_to_all(SNAPSHOT.relations[key]))


@pytest.mark.parametrize("sql", BENIGN)
def test_what_is_printed_is_what_was_written(sql: str) -> None:
    printed = print_sql(parse(sql, "spark").tree, "spark")
    assert print_sql(parse(printed, "spark").tree, "spark") == printed
    if not sql.startswith(_REFORMED):
        assert sqlglot.parse_one(printed, read="spark") == sqlglot.parse_one(sql, read="spark")
    assert prepare(sql, OPEN, "spark", max_rows=10).dialect == "spark"


@pytest.mark.parametrize("sql", REFUSED)
def test_what_spark_could_do_besides_reading_is_refused(sql: str) -> None:
    with pytest.raises(PlatformError) as refused:
        prepare(sql, OPEN, "spark", max_rows=10)
    assert refused.value.code == "QUERY_UNAUTHORIZED"


@pytest.mark.parametrize("sql", PROTECTED)
def test_salaries_are_read_only_in_aggregates(sql: str) -> None:
    with pytest.raises(QueryUnauthorized):
        prepare(sql, seen(), "spark", max_rows=10)


def governed(sql: str) -> str:
    """The statement for Spark, without the random parts of the names in it."""
    source = relation("staff", "id int; name string; email string; salary int; city string; born date")
    shown = RelationInfo("staff", tuple(column for column in source.columns if column.name != "city"))
    rules = {
        "email": ColumnRule("masked", Mask("partial", (("keep_first", "1"),))),
        "name": ColumnRule("masked", Mask("constant", (("value", "it's \\ me"),))),
        "born": ColumnRule("masked", Mask("date", (("grain", "year"),))),
        "salary": ColumnRule("aggregate_only", min_group=5),
    }
    filters = (RowFilter("p", "city = principal.city"),)
    staff = Governed(shown, source, rules, filters, facts={"city": ("d'or\\",)})
    snapshot = make_snapshot(ConnectionSpec("default", "hr", "hr", "duckdb"), [source], 0.0)
    prepared = prepare(sql, View(ANN, snapshot, "some", lambda key: staff), "spark", max_rows=100)
    text = prepared.fill({"staff": "hr.staff"})
    if prepared.suppressed is not None:
        text += "\n" + prepared.suppressed.fill({"staff": "hr.staff"})
    return re.sub(r"(leaf|row|with)_[0-9a-f]{16}_", r"\1_", text)


READ = (
    "(SELECT `id`, `name`, `email`, `salary`, `born` FROM (SELECT `governed_source`.`id` AS `id`,"
    " CASE WHEN FALSE THEN `governed_source`.`name` ELSE 'it\\'s \\\\ me' END AS `name`,"
    " CASE WHEN length(CAST(`governed_source`.`email` AS string)) > 1"
    " THEN left(CAST(`governed_source`.`email` AS string), 1)"
    " || repeat('*', length(CAST(`governed_source`.`email` AS string)) - 1)"
    " || right(CAST(`governed_source`.`email` AS string), 0)"
    " ELSE repeat('*', length(CAST(`governed_source`.`email` AS string))) END AS `email`,"
    " `governed_source`.`salary` AS `salary`,"
    " CAST(date_trunc('year', `governed_source`.`born`) AS date) AS `born`"
    " FROM hr.staff AS `governed_source`"
    " WHERE (`governed_source`.`city` = 'd\\'or\\\\')) WHERE rand() >= 0)"
)


def test_a_leaf_has_its_masks_its_filter_and_the_barrier() -> None:
    assert governed("SELECT name, email FROM staff WHERE born > DATE '2000-01-01'") == (
        f"SELECT name, email FROM {READ} AS staff WHERE born > CAST('2000-01-01' AS DATE) LIMIT 101"
    )


def test_small_groups_are_suppressed_and_counted() -> None:
    assert governed("SELECT born, avg(salary) AS a FROM staff GROUP BY born").splitlines() == [
        f"SELECT born, CASE WHEN count(salary) >= 5 THEN avg(salary) END AS a FROM {READ} AS staff GROUP BY born LIMIT 101",
        "SELECT (SELECT count(*) FROM (SELECT born, CASE WHEN count(salary) >= 5 THEN avg(salary) END AS a,"
        f" CASE WHEN count(salary) >= 5 THEN 0 ELSE 1 END AS is_small FROM {READ} AS staff GROUP BY born) AS g"
        " WHERE is_small = 1) AS private_row_count",
    ]


def test_rows_that_a_join_repeats_are_told_apart() -> None:
    text = governed("SELECT sum(s.salary) AS t FROM staff s LATERAL VIEW explode(array(1, 2)) e AS x").splitlines()[0]
    assert text == (
        "SELECT CASE WHEN count(s.salary) >= 5 AND count(s.salary) = count(DISTINCT CASE WHEN NOT s.salary IS NULL"
        " THEN `s`.row_0_ END) THEN sum(s.salary) END AS t"
        f" FROM (SELECT *, monotonically_increasing_id() AS row_0_ FROM {READ} AS leaf_0_) AS s"
        " LATERAL VIEW explode(array(1, 2)) e AS x LIMIT 101"
    )


def test_a_smaller_limit_stays_and_a_larger_one_is_cut() -> None:
    assert governed("SELECT id FROM staff LIMIT 7").endswith(" LIMIT 7")
    assert governed("SELECT id FROM staff LIMIT 5000").endswith(" LIMIT 101")
    assert governed("SELECT id FROM staff UNION ALL SELECT id FROM staff").endswith(" LIMIT 101")


def test_plans_are_kept_and_filled_with_texts_as_spark_reads_them() -> None:
    plans = Plans()

    def template(value: str) -> str:
        sql = f"SELECT name FROM people WHERE name = {value} AND person_id > 3"
        found = asyncio.run(plans.prepare(OPEN, "spark", sql, max_rows=10)).template
        return re.sub(r"leaf_[0-9a-f]{16}_", "leaf_", found)

    values = ["'a'", "'b'", "'c'", "'it\\'s'", "'a\\\\'", "'d'", '"e"', "'\u00e9'"]
    printed = {value: template(value) for value in values}
    planned = plans.planned_count
    for value, text in printed.items():
        assert (
            sqlglot.parse_one(text, read="spark")
            .sql("spark")
            .count(sqlglot.parse_one(value, read="spark").sql("spark"))
            == 1
        )
    template("'new'")
    assert plans.planned_count == planned


def test_a_filter_for_spark_has_no_double_quotes() -> None:
    with pytest.raises(QueryUnauthorized):
        read_filter("\"city\" <> 'x'", RELATIONS[0], "spark")
    assert read_filter("`region` = 'x'", RELATIONS[0], "spark").columns == ("region",)
