-- ROLLUP
SELECT k, s, sum(b) AS b, count(*) AS n FROM t GROUP BY ROLLUP (k, s);
-- ROLLUP with grouping()
SELECT k, s, grouping(k) AS gk, grouping(s) AS gs, count(*) AS n FROM t GROUP BY ROLLUP (k, s);
-- CUBE
SELECT k, f, min(a) AS a, count(*) AS n FROM t GROUP BY CUBE (k, f);
-- CUBE with grouping() of several columns
SELECT k, f, grouping(k, f) AS g, count(*) AS n FROM t GROUP BY CUBE (k, f);
-- GROUPING SETS
SELECT k, s, count(*) AS n FROM t GROUP BY GROUPING SETS ((k), (s), ());
-- a set that is listed twice
SELECT k, count(*) AS n FROM t GROUP BY GROUPING SETS ((k), (k));
-- a column beside ROLLUP
SELECT k, s, count(DISTINCT a) AS n FROM t GROUP BY k, ROLLUP (s);
-- the argument is also a key
SELECT a, sum(a) AS total FROM t GROUP BY ROLLUP (a);
-- a condition on the grouping
SELECT k, s, count(*) AS n FROM t GROUP BY ROLLUP (k, s) HAVING grouping(s) = 1;
-- sets without a call
SELECT k, s FROM t GROUP BY ROLLUP (k, s);
-- the empty set alone, twice
SELECT count(*) AS n FROM t GROUP BY GROUPING SETS ((), ());
-- a set over no row
SELECT k, sum(b) AS b FROM t WHERE a > 1000 GROUP BY ROLLUP (k);
