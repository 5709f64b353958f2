-- every column
SELECT * FROM t;
-- columns, expressions and constants
SELECT k, a + 1 AS a1, s || '!' AS s1, 7 AS seven, NULL AS nothing FROM t;
-- a filter
SELECT k, s FROM t WHERE a > 1 AND (s LIKE 'a%' OR f);
-- a filter on a column that is not in the result
SELECT b FROM t WHERE ts >= TIMESTAMP '1970-01-01 00:01:00';
-- CASE, COALESCE and IN
SELECT CASE WHEN a < 1 THEN 'low' WHEN a < 3 THEN 'mid' ELSE 'high' END AS band, COALESCE(s, '?') AS s FROM t WHERE k IN (1, 2, 3);
-- no column at all
SELECT 1 AS one FROM t;
-- a common table expression read twice
WITH p AS (SELECT k, a FROM t WHERE a > 0) SELECT p1.k, p2.a FROM p AS p1 JOIN p AS p2 ON p1.a = p2.k;
-- a nested alias
SELECT q.kk FROM (SELECT k AS kk FROM t) AS q WHERE q.kk = 2;
-- ORDER BY means nothing in a model
SELECT k, a FROM t ORDER BY a DESC, k;
-- values without a table
SELECT 1 AS a, 'x' AS b;
-- a list of values
SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (NULL, 'c')) AS q (n, s);
-- a condition that is never true
SELECT k FROM t WHERE 1 = 0;
-- a table function
SELECT value FROM generate_series(1, 4);
-- a table function beside a table
SELECT t.k, g.g FROM t JOIN generate_series(1, 3) AS g ON t.a = g.g;
