-- TUMBLE
SELECT window_start, count(*) AS n, sum(b) AS b FROM TUMBLE(t, ts, INTERVAL '40 seconds') GROUP BY window_start;
-- HOP
SELECT window_start, window_end, k, count(*) AS n FROM HOP(t, ts, INTERVAL '20 seconds', INTERVAL '60 seconds') GROUP BY window_start, window_end, k;
-- INTERSECT ALL
SELECT k FROM t INTERSECT ALL SELECT k FROM u;
-- EXCEPT ALL
SELECT k FROM t EXCEPT ALL SELECT k FROM u;
-- DISTINCT ON
SELECT DISTINCT ON (k) k, a FROM t ORDER BY k, a;
-- LIMIT without an order
SELECT k, a FROM t LIMIT 3;
-- LIMIT with ties
SELECT k, s FROM t ORDER BY a LIMIT 3;
-- FETCH FIRST
SELECT k, a FROM t ORDER BY a FETCH FIRST 2 ROWS ONLY;
-- row numbers with ties
SELECT k, a, row_number() OVER (PARTITION BY k ORDER BY a) AS r FROM t;
-- a condition on a window
SELECT k, a FROM t QUALIFY rank() OVER (PARTITION BY k ORDER BY a DESC) = 1;
-- arrays without an order
SELECT k, array_agg(a) AS items FROM t GROUP BY k;
-- the first value of a group
SELECT k, first_value(s ORDER BY a) AS s FROM t GROUP BY k;
-- two columns of one name
SELECT t.k, u.k, t.a FROM t JOIN u ON t.a = u.a;
-- arithmetic that leaves its range
SELECT k, CAST(b * 3000000000000000000 AS DOUBLE) AS far FROM t;
-- a sum that leaves its range in no group
SELECT k, sum(b * 1000000000) AS big FROM t GROUP BY k;
-- DISTINCT ON with ties
SELECT DISTINCT ON (k) k, s, b FROM t ORDER BY k, a;
-- DISTINCT ON without an order
SELECT DISTINCT ON (k) k, s, b FROM t;
