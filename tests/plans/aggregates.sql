-- counts
SELECT k, count(*) AS n, count(a) AS na, count(s) AS ns FROM t GROUP BY k;
-- sums of integers and decimals
SELECT k, sum(a) AS a, sum(b) AS b, sum(d) AS d FROM t GROUP BY k;
-- sums of floats with infinities and NaN
SELECT k, sum(x) AS x, avg(x) AS m FROM t GROUP BY k;
-- averages
SELECT k, avg(a) AS a, avg(d) AS d FROM t GROUP BY k;
-- least and greatest
SELECT k, min(a) AS a, max(s) AS s, min(ts) AS ts, max(d) AS d, min(b) AS b FROM t GROUP BY k;
-- least and greatest float
SELECT k, min(x) AS lo, max(x) AS hi FROM t GROUP BY k;
-- one row for everything
SELECT count(*) AS n, sum(b) AS b, min(s) AS s, max(x) AS x FROM t;
-- counting rows alone
SELECT count(*) AS n FROM t;
-- a filter for one call
SELECT k, count(*) FILTER (WHERE a > 1) AS n, sum(b) FILTER (WHERE f) AS b FROM t GROUP BY k;
-- distinct arguments
SELECT k, count(DISTINCT a) AS na, sum(DISTINCT b) AS b, count(DISTINCT s) AS ns FROM t GROUP BY k;
-- a distinct argument with a filter
SELECT k, count(DISTINCT s) FILTER (WHERE a > 0) AS n FROM t GROUP BY k;
-- a key that is an expression
SELECT a % 2 AS odd, upper(s) AS s, count(*) AS n FROM t GROUP BY a % 2, upper(s);
-- a float key with NaN and negative zero
SELECT x, count(*) AS n FROM t GROUP BY x;
-- a condition on groups
SELECT k, sum(b) AS b FROM t GROUP BY k HAVING count(*) > 1 AND sum(b) > 0;
-- an aggregate over an aggregate
SELECT n, count(*) AS groups FROM (SELECT k, count(*) AS n FROM t GROUP BY k) AS q GROUP BY n;
-- distinct rows
SELECT DISTINCT k, s FROM t;
-- distinct rows of expressions
SELECT DISTINCT a + 1 AS a1, x FROM t;
-- groups without a call
SELECT k FROM t GROUP BY k;
-- spread
SELECT k, stddev(a) AS sd, var_pop(b) AS vp FROM t GROUP BY k;
-- all and any
SELECT k, bool_and(f) AS every, bool_or(f) AS some FROM t GROUP BY k;
-- an array in order
SELECT k, array_agg(a ORDER BY a, b) AS items FROM t GROUP BY k;
-- a median
SELECT k, median(a) AS mid FROM t GROUP BY k;
-- text put together in order
SELECT k, string_agg(s, ',' ORDER BY s) AS all_s FROM t GROUP BY k;
-- a sum that no row reaches
SELECT sum(a) AS a, count(*) AS n FROM t WHERE a > 1000;
-- bits
SELECT k, bit_and(a) AS ba, bit_or(b) AS bo, bit_xor(a) AS bx, bit_xor(DISTINCT b) AS bd FROM t GROUP BY k;
-- any value, which is the least
SELECT k, any_value(s) AS s, any_value(x) AS x, any_value(a) FILTER (WHERE f) AS a FROM t GROUP BY k;
-- counts that are approximate elsewhere
SELECT k, approx_distinct(a) AS na, approx_distinct(x) AS nx, approx_distinct(s) FILTER (WHERE a > 0) AS ns FROM t GROUP BY k;
