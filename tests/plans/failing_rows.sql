-- division by zero in the result
SELECT k, 10 / a AS q FROM t;
-- division by zero in a filter
SELECT k FROM t WHERE 10 / a > 3;
-- a cast that some rows fail
SELECT k, CAST(s AS INT) AS n FROM t;
-- a failing argument of an aggregate
SELECT k, sum(10 / a) AS q, count(*) AS n FROM t GROUP BY k;
-- an argument that its filter protects
SELECT k, sum(10 / a) FILTER (WHERE a <> 0) AS q, count(*) AS n FROM t GROUP BY k;
-- a failing grouping key
SELECT 10 / a AS q, count(*) AS n FROM t GROUP BY 10 / a;
-- a failing join key
SELECT t.k, u.c FROM t JOIN u ON 4 / t.a = u.k;
-- a failing join key of a left join
SELECT t.k, u.c FROM t LEFT JOIN u ON t.k = 4 / u.a;
-- a failing residual condition
SELECT t.k, u.c FROM t JOIN u ON t.k = u.k AND t.a / u.a > 1;
-- a failing residual condition of a left join
SELECT t.k, u.c FROM t LEFT JOIN u ON t.k = u.k AND t.a / u.a > 1;
-- a failing argument of a window function
SELECT k, sum(10 / a) OVER (PARTITION BY k) AS q FROM t;
-- a failing key of a limited order
SELECT k, a, b, s FROM t ORDER BY 10 / a, k, a, b, s, x, d, f, ts LIMIT 3;
-- a failing key of ROLLUP
SELECT 10 / a AS q, s, count(*) AS n FROM t GROUP BY ROLLUP (10 / a, s);
-- a guarded division
SELECT k, CASE WHEN a <> 0 THEN 10 / a END AS q FROM t;
-- a failing expression beside a scalar subquery
SELECT k, 10 / a AS q, (SELECT max(c) FROM u) AS top FROM t;
-- a failing comparison with a scalar subquery
SELECT k FROM t WHERE 10 / a > (SELECT min(c) FROM u);
-- a failing row inside a scalar subquery
SELECT k FROM t WHERE b > (SELECT min(10 / a) FROM u);
-- a failing condition inside a recomputed node
SELECT k FROM t WHERE f OR 10 / a > 2 OR k IN (SELECT k FROM u);
