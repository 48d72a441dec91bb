SELECT * FROM sales PIVOT (sum(amount) FOR region IN ('north', 'south')) ORDER BY sale_id
SELECT * FROM (SELECT person_id, region, amount FROM sales) PIVOT (sum(amount) AS total, count(*) AS n FOR region IN ('north' AS n, 'south' AS s)) ORDER BY ALL
SELECT * FROM (SELECT person_id, region, amount FROM sales) PIVOT (max(amount) FOR region IN ('north', 'south') GROUP BY person_id) ORDER BY ALL
PIVOT (SELECT person_id, region, amount FROM sales) ON region IN ('north', 'south') USING sum(amount) ORDER BY person_id
PIVOT sales ON region IN ('north', 'south') USING sum(amount) AS total, count(*) AS n GROUP BY person_id ORDER BY person_id
PIVOT sales ON region IN ('north') GROUP BY person_id
WITH s AS (SELECT person_id, region, amount FROM sales) SELECT * FROM s PIVOT (avg(amount) FOR region IN ('north', 'south')) AS p ORDER BY p.person_id
WITH s AS (SELECT person_id, region, amount FROM sales) PIVOT s ON region IN ('north') USING sum(amount) ORDER BY ALL
SELECT p.person_id, p.north FROM (PIVOT sales ON region IN ('north', 'south') USING sum(amount) GROUP BY person_id) p ORDER BY 1
UNPIVOT (SELECT person_id, 1 AS a, 2 AS b FROM people) ON a, b INTO NAME k VALUE v ORDER BY ALL
SELECT * FROM (SELECT person_id, 1 AS a, 2 AS b FROM people) UNPIVOT (v FOR k IN (a, b)) ORDER BY ALL
SELECT * FROM (SELECT 1 AS id, NULL AS a, 2 AS b) UNPIVOT INCLUDE NULLS (v FOR k IN (a, b))
SELECT * FROM (SELECT 1 AS id, NULL AS a, 2 AS b) UNPIVOT (v FOR k IN (a AS 'first', b AS 'second'))
UNPIVOT (SELECT 1 AS id, 2 AS q1, 3 AS q2) ON (q1, q2) INTO NAME q VALUE v, w
SELECT * EXCLUDE tax_id FROM people ORDER BY 1
SELECT p.* EXCLUDE (tax_id) REPLACE (name || '!' AS name) FROM people p ORDER BY 1
SELECT * EXCLUDE (s.person_id, tags) FROM sales s JOIN people p ON p.person_id = s.person_id ORDER BY sale_id
SELECT * FROM people a JOIN people b USING (person_id) ORDER BY 1
SELECT *, 1 AS one, p.* FROM people p ORDER BY 1
SELECT count(*), count() FROM sales
FROM sales LIMIT 3
FROM (FROM people SELECT name) ORDER BY 1
FROM sales s JOIN people p USING (person_id) SELECT p.name, sum(s.amount) GROUP BY ALL ORDER BY ALL
SELECT region, person_id, sum(amount) FROM sales GROUP BY ALL ORDER BY ALL DESC NULLS LAST LIMIT 5
SELECT region, count(*) FROM sales GROUP BY ALL HAVING count(*) > 3 ORDER BY ALL
SELECT count(*) FROM sales USING SAMPLE 100 PERCENT
SELECT count(*) FROM sales TABLESAMPLE reservoir(100 ROWS)
SELECT count(*) FROM (SELECT * FROM sales USING SAMPLE 10 ROWS)
SELECT count(*) FROM sales TABLESAMPLE bernoulli(100 PERCENT) REPEATABLE (42)
SELECT count(*) FROM sales USING SAMPLE reservoir(50 ROWS) REPEATABLE (1)
VALUES (1, 'a'), (2, 'b')
SELECT * FROM (VALUES (1, 2)) v
SELECT * FROM (VALUES (1, 2), (3, 4)) v(x, y) WHERE x > 1
SELECT (VALUES (1))
WITH v(a, b) AS (VALUES (1, 2), (3, 4)) SELECT sum(a), sum(b) FROM v
SELECT 1 AS a UNION BY NAME SELECT 2 AS b ORDER BY ALL
SELECT sale_id FROM sales EXCEPT ALL SELECT person_id FROM people ORDER BY 1
SELECT sale_id FROM sales INTERSECT ALL SELECT person_id FROM people ORDER BY 1
SELECT 1 UNION SELECT 2 UNION ALL SELECT 2 ORDER BY 1
(SELECT 1 UNION SELECT 2) INTERSECT SELECT 2
WITH a AS (SELECT 1 AS x), b AS (FROM a), c AS (FROM b UNION ALL FROM a) SELECT count(*) FROM c
WITH RECURSIVE tree(id, path) AS (SELECT 0, [0] UNION ALL SELECT id + 1, list_append(path, id + 1) FROM tree WHERE id < 4) SELECT * FROM tree ORDER BY id
WITH RECURSIVE f(a, b) AS (SELECT 0, 1 UNION ALL SELECT b, a + b FROM f WHERE b < 100) SELECT a FROM f ORDER BY a
WITH t AS NOT MATERIALIZED (SELECT 1 AS x) SELECT * FROM t
SELECT * FROM (WITH inner_one AS (SELECT 1 AS x) SELECT x FROM inner_one) t
SELECT sale_id, sum(amount) OVER (PARTITION BY region ORDER BY sale_id RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM sales ORDER BY sale_id
SELECT sale_id, sum(amount) OVER (ORDER BY sale_id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) AS around FROM sales ORDER BY sale_id
SELECT sale_id, count(*) FILTER (WHERE amount > 50) OVER (ORDER BY sale_id) AS n FROM sales ORDER BY sale_id
SELECT sale_id, avg(amount) OVER (ORDER BY sold_on RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND CURRENT ROW) AS weekly FROM sales ORDER BY sale_id
SELECT sale_id, sum(amount) OVER (ORDER BY region GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) AS g FROM sales ORDER BY sale_id
SELECT sale_id, nth_value(sale_id, 2) OVER w, dense_rank() OVER w FROM sales WINDOW w AS (PARTITION BY region ORDER BY sale_id) ORDER BY sale_id
SELECT sale_id, lag(amount, 2, 0) OVER (ORDER BY sale_id) AS two_ago FROM sales ORDER BY 1
SELECT region, first(sale_id ORDER BY amount DESC, sale_id) FROM sales GROUP BY region ORDER BY 1
SELECT list(DISTINCT region ORDER BY region) FROM sales
SELECT array_agg(sale_id ORDER BY sale_id) FILTER (WHERE region = 'north') FROM sales
SELECT region, string_agg(DISTINCT person_id::VARCHAR, '-' ORDER BY person_id::VARCHAR) FROM sales GROUP BY 1 ORDER BY 1
SELECT quantile_cont(amount, [0.25, 0.5, 0.75]) FROM sales
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) FROM sales
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY amount DESC) FROM sales
SELECT max(amount, 3), min(sale_id, 2) FROM sales
SELECT arg_max(sale_id, amount, 2) FROM sales
SELECT histogram(region) FROM sales
SELECT count(DISTINCT (region, person_id)) FROM sales
SELECT bit_and(person_id), bit_xor(person_id), product(1 + person_id % 2) FROM sales
SELECT sum(amount) FILTER (region = 'north') FROM sales
SELECT grouping_id(region, person_id), region, person_id, sum(amount) FROM sales GROUP BY CUBE (region, person_id) ORDER BY ALL
SELECT region, person_id, count(*) FROM sales GROUP BY GROUPING SETS (ROLLUP (region), person_id) ORDER BY ALL
SELECT region, sum(amount) FROM sales GROUP BY ROLLUP (region) ORDER BY ALL
SELECT DISTINCT ON (region, person_id) region, person_id, amount FROM sales ORDER BY region, person_id, amount DESC
SELECT name FROM people p LEFT JOIN LATERAL (SELECT max(amount) AS m FROM sales s WHERE s.person_id = p.person_id) t ON true ORDER BY ALL
SELECT a.x, b.y FROM (SELECT 2 AS x) a CROSS JOIN LATERAL (SELECT a.x * 2 AS y) b
SELECT p.name, x.n FROM people p JOIN (SELECT person_id, count(*) AS n FROM sales GROUP BY 1) x USING (person_id) ORDER BY ALL
SELECT * FROM people p FULL OUTER JOIN (SELECT 99 AS person_id) x ON x.person_id = p.person_id ORDER BY ALL
SELECT s.sale_id FROM sales s RIGHT JOIN people p ON s.person_id = p.person_id AND s.amount > 90 ORDER BY ALL
SELECT a.sale_id, b.sale_id AS other FROM sales a ASOF LEFT JOIN sales b ON a.person_id = b.person_id AND a.sold_at > b.sold_at ORDER BY ALL
SELECT a.sale_id FROM sales a ASOF JOIN sales b USING (person_id, sold_at) ORDER BY ALL
SELECT name FROM people SEMI JOIN sales USING (person_id) ORDER BY name
SELECT name FROM people ANTI JOIN sales USING (person_id) ORDER BY name
SELECT * FROM (SELECT 1 AS a) x POSITIONAL JOIN (SELECT 2 AS b) y
SELECT x.i, y.j FROM range(3) x(i), range(2) y(j) ORDER BY ALL
SELECT i, unnest(range(i)) AS j FROM range(4) t(i) ORDER BY ALL
SELECT unnest([1, 2, 3]) AS x, unnest(['a', 'b']) AS y
SELECT unnest({'a': 1, 'b': 'x'})
SELECT unnest([{'a': 1}, {'a': 2}], recursive := true)
SELECT * FROM unnest([1, 2, 3]) t(x)
SELECT u.x, u.ordinality FROM unnest([5, 6]) WITH ORDINALITY AS u(x, ordinality)
SELECT p.person_id, u.x, u.o FROM people p, LATERAL unnest([p.person_id, 9]) WITH ORDINALITY AS u(x, o) ORDER BY ALL
SELECT generate_series(1, 3) AS list_of_it
SELECT unnest(generate_series(1, 3)) AS n
SELECT list_sort([3, 1, 2], 'DESC'), list_distinct([1, 1, 2]), list_aggregate([1, 2], 'sum'), flatten([[1], [2]]), list_zip([1, 2], ['a', 'b'])::VARCHAR AS zipped
SELECT [1, 2, 3][1], [1, 2, 3][-1], [1, 2, 3][2:3], ([1, 2, 3, 4])[1:4:2], 'hello'[1:2]
SELECT list_transform([1, 2, 3], x -> x + 1) AS a, list_filter([1, 2, 3], x -> x > 1) AS b
SELECT list_transform([1, 2, 3], lambda x, i: x * i), list_reduce([1, 2], lambda a, b: a + b, 10)
SELECT [lower(x) FOR x IN ['A', 'B']], [x + i FOR x, i IN [1, 2]]
SELECT array_value(1, 2, 3), list_value(1, 2), [1, 2] || [3], list_concat([1], [2, 3])
SELECT array_cosine_similarity([1.0, 2.0]::FLOAT[2], [2.0, 1.0]::FLOAT[2])
SELECT struct_extract({'a': 1, 'b': 2}, 'a'), {'a': 1}.a, row(1, 'x')::VARCHAR AS rowed, struct_insert({'a': 1}, b := 2)
SELECT extra['channel'] AS c, extra.rank AS r, (extra).rank AS again FROM sales ORDER BY sale_id LIMIT 3
SELECT map_keys(m), map_values(m), m['a'], cardinality(m), map_entries(m) FROM (SELECT MAP {'a': 1, 'b': 2} AS m)
SELECT map([1, 2], ['x', 'y']), map_from_entries([(1, 'a')]), element_at(MAP {'k': 5}, 'k')
SELECT union_value(num := 2)
SELECT DATE '2024-02-29' + INTERVAL 1 YEAR, DATE '2024-01-31' + INTERVAL '1 month', TIMESTAMP '2024-01-01 10:00:00' - INTERVAL 90 MINUTE
SELECT INTERVAL '1 year 2 months', INTERVAL 5 DAYS, INTERVAL (1 + 2) HOUR, to_days(3), INTERVAL 1 WEEK
SELECT date_part(['year', 'month'], DATE '2024-05-06'), extract('dow' FROM DATE '2024-05-06'), dayname(DATE '2024-05-06')
SELECT sold_on, date_trunc('week', sold_on), year(sold_on), monthname(sold_on), sold_on::TIMESTAMP FROM sales ORDER BY sale_id LIMIT 3
SELECT datediff('day', DATE '2024-01-01', DATE '2024-03-01'), age(DATE '2024-03-01', DATE '2024-01-15'), date_sub('month', DATE '2024-01-15', DATE '2024-03-01')
SELECT strptime('2024-01-02', '%Y-%m-%d'), strftime(DATE '2024-01-02', '%d/%m/%Y'), TRY_CAST('2024-13-01' AS DATE), epoch_ms(1700000000000)
SELECT TIMESTAMPTZ '2024-01-01 00:00:00+02', TIMESTAMP '2024-01-01' AT TIME ZONE 'Europe/Berlin', TIME '10:11:12'
SELECT make_timestamp(2024, 1, 2, 3, 4, 5.5), epoch(TIMESTAMP '2024-01-01'), time_bucket(INTERVAL '1 month', DATE '2024-05-17')
SELECT 'abc' ~ 'a.c', 'abc' !~ 'x', regexp_extract('k=v', '(\w)=(\w)', ['key', 'value']), regexp_extract_all('a1b2', '\d'), regexp_split_to_array('a b', ' ')
SELECT 'a' IN ('a', 'b'), 1 NOT IN (2, 3), 'x' NOT LIKE 'y%', 'A' ILIKE 'a', 'a' NOT SIMILAR TO 'b', NULL IS NULL, 1 IS NOT DISTINCT FROM 1
SELECT json_extract_string(doc, '$.k') AS k, doc->'l'->>0 AS l0, doc.k AS dotted, json_array_length(doc, '$.l'), json_keys(doc) FROM sales ORDER BY sale_id LIMIT 3
SELECT '{"a": {"b": [1, 2]}}'::JSON->'a'->'b'->>1, json_object('a', 1), json_array(1, 'x'), to_json([1, 2]), json_type('{"a":1}', '$.a'), json_valid('x')
SELECT json_group_array(sale_id), json_group_object(sale_id, region) FROM sales WHERE sale_id < 3
SELECT from_json('{"a": 1}', '{"a": "INTEGER"}'), json_transform('{"a": 1}', '{"a": "INTEGER"}')
SELECT hash('a') = hash('a'), md5('a'), sha256('a'), 'a'::BLOB, '\xAA'::BLOB, hex('a'), base64('a'::BLOB)
SELECT 1e3, 1.5::FLOAT, 1_000_000, 0x1F, 10::DECIMAL(18, 3), 'infinity'::DOUBLE, -0.0, 5 // 2, 5 % 3, ~1, 6 & 3, 6 | 1, xor(6, 3), 1 << 4, 16 >> 2
SELECT E'a\nb', 'it''s', $$dollar 'quoted'$$, $tag$x$tag$, 'ünïcödé ☃ 漢字'
SELECT "名前" FROM (SELECT 1 AS "名前")
SELECT "a b"."c""d" FROM (SELECT 1 AS "c""d") AS "a b"
SELECT café FROM (SELECT 1 AS café)
SELECT 1 /* block /* nested */ */ + /* more */ 2 -- end
SELECT CASE region WHEN 'north' THEN 1 WHEN 'south' THEN 2 END AS code, count(*) FROM sales GROUP BY ALL ORDER BY ALL
SELECT if(true, 1, 2), ifnull(NULL, 3), CASE WHEN NULL THEN 1 END, nullif(1, 1), coalesce(NULL, NULL, 4)
SELECT CAST('[1, 2]' AS INTEGER[]), CAST({'a': 1} AS STRUCT(a VARCHAR)), 1::BOOLEAN, 'true'::BOOL, '12:00'::TIME, '1 day'::INTERVAL, 'x'::TEXT, 1::TINYINT::UBIGINT
SELECT sale_id AS "Sale", amount AS "select" FROM sales ORDER BY "Sale" LIMIT 2
SELECT sale_id id, region r FROM sales ORDER BY id LIMIT 2
SELECT amount + 1, -amount, upper(region), region || 'x', amount > 5, NOT amount > 5, amount IS NULL, amount::INTEGER, sales.amount FROM sales ORDER BY sale_id LIMIT 2
SELECT sum(amount), count(DISTINCT region), avg(amount + 1), count(*) FILTER (WHERE amount > 1), sum(amount) / count(*) FROM sales
SELECT [1, 2], {'a': 1}, 'x', 1, 1.5, true, NULL, DATE '2024-01-01', CAST(1 AS VARCHAR), INTERVAL 1 DAY, CASE WHEN true THEN 1 ELSE 2 END
SELECT (SELECT 1), EXISTS (SELECT 1), 1 IN (SELECT 1), (SELECT max(amount) FROM sales), 5 = ANY (SELECT 5)
SELECT row_number() OVER (), sum(amount) OVER (PARTITION BY region), rank() OVER (ORDER BY amount DESC) FROM sales ORDER BY ALL LIMIT 3
SELECT amount BETWEEN 1 AND 2, amount IN (1, 2), region LIKE 'n%', region ILIKE 'N%', region IS NULL FROM sales ORDER BY sale_id LIMIT 2
SELECT extract(year FROM sold_on), date_trunc('month', sold_on), sold_on + 1, sold_on - DATE '2024-01-01' FROM sales ORDER BY sale_id LIMIT 2
SELECT list_transform(tags, lambda t: upper(t)), tags[1], extra.channel, doc->>'k', doc->'$.k' FROM sales ORDER BY sale_id LIMIT 2
SELECT substring(name, 1, 3), trim(name), position('x' IN name), left(name, 2), concat(name, 1), name[1] FROM people ORDER BY 1
SELECT try_cast(name AS INTEGER), name COLLATE NOCASE, CAST(name AS VARCHAR) FROM people ORDER BY 2 LIMIT 2
SELECT * FROM sales WHERE region = 'north' AND (amount > 50 OR amount < 10) AND NOT (person_id = 3) ORDER BY sale_id
SELECT * FROM sales WHERE sold_on >= DATE '2024-03-01' AND sold_on < DATE '2024-04-01' ORDER BY sale_id
SELECT * FROM sales ORDER BY amount DESC NULLS LAST, sale_id LIMIT 5 OFFSET 5
SELECT * FROM sales ORDER BY sale_id LIMIT 10%
SELECT sale_id FROM sales ORDER BY sale_id LIMIT 1 + 1
SELECT sale_id FROM sales ORDER BY sale_id OFFSET 58
SELECT sale_id FROM sales ORDER BY sale_id FETCH FIRST 2 ROWS ONLY
SELECT x.sale_id FROM main.sales x WHERE x.sale_id = (SELECT min(sale_id) FROM main.sales)
SELECT sales.extra.channel, main.sales.sale_id FROM main.sales ORDER BY 2 LIMIT 2
TABLE people
SELECT printf('%d-%s', 1, 'a'), format('{:.2f}', 1.234), string_split('a,b', ','), chr(65), ascii('A'), reverse('abc'), repeat('ab', 3), lpad('1', 3, '0'), starts_with('abc', 'a')
SELECT levenshtein('a', 'b'), jaccard('abc', 'abd'), strip_accents('é'), translate('abc', 'a', 'x'), split_part('a.b', '.', 2), url_encode('a b')
SELECT ln(1), log(10), exp(0), pi(), sqrt(4), power(2, 3), round(1.234, 2), trunc(1.9), ceil(1.1), floor(-1.1), mod(5, 3), gcd(4, 6), factorial(5), greatest(1, 2), isnan('nan'::DOUBLE)
SELECT age(TIMESTAMP '2024-01-01') IS NOT NULL, now() IS NOT NULL, current_date IS NOT NULL, today() = current_date
SELECT s.region, p.name, sum(s.amount) FROM sales AS s INNER JOIN people AS p ON (s.person_id = p.person_id) GROUP BY 1, 2 HAVING sum(s.amount) > 10 ORDER BY 3 DESC, 1, 2 LIMIT 5
SELECT t.region, t.amount - lag(t.amount) OVER (ORDER BY t.sold_on, t.sale_id) AS delta FROM sales t WHERE t.region IS NOT NULL ORDER BY t.sale_id LIMIT 4
SELECT region, month, total, total / sum(total) OVER (PARTITION BY region) AS share FROM (SELECT region, month(sold_on) AS month, sum(amount) AS total FROM sales GROUP BY ALL) ORDER BY ALL
SELECT sale_id, amount AS a, a * 2 AS b, b + 1 AS c FROM sales WHERE c > 150 ORDER BY sale_id
SELECT * FROM (SELECT sale_id, row_number() OVER (PARTITION BY region ORDER BY amount DESC, sale_id) AS r FROM sales) WHERE r = 1 ORDER BY ALL
SELECT region FROM sales GROUP BY region ORDER BY count(*) DESC, region
SELECT max(x) FROM (SELECT count(*) AS x FROM sales GROUP BY person_id HAVING count(*) > 1)
SELECT count(*) FROM sales a, sales b WHERE a.sale_id = b.sale_id AND a.amount <> b.amount
SELECT name FROM people WHERE person_id = ANY (SELECT person_id FROM sales WHERE amount > 90) ORDER BY 1
SELECT name FROM people p WHERE (SELECT count(*) FROM sales s WHERE s.person_id = p.person_id) > 8 ORDER BY 1
SELECT sale_id FROM sales WHERE tags && ['a'] ORDER BY 1
SELECT sale_id FROM sales WHERE list_has_any(tags, ['c']) AND len(tags) = 1 ORDER BY 1
SELECT sale_id FROM sales WHERE 'a' = ANY (tags) ORDER BY 1
SELECT sale_id FROM sales WHERE tags @> ['a'] ORDER BY 1
SELECT region, count(*) AS n FROM sales GROUP BY region ORDER BY n DESC, region LIMIT (SELECT 2)
SELECT DISTINCT region, extra.channel FROM sales ORDER BY ALL
SELECT sum(CASE WHEN region = 'north' THEN amount ELSE 0 END) AS north, sum(if(region = 'south', amount, 0)) AS south FROM sales
SELECT json_array_length(doc -> 'l') AS n, json_array_length(doc -> '$.l') AS m FROM sales ORDER BY sale_id LIMIT 2
SELECT upper(doc ->> 'k') AS k, list_transform(tags, t -> t || '!') AS loud FROM sales ORDER BY sale_id LIMIT 4
PIVOT sales ON region IN ('north', 'south'), person_id IN (1, 2) USING count(*) AS n GROUP BY sold_on ORDER BY sold_on
PIVOT (SELECT person_id, region FROM sales) ON region IN (north, south) ORDER BY person_id
SELECT * FROM (SELECT region, person_id, amount FROM sales) PIVOT (sum(amount) FOR region IN ('north') person_id IN (1, 2))
WITH p AS (PIVOT sales ON region IN ('north', 'south') USING max(amount) GROUP BY person_id) SELECT sum(north) AS n, sum(south) AS s FROM p
SELECT * FROM (PIVOT sales ON region IN ('north') USING count(*) GROUP BY person_id) a JOIN people USING (person_id) ORDER BY person_id
UNPIVOT people ON person_id INTO NAME what VALUE amount ORDER BY ALL LIMIT 3
SELECT what, sum(v) AS s FROM (UNPIVOT (SELECT sale_id, person_id FROM sales) ON sale_id, person_id INTO NAME what VALUE v) GROUP BY what ORDER BY what
SELECT * RENAME (name AS who) FROM people ORDER BY person_id
SELECT COLUMNS(*) FROM people ORDER BY ALL
SELECT COLUMNS('.*_id') FROM people ORDER BY ALL
SELECT min(COLUMNS(*)), max(COLUMNS('_id$')) FROM people
SELECT count(COLUMNS(* EXCLUDE (name))) AS n FROM people
SELECT COLUMNS('(.)(erson)_(id)') AS "\3 of p\2 \0" FROM people ORDER BY ALL
SELECT COLUMNS(c -> c LIKE '%_id' AND NOT (c = 'tax_id')) + 1 FROM people ORDER BY ALL
SELECT COLUMNS(lambda c: c IN ('amount', 'region') OR c SIMILAR TO 'sold_.*') FROM sales ORDER BY ALL
SELECT COLUMNS(['amount', 'sale_id']) * 2 FROM sales ORDER BY ALL
SELECT COLUMNS(p.*) FROM people p JOIN sales s USING (person_id) ORDER BY ALL
SELECT COLUMNS('id') FROM people p JOIN sales s ON s.person_id = p.person_id ORDER BY ALL
SELECT COLUMNS('id') FROM people p JOIN sales s USING (person_id) ORDER BY ALL
SELECT COLUMNS('A|b')::VARCHAR, 1 AS one FROM (SELECT 1 AS "A", 2 AS b)
SELECT * LIKE '%_id' FROM sales ORDER BY ALL
SELECT * NOT LIKE '%_id' FROM people ORDER BY ALL
SELECT * ILIKE 'NAM_' FROM people ORDER BY ALL
SELECT * SIMILAR TO 'tax_.d|name' FROM people ORDER BY ALL
SELECT * GLOB '*_id' FROM people ORDER BY ALL
SELECT p.* EXCLUDE (name) LIKE '%_id' FROM people p ORDER BY ALL
SELECT * FROM people p JOIN sales s ON s.person_id = p.person_id ORDER BY ALL
SELECT * EXCLUDE (p.person_id) FROM people p JOIN sales s ON s.person_id = p.person_id ORDER BY ALL
SELECT * EXCLUDE (p.person_id) FROM people p JOIN sales s USING (person_id) ORDER BY ALL
SELECT * REPLACE (upper(name) AS NAME) RENAME (tax_id AS "Tax") FROM people ORDER BY ALL
SELECT * REPLACE (5 AS person_id) FROM people p JOIN sales s ON s.person_id = p.person_id ORDER BY ALL
SELECT * RENAME (person_id AS k) FROM people p JOIN sales s ON s.person_id = p.person_id ORDER BY ALL
SELECT * FROM people p FULL JOIN sales s USING (person_id) ORDER BY ALL
SELECT * FROM people p RIGHT JOIN sales s USING (person_id) JOIN people q USING (person_id) ORDER BY ALL
SELECT * FROM people p SEMI JOIN sales s USING (person_id) ORDER BY ALL
SELECT * FROM (SELECT p.*, s.* FROM people p JOIN sales s USING (person_id)) ORDER BY ALL
SELECT * FROM (SELECT 1 AS "Ab", 2 AS "aB"), (SELECT count(*), max(name) FROM people)
SELECT * FROM "Odd Name" o, (VALUES (1, 'x')) v, range(2) r
SELECT t.*, t.* FROM (SELECT DISTINCT region, count(*) OVER () AS "N" FROM sales) AS t(Re) ORDER BY ALL
SELECT DISTINCT COLUMNS('region') FROM sales ORDER BY 1
SELECT sum(COLUMNS(['amount', 'sale_id'])) FILTER (region = 'north') FROM sales GROUP BY ALL
SELECT row_number() OVER (ORDER BY COLUMNS('_id')) FROM people ORDER BY ALL
SELECT max(COLUMNS(*)) FROM (SELECT person_id AS "Big", name FROM people)
WITH w(X, y) AS (SELECT person_id, name FROM people) SELECT min(COLUMNS(*)) FROM w
