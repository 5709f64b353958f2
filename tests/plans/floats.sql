-- ranks over zeros of both signs
SELECT k, x * -1 AS y, rank() OVER (PARTITION BY k ORDER BY x * -1) AS r FROM t;
-- partitions by a computed float
SELECT k, count(*) OVER (PARTITION BY x * a) AS n FROM t;
-- LIMIT over a computed float
SELECT k, x FROM t ORDER BY x * a, k, x LIMIT 3;
-- a float of a subquery
SELECT k FROM (SELECT k, 0.0 * x AS y FROM t) AS q ORDER BY y DESC, k LIMIT 4;
-- the first rows of each group by a computed float
SELECT k, s FROM (SELECT k, s, rank() OVER (PARTITION BY k ORDER BY x * -1) AS r FROM t) AS q WHERE r <= 2;
-- DISTINCT ON a computed float
SELECT DISTINCT ON (x * a) k, a FROM t ORDER BY x * a, k, a;
-- groups of computed floats
SELECT x - x AS y, count(*) AS n FROM t GROUP BY x - x;
-- distinct computed floats
SELECT DISTINCT x * a AS y FROM t;
-- a join by a computed float
SELECT t.k, w.g FROM t JOIN w ON t.x - t.x = w.y * -1;
-- computed floats compared
SELECT k FROM t WHERE x - x > 1 OR x * a BETWEEN 0 AND 1;
-- computed floats in a list, in CASE and in NULLIF
SELECT k, x * a IN (0, 3, 4, 5, 6) AS i, CASE x * a WHEN 0 THEN 'z' END AS c, nullif(x * a, 0) IS NULL AS n FROM t;
-- floats of tables stay as they are
SELECT k, x FROM t WHERE x = 0 ORDER BY x, k LIMIT 2;
