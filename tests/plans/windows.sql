-- a rank
SELECT k, a, rank() OVER (PARTITION BY k ORDER BY a) AS r FROM t;
-- a row number over a total order
SELECT k, a, row_number() OVER (PARTITION BY k ORDER BY a, b, s, x, d, f, ts) AS r FROM t;
-- row numbers with ties
SELECT k, a, row_number() OVER (PARTITION BY k ORDER BY a DESC) AS r FROM t;
-- row numbers over everything
SELECT s, row_number() OVER (ORDER BY x) AS r FROM t;
-- every rank
SELECT k, a, rank() OVER q AS r, dense_rank() OVER q AS d, percent_rank() OVER q AS p, cume_dist() OVER q AS c FROM t WINDOW q AS (PARTITION BY k ORDER BY a);
-- tiles
SELECT k, a, ntile(3) OVER (PARTITION BY k ORDER BY a) AS n FROM t;
-- the row before
SELECT k, ts, lag(a) OVER (PARTITION BY k ORDER BY ts, a, b, s, x, d, f) AS before FROM t;
-- rows around
SELECT k, lag(a, 2) OVER q AS p, lead(x, 1) OVER q AS n, lag(s, 1, 'none') OVER q AS d FROM t WINDOW q AS (PARTITION BY k ORDER BY ts);
-- shifts by nothing and the other way
SELECT k, lag(a, 0) OVER q AS p, lag(a, -1) OVER q AS n FROM t WINDOW q AS (PARTITION BY k ORDER BY ts);
-- rows around that are not NULL
SELECT k, lag(a) IGNORE NULLS OVER q AS p, lead(a, 2) IGNORE NULLS OVER q AS n FROM t WINDOW q AS (PARTITION BY k ORDER BY ts);
-- first and last values of a running frame
SELECT k, first_value(a) OVER q AS f, last_value(a) OVER q AS l, nth_value(a, 2) OVER q AS n FROM t WINDOW q AS (PARTITION BY k ORDER BY b ROWS UNBOUNDED PRECEDING);
-- first and last values of a partition
SELECT k, first_value(a) OVER q AS f, last_value(a) OVER q AS l, nth_value(a, 2) OVER q AS n FROM t WINDOW q AS (PARTITION BY k ORDER BY b ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING);
-- values near a row
SELECT k, first_value(x) OVER q AS f, last_value(x) IGNORE NULLS OVER q AS l, nth_value(s, 2) OVER q AS n FROM t WINDOW q AS (PARTITION BY k ORDER BY b ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING);
-- a running sum
SELECT k, sum(b) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS b FROM t;
-- running aggregates by rows
SELECT k, sum(x) OVER q AS sx, avg(d) OVER q AS ad, count(*) OVER q AS n, count(s) OVER q AS ns, min(x) OVER q AS mn, max(s) OVER q AS mx FROM t WINDOW q AS (PARTITION BY k ORDER BY a ROWS UNBOUNDED PRECEDING);
-- what is still to come
SELECT k, sum(x) OVER q AS sx, count(*) OVER q AS n FROM t WINDOW q AS (PARTITION BY k ORDER BY a ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING);
-- what is still to come by value
SELECT k, sum(x) OVER q AS sx, count(*) OVER q AS n FROM t WINDOW q AS (PARTITION BY k ORDER BY a RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING);
-- aggregates over neighbours
SELECT k, sum(x) OVER q AS sx, avg(d) OVER q AS ad, count(*) OVER q AS n, min(x) OVER q AS mn, max(s) OVER q AS mx, stddev(x) OVER q AS dev FROM t WINDOW q AS (PARTITION BY k ORDER BY a ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING);
-- only rows before
SELECT k, sum(a) OVER q AS sa, min(a) OVER q AS mn FROM t WINDOW q AS (PARTITION BY k ORDER BY ts ROWS BETWEEN 3 PRECEDING AND 2 PRECEDING);
-- only rows after
SELECT k, sum(a) OVER q AS sa, max(a) OVER q AS mx FROM t WINDOW q AS (PARTITION BY k ORDER BY ts ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING);
-- neighbours over everything
SELECT s, avg(x) OVER (ORDER BY k, ts ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS near FROM t;
-- aggregates of a partition
SELECT k, count(*) OVER (PARTITION BY k) AS nk, max(a) OVER (PARTITION BY k) AS ma, sum(x) OVER (PARTITION BY k) AS sx FROM t;
-- an aggregate over everything
SELECT k, s, count(*) OVER () AS n FROM t;
-- a count without a column
SELECT count(*) OVER () AS n FROM t;
-- peers alone
SELECT k, a, count(*) OVER (PARTITION BY k ORDER BY a RANGE BETWEEN CURRENT ROW AND CURRENT ROW) AS n FROM t;
-- a range of numbers
SELECT k, a, sum(b) OVER (PARTITION BY k ORDER BY a RANGE BETWEEN 1 PRECEDING AND 2 FOLLOWING) AS sb FROM t;
-- a falling range
SELECT k, a, sum(b) OVER (PARTITION BY k ORDER BY a DESC NULLS LAST RANGE BETWEEN 2 PRECEDING AND CURRENT ROW) AS sb FROM t;
-- a range of floats
SELECT k, x, count(*) OVER (ORDER BY x RANGE BETWEEN 1.0 PRECEDING AND 0.5 FOLLOWING) AS n FROM t;
-- a range of time
SELECT k, ts, sum(a) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '40 seconds' PRECEDING AND CURRENT ROW) AS sa FROM t;
-- a range of time around
SELECT ts, count(*) OVER (ORDER BY ts RANGE BETWEEN INTERVAL '20 seconds' PRECEDING AND INTERVAL '20 seconds' FOLLOWING) AS n FROM t;
-- groups of peers
SELECT k, a, sum(b) OVER q AS sb, count(*) OVER q AS n FROM t WINDOW q AS (PARTITION BY k ORDER BY a GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW);
-- groups of peers ahead
SELECT k, a, sum(b) OVER q AS sb, first_value(a) OVER q AS fa FROM t WINDOW q AS (PARTITION BY s ORDER BY a GROUPS BETWEEN 1 FOLLOWING AND 2 FOLLOWING);
-- running groups
SELECT k, a, sum(b) OVER (PARTITION BY s ORDER BY a GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING) AS sb FROM t;
-- a filter
SELECT k, sum(b) FILTER (WHERE f) OVER q AS sb, count(*) FILTER (WHERE a > 1) OVER q AS n FROM t WINDOW q AS (PARTITION BY k ORDER BY ts ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING);
-- distinct values
SELECT k, count(DISTINCT a) OVER (PARTITION BY k) AS n, sum(DISTINCT b) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS sb FROM t;
-- aggregates of many kinds
SELECT k, bool_and(f) OVER q AS ba, bit_xor(a) OVER q AS bx, median(x) OVER q AS me, corr(a, x) OVER q AS co, var_pop(a) OVER q AS va FROM t WINDOW q AS (PARTITION BY k ORDER BY ts ROWS UNBOUNDED PRECEDING);
-- arrays of rows before
SELECT k, array_agg(a) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS items FROM t;
-- texts of rows before
SELECT k, string_agg(s, ',') OVER (PARTITION BY k ORDER BY ts ROWS UNBOUNDED PRECEDING) AS texts FROM t;
-- a window over an aggregate
SELECT k, count(*) AS n, sum(count(*)) OVER () AS total FROM t GROUP BY k;
-- a rank of an aggregate
SELECT k, sum(b) AS sb, rank() OVER (ORDER BY sum(b) DESC NULLS LAST) AS r FROM t GROUP BY k;
-- two windows
SELECT k, count(*) OVER (PARTITION BY k) AS nk, max(a) OVER (PARTITION BY s) AS ma FROM t;
-- windows over windows
SELECT k, r, lag(r) OVER (PARTITION BY k ORDER BY a, r) AS p FROM (SELECT k, a, row_number() OVER (PARTITION BY s ORDER BY a) AS r FROM t) AS q;
-- a window over a join
SELECT t.k, u.c, sum(t.a) OVER (PARTITION BY u.c ORDER BY t.a) AS sa FROM t JOIN u ON t.k = u.k;
-- a window below a join
SELECT q.k, q.r, u.c FROM (SELECT k, a, row_number() OVER (PARTITION BY k ORDER BY a) AS r FROM t) AS q JOIN u ON q.r = u.a;
-- a computed key
SELECT k, count(*) OVER (PARTITION BY a % 2 ORDER BY coalesce(b, 0) DESC) AS n FROM t;
-- a difference to the row before
SELECT k, ts, a - lag(a) OVER (PARTITION BY k ORDER BY ts) AS step FROM t;
-- a share of the whole
SELECT k, x / sum(x) OVER (PARTITION BY k) AS share FROM t;
-- a filter above a window
SELECT k, a, n FROM (SELECT k, a, count(*) OVER (PARTITION BY k) AS n FROM t) AS q WHERE n > 1;
-- an order that the partition makes idle
SELECT k, count(*) OVER (PARTITION BY k ORDER BY k) AS n, sum(a) OVER (PARTITION BY k) AS sa FROM t;
-- rows that cannot be NULL
SELECT k, g, lead(y) OVER (PARTITION BY k ORDER BY g) AS n, first_value(y) OVER (PARTITION BY k ORDER BY g) AS f FROM w;
-- windows over lists
SELECT k, row_number() OVER (PARTITION BY k ORDER BY items) AS r, first_value(items) OVER (PARTITION BY k ORDER BY items) AS f FROM l;
-- a window in a union
SELECT k, rank() OVER (ORDER BY a) AS r FROM t UNION ALL SELECT k, count(*) OVER (PARTITION BY k) AS r FROM u;
-- a grouped window
SELECT r, count(*) AS n FROM (SELECT rank() OVER (PARTITION BY k ORDER BY a) AS r FROM t) AS q GROUP BY r;
-- arrays of partitions
SELECT k, array_agg(a) OVER (PARTITION BY k) AS items, string_agg(s, ',') OVER (PARTITION BY k) AS texts FROM t;
-- a window built on another
SELECT k, count(*) OVER p AS n, sum(a) OVER (p ORDER BY b) AS sa FROM t WINDOW p AS (PARTITION BY k);
-- a range of decimals
SELECT k, d, count(*) OVER (PARTITION BY k ORDER BY d RANGE BETWEEN 1.5 PRECEDING AND 1 FOLLOWING) AS n FROM t;
-- a range of months
SELECT k, ts, count(*) OVER (ORDER BY ts RANGE BETWEEN INTERVAL '1 month' PRECEDING AND CURRENT ROW) AS n FROM t;
-- a range before the row
SELECT k, a, sum(b) OVER (ORDER BY a RANGE BETWEEN 3 PRECEDING AND 1 PRECEDING) AS sb, count(*) OVER (ORDER BY a RANGE BETWEEN 1 FOLLOWING AND 2 FOLLOWING) AS n FROM t;
-- ranges of two lengths
SELECT k, a, sum(b) OVER (PARTITION BY k ORDER BY a RANGE 1 PRECEDING) AS sb, count(*) OVER (PARTITION BY k ORDER BY a RANGE BETWEEN 2 PRECEDING AND 1 PRECEDING) AS n, lag(k, 2) OVER (PARTITION BY k ORDER BY a) AS p FROM t;
-- aggregates of many kinds over neighbours
SELECT k, median(x) OVER q AS me, corr(a, x) OVER q AS co, var_pop(b) OVER q AS va, bit_xor(a) OVER q AS bx, max(x) OVER q AS mx FROM t WINDOW q AS (PARTITION BY k ORDER BY ts ROWS BETWEEN 1 PRECEDING AND 2 FOLLOWING);
-- aggregates that cannot take a value back, over frames that move
SELECT k, bool_and(f) OVER w AS all_of, bit_or(a) OVER w AS bits, string_agg(s, ',') OVER w AS texts FROM t WINDOW w AS (PARTITION BY k ORDER BY a, b ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING);
