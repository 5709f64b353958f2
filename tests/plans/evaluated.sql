-- the continuous percentile
SELECT k, percentile_cont(0.5) WITHIN GROUP (ORDER BY a) AS p, percentile_cont(0.3) WITHIN GROUP (ORDER BY x DESC) AS q FROM t GROUP BY k;
-- the discrete percentile
SELECT k, percentile_disc(0.4) WITHIN GROUP (ORDER BY s) AS p, percentile_disc(0.75) WITHIN GROUP (ORDER BY d DESC) AS q, percentile_disc(0) WITHIN GROUP (ORDER BY ts) AS r FROM t GROUP BY k;
-- the most frequent value
SELECT k, mode() WITHIN GROUP (ORDER BY a) AS m, mode() WITHIN GROUP (ORDER BY s DESC) AS n, mode() WITHIN GROUP (ORDER BY x) AS o FROM t GROUP BY k;
-- medians
SELECT k, median(a) AS a, median(x) AS x, median(d) AS d, approx_median(b) AS b, approx_percentile_cont(0.25) WITHIN GROUP (ORDER BY b) AS q FROM t GROUP BY k;
-- medians of distinct and filtered values
SELECT k, median(DISTINCT a) AS a, median(b) FILTER (WHERE f) AS b, median(DISTINCT d) AS d FROM t GROUP BY k;
-- a percentile of everything
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY b) AS p, count(*) AS n FROM t;
-- arrays in the order of their values
SELECT k, array_agg(a) AS a, array_agg(x) AS x, array_agg(s ORDER BY s DESC) AS s FROM t GROUP BY k;
-- arrays in another order
SELECT k, array_agg(s ORDER BY a DESC NULLS LAST, x) AS s, array_agg(d ORDER BY ts) AS d FROM t GROUP BY k;
-- arrays of distinct values
SELECT k, array_agg(DISTINCT a) AS a, array_agg(DISTINCT s ORDER BY s DESC) AS s FROM t GROUP BY k;
-- arrays of filtered values beside exact calls
SELECT k, count(*) AS n, sum(b) AS b, array_agg(a) FILTER (WHERE f) AS a, max(x) AS x, count(DISTINCT s) AS ns FROM t GROUP BY k;
-- texts put together
SELECT k, string_agg(s, '-') AS s, string_agg(DISTINCT s, ',') AS d, string_agg(s, '' ORDER BY a, b) AS o FROM t GROUP BY k;
-- texts of everything
SELECT string_agg(s, ',' ORDER BY s) AS s, array_agg(k ORDER BY k) AS k, count(*) AS n FROM t;
-- the first and the last
SELECT k, first_value(a ORDER BY b) AS fa, last_value(s ORDER BY a, x) AS ls, first_value(x) AS fx FROM t GROUP BY k;
-- the first that is known
SELECT k, first_value(a ORDER BY b) IGNORE NULLS AS fa, last_value(s ORDER BY a) IGNORE NULLS AS ls FROM t GROUP BY k;
-- the second
SELECT k, nth_value(a, 2 ORDER BY b) AS n FROM t GROUP BY k;
-- the last but one
SELECT k, nth_value(s, -2 ORDER BY a) AS m, count(s) AS n FROM t GROUP BY k;
-- a constant collected
SELECT k, array_agg(1) AS ones FROM t GROUP BY k;
-- an expression that can fail, collected
SELECT k, array_agg(10 / a ORDER BY b) AS q FROM t GROUP BY k;
-- arrays of grouping sets
SELECT k, a, array_agg(b ORDER BY b) AS b, median(x) AS m FROM t GROUP BY GROUPING SETS ((k, a), (k), ());
-- a condition on a collected text
SELECT k, string_agg(s, ',' ORDER BY s) AS s FROM t GROUP BY k HAVING string_agg(s, ',' ORDER BY s) > 'a';
-- distinct on many columns
SELECT DISTINCT ON (k) k, a, b, s, x FROM t ORDER BY k, a DESC;
-- lists collected
SELECT k, array_agg(items) AS lists, first_value(items ORDER BY k) AS one FROM l GROUP BY k;
-- an array of what was aggregated
SELECT array_agg(n ORDER BY n, k) AS ns FROM (SELECT k, count(*) AS n FROM t GROUP BY k) AS q;
-- any list, and the most frequent one
SELECT k, any_value(items) AS any, mode() WITHIN GROUP (ORDER BY items) AS often FROM l GROUP BY k;
-- arrays without their NULLs
SELECT k, array_agg(a ORDER BY b) IGNORE NULLS AS a FROM t GROUP BY k;
-- every and some
SELECT k, every(f) AS every, array_agg(f) AS f FROM t GROUP BY k;
-- many readings of one column
SELECT k, min(x) AS lo, max(x) AS hi, median(x) AS mid, percentile_cont(0.9) WITHIN GROUP (ORDER BY x) AS p, mode() WITHIN GROUP (ORDER BY x DESC) AS often, median(DISTINCT x) AS dm, min(x) FILTER (WHERE f) AS flo FROM t GROUP BY k;
