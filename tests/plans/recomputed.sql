-- the first rows of a window
SELECT k, a FROM (SELECT k, a, row_number() OVER (PARTITION BY k ORDER BY a, b, s, x, d, f, ts) AS r FROM t) AS q WHERE r <= 2;
-- LIMIT with ties that cannot be told apart
SELECT k FROM t ORDER BY k LIMIT 3;
-- LIMIT over all columns
SELECT k, a, s FROM t ORDER BY a, k, s LIMIT 4;
-- LIMIT and OFFSET
SELECT k, a FROM t ORDER BY a DESC NULLS LAST, k LIMIT 2 OFFSET 1;
-- OFFSET alone
SELECT k, a FROM t ORDER BY k, a OFFSET 2;
-- LIMIT inside a join
SELECT q.k, u.c FROM (SELECT k, a FROM t ORDER BY k, a LIMIT 3) AS q JOIN u ON q.k = u.k;
-- unnest
SELECT k, unnest(items) AS item FROM l;
-- an aggregate over unnest
SELECT item, count(*) AS n FROM (SELECT unnest(items) AS item FROM l) AS q GROUP BY item;
-- recursion with a bound
WITH RECURSIVE r AS (SELECT src, dst, 1 AS n FROM e UNION ALL SELECT r.src, e.dst, r.n + 1 FROM r JOIN e ON r.dst = e.src WHERE r.n < 3) SELECT src, dst, count(*) AS n FROM r GROUP BY src, dst;
-- recursion to a fixed point
WITH RECURSIVE r AS (SELECT src, dst FROM e UNION SELECT r.src, e.dst FROM r JOIN e ON r.dst = e.src) SELECT src, dst FROM r;
