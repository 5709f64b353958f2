-- the first rows of each group
SELECT k, a, s FROM (SELECT k, a, s, row_number() OVER (PARTITION BY k ORDER BY a DESC) AS r FROM t) AS q WHERE r <= 2;
-- the first rows with their numbers
SELECT * FROM (SELECT k, a, row_number() OVER (PARTITION BY k ORDER BY x DESC NULLS LAST) AS r FROM t) AS q WHERE r <= 2;
-- one row of each group
SELECT k, x, ts FROM t QUALIFY row_number() OVER (PARTITION BY k ORDER BY x) = 1;
-- ranks below a bound
SELECT k, a, r FROM (SELECT k, a, rank() OVER (PARTITION BY k ORDER BY a) AS r FROM t) AS q WHERE r < 3 AND a > 1;
-- dense ranks between bounds
SELECT k, a, r FROM (SELECT k, a, dense_rank() OVER (PARTITION BY k ORDER BY a DESC) AS r FROM t) AS q WHERE r BETWEEN 2 AND 3;
-- a rank that is computed with
SELECT k, a FROM (SELECT k, a, row_number() OVER (PARTITION BY k ORDER BY a) AS r FROM t) AS q WHERE r <= 4 AND r % 2 = 0;
-- the first rows of everything by rank
SELECT k, a FROM (SELECT k, a, rank() OVER (ORDER BY d, a) AS r FROM t) AS q WHERE r <= 3;
-- a key that is computed
SELECT k, s FROM (SELECT k, s, row_number() OVER (PARTITION BY s LIKE 'a%' ORDER BY coalesce(a, k)) AS r FROM t) AS q WHERE r <= 1;
-- two ranks side by side
SELECT k, a FROM (SELECT k, a, rank() OVER (PARTITION BY k ORDER BY a) AS r, dense_rank() OVER (PARTITION BY k ORDER BY a) AS d FROM t) AS q WHERE r <= 2;
-- ranks from a bound on
SELECT k, a FROM (SELECT k, a, rank() OVER (PARTITION BY k ORDER BY a) AS r FROM t) AS q WHERE r >= 2;
-- LIMIT over floats and text
SELECT x, s FROM t ORDER BY x DESC, s NULLS FIRST LIMIT 3 OFFSET 1;
-- LIMIT over a computed key
SELECT k, s FROM t ORDER BY coalesce(a, k) DESC LIMIT 4;
-- LIMIT over an aggregate
SELECT k, count(*) AS n FROM t GROUP BY k ORDER BY n DESC LIMIT 2;
-- ties at the end
SELECT k, a FROM t ORDER BY a FETCH FIRST 2 ROWS WITH TIES;
-- DISTINCT ON by another order
SELECT DISTINCT ON (k, s) k, s, a, x FROM t ORDER BY k, s DESC, x DESC NULLS LAST;
-- LIMIT without an order takes the least rows by all columns
SELECT k, a FROM t LIMIT 3;
-- LIMIT and OFFSET without an order, over groups
SELECT k, count(*) AS n FROM t GROUP BY k LIMIT 2 OFFSET 1;
-- LIMIT without an order over a union
SELECT q.k FROM (SELECT k FROM t UNION ALL SELECT k FROM u LIMIT 4) AS q;
-- LIMIT over LIMIT
SELECT q.k, q.a FROM (SELECT k, a FROM t ORDER BY a, k LIMIT 4) AS q ORDER BY q.k LIMIT 2;
