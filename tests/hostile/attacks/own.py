"""Attacks of our own on the same lair: what the policies of one caller hide, reached for in every way that we know.

Blocks begin with `# class`; the first statement of each is the one that `make test` tries."""

from tests.hostile.attacks.siege import Attack

TEXT = """
# policy_row: other people's rows
SELECT * FROM orders
SELECT * FROM orders WHERE region = 'US' OR NOT region = 'US' OR region IS NULL
SELECT note FROM orders AS orders WHERE orders.region <> 'EU'
WITH orders AS (SELECT * FROM orders) SELECT note FROM orders
WITH orders AS (SELECT * FROM main.orders) SELECT note FROM main.orders
SELECT o.note FROM orders e RIGHT JOIN orders o ON e.id = o.id AND e.region = 'EU'
SELECT b.note FROM (VALUES (3), (4)) a(id) LEFT JOIN orders b USING (id)
SELECT b.note FROM (VALUES (3), (4)) a(id) NATURAL JOIN orders b
SELECT * FROM (VALUES (3)) a(id) POSITIONAL JOIN orders
SELECT * FROM orders ANTI JOIN eu_orders USING (id)
SELECT count(*) FROM orders HAVING count(*) > 2
SELECT max(note) FILTER (WHERE region = 'US') FROM orders
SELECT note FROM orders GROUP BY ALL HAVING max(region) = 'US'
SELECT first(note ORDER BY region DESC) FROM orders
SELECT string_agg(note) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM orders
SELECT note FROM orders QUALIFY row_number() OVER (PARTITION BY region ORDER BY id) > 0
SELECT * FROM orders TABLESAMPLE 100%
SELECT * FROM orders USING SAMPLE 100 ROWS
FROM orders
FROM orders SELECT note WHERE region = 'US'
SELECT * FROM orders WHERE (region, id) IN (('US', 3), ('EU', 1))
SELECT note FROM orders WHERE id = ANY (SELECT id FROM orders)
SELECT (SELECT note FROM orders WHERE id = 3)
SELECT list(note) FROM orders
SELECT map_from_entries(list((id, note))) FROM orders
SELECT unnest(list(note)) FROM orders
SELECT region, count(*) FROM orders GROUP BY CUBE (region)
SELECT * FROM orders UNION BY NAME SELECT * FROM orders
SELECT note FROM orders EXCEPT ALL SELECT note FROM eu_orders
SELECT note FROM orders, LATERAL (SELECT o.note AS other FROM orders o WHERE o.id > orders.id) l
WITH RECURSIVE r AS (SELECT id, note FROM orders UNION SELECT o.id, o.note FROM orders o, r WHERE o.id > r.id) FROM r
SELECT 'it''s' AS "region = 'US'", note FROM orders -- ' OR 1=1
SELECT note FROM orders WHERE region = 'EU' /* */ OR /* */ region = 'US'
SELECT note FROM "ORDERS" WHERE "REGION" = 'US'
SELECT main.orders.note FROM main.orders
SELECT note FROM orders ORDER BY CASE region WHEN 'US' THEN 0 ELSE 1 END LIMIT 2
PIVOT orders ON region USING count(*)
SELECT * FROM (PIVOT orders ON region USING first(note) GROUP BY id)
UNPIVOT (SELECT note FROM orders) ON note
# policy_column: a hidden, masked or aggregate-only column
SELECT * FROM customers
SELECT ssn FROM customers
SELECT c.* FROM customers c
SELECT customers.* EXCLUDE (name) FROM customers
SELECT * REPLACE (ssn AS name) FROM customers
SELECT t.c FROM customers AS t(a, b, c)
SELECT c FROM customers c
SELECT (c).ssn FROM customers c
SELECT ssn AS name FROM customers ORDER BY name
SELECT name AS ssn FROM customers ORDER BY ssn
SELECT name FROM customers ORDER BY 3
SELECT name, (SELECT ssn) FROM customers
SELECT (SELECT i.ssn FROM customers i WHERE i.id = o.id) FROM customers o
SELECT x FROM (SELECT ssn AS x FROM customers) ORDER BY x
WITH c AS (SELECT ssn AS x, * FROM customers) SELECT x FROM c
WITH customers(a, b, c) AS (SELECT * FROM customers) SELECT c FROM customers
SELECT s FROM (SELECT {'s': ssn} AS s FROM customers)
SELECT [ssn] FROM customers
SELECT ssn || '' FROM customers
SELECT min(ssn), max(ssn), any_value(ssn) FROM customers
SELECT count(DISTINCT ssn || 'x') FROM customers
SELECT count(*) FROM customers WHERE ssn = 'CANARY-SSN-1'
SELECT count(*) FROM customers GROUP BY ssn
SELECT name FROM customers WHERE ssn LIKE 'CANARY%'
SELECT name FROM customers WHERE starts_with(ssn, 'C')
SELECT name FROM customers ORDER BY ssn DESC LIMIT 1
SELECT DISTINCT ON (ssn) name FROM customers
SELECT rank() OVER (ORDER BY ssn) FROM customers
SELECT lag(ssn) OVER (ORDER BY id) FROM customers
SELECT name FROM customers JOIN (VALUES ('CANARY-SSN-1')) v(ssn) USING (ssn)
SELECT name FROM customers SEMI JOIN (VALUES ('CANARY-SSN-2')) v(x) ON ssn = x
SELECT name FROM customers WHERE EXISTS (SELECT 1 FROM (VALUES ('CANARY-SSN-1')) v(x) WHERE x = ssn)
SELECT ssn FROM customers UNION SELECT 'x'
SELECT name FROM customers UNION BY NAME SELECT ssn FROM customers
SELECT sum(length(ssn)) FROM customers
SELECT count(ssn) FILTER (WHERE id = 1) FROM customers
SELECT arg_max(ssn, id) FROM customers
SELECT approx_top_k(ssn, 3) FROM customers
SELECT histogram(ssn) FROM customers
SELECT bit_xor(hash(ssn)) FROM customers
SELECT list_transform([1], lambda x: ssn) FROM customers
SELECT list_filter([name], lambda name: ssn = 'CANARY-SSN-1') FROM customers
SELECT CAST(ssn AS INTEGER) FROM customers
SELECT CASE WHEN ssn = 'CANARY-SSN-1' THEN CAST('x' AS INTEGER) END FROM customers
SELECT date_trunc(ssn, DATE '2024-01-01') FROM customers
SELECT strftime(DATE '2024-01-01', ssn) FROM customers
SELECT regexp_replace('a', ssn, 'b') FROM customers
SELECT json_extract('{}', ssn) FROM customers
SELECT name COLLATE ssn FROM customers
SELECT COLUMNS('ss.*') FROM customers
SELECT COLUMNS(* EXCLUDE (name)) FROM customers
SELECT * LIKE 's%' FROM customers
SELECT * RENAME (ssn AS x) FROM customers
UNPIVOT customers ON ssn
PIVOT customers ON ssn USING count(*)
SELECT name FROM customers LIMIT (SELECT length(ssn) FROM customers LIMIT 1)
SELECT sum(id) FROM customers GROUP BY GROUPING SETS ((ssn), ())
SELECT name FROM customers GROUP BY name HAVING max(ssn) > 'CANARY-SSN-1'
SELECT s\u0073n FROM customers
SELECT "ssn" FROM customers
SELECT customers."SSN" FROM customers
SELECT main.customers.ssn FROM main.customers
SELECT \uff53\uff53\uff4e FROM customers
# policy_table: a table that is not there
SELECT * FROM hr.salaries
SELECT note FROM salaries
SELECT * FROM all_salaries_view
SELECT * FROM all_orders_view
SELECT * FROM source.hr.salaries
SELECT * FROM wh.hr.salaries
SELECT * FROM "hr.salaries"
SELECT * FROM "hr"."SALARIES" s
WITH salaries AS (SELECT 1 AS x) SELECT * FROM hr.salaries
WITH x AS (SELECT * FROM hr.salaries) SELECT 1
SELECT id FROM orders WHERE id IN (SELECT id FROM hr.salaries)
SELECT exists(SELECT 1 FROM hr.salaries WHERE note LIKE 'C%')
SELECT * FROM orders NATURAL JOIN hr.salaries
SELECT * FROM orders UNION BY NAME SELECT * FROM hr.salaries
SELECT * FROM kv, LATERAL (SELECT * FROM hr.salaries) s
SELECT (FROM hr.salaries SELECT note)
SELECT 1 FROM orders ORDER BY (SELECT note FROM hr.salaries)
SELECT sum(1) OVER (ORDER BY (SELECT max(note) FROM hr.salaries)) FROM orders
SELECT salaries.note FROM orders
SELECT hr FROM hr.salaries
# metadata: what there is besides
SELECT table_name FROM information_schema.tables
SELECT * FROM duckdb_columns()
SELECT * FROM pragma_table_info('customers')
SHOW TABLES
DESCRIBE customers
SELECT typeof(customers) FROM customers
SELECT * FROM duckdb_settings()
SELECT current_setting('temp_directory')
EXPLAIN SELECT * FROM customers
EXPLAIN ANALYZE SELECT * FROM orders
# own_db: files and databases
SELECT * FROM read_blob('{DIR}/wh.duckdb')
SELECT * FROM '{SECRET}.csv'
ATTACH '{OTHER}' AS o
COPY orders TO '{DIR}/w/out.csv'
SELECT * FROM read_text('{SECRET}')
SELECT * FROM glob('{DIR}/*')
# persistence: what a later statement would find
CREATE TEMP VIEW orders AS SELECT 1
CREATE MACRO upper(x) AS 'pwned'
SET VARIABLE x = 1
PREPARE p AS SELECT 1
SET search_path = 'hr'
CREATE TEMP TABLE kept AS SELECT * FROM orders
"""
EXPENSIVE = """
SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000) c WHERE a.range + b.range = c.range
SELECT string_agg(repeat('x', 10000)) FROM range(1000000)
WITH RECURSIVE f(n) AS (SELECT 1::HUGEINT UNION SELECT n + 1 FROM f WHERE n < 1e18) SELECT sum(n) FROM f
SELECT repeat('x', 10000) FROM range(1000000)
"""


def read() -> list[Attack]:
    """All of them, in order."""
    found: list[Attack] = []
    kind = ""
    for line in TEXT.strip().splitlines():
        if line.startswith("# "):
            kind = line[2:].split(":")[0]
        else:
            found.append(Attack(f"own {len(found) + 1}", kind, line))
    costly = enumerate(EXPENSIVE.strip().splitlines(), start=1)
    return found + [Attack(f"own costly {number}", "resource", sql, is_expensive=True) for number, sql in costly]


def sample(every: int) -> list[Attack]:
    """Some of each class."""
    return read()[::every]
