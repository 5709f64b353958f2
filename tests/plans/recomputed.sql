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
