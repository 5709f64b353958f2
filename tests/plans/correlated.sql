-- a count under an inequality, which is 0 and not NULL without rows
SELECT k, (SELECT count(*) FROM u WHERE u.c < t.b) AS n FROM t;
-- an equality beside an inequality
SELECT k, (SELECT sum(c) FROM u WHERE u.k = t.k AND u.a <> t.a) AS total FROM t;
-- in a filter
SELECT k, a FROM t WHERE b > (SELECT avg(c) FROM u WHERE u.k >= t.k);
-- without an aggregate: two rows fail the outer row
SELECT k, (SELECT c FROM u WHERE u.k = t.k) AS c FROM t;
-- EXISTS as a value
SELECT k, EXISTS (SELECT 1 FROM u WHERE u.k > t.k) AS found FROM t;
-- IN as a value
SELECT k, a IN (SELECT u.a FROM u WHERE u.k = t.k) AS found FROM t;
-- NOT IN over the rows of one group
SELECT k, a FROM t WHERE a NOT IN (SELECT u.a FROM u WHERE u.k = t.k);
-- a comparison with ALL that reads the row outside
SELECT k, b > ALL (SELECT c FROM u WHERE u.k = t.k) AS most FROM t;
-- two levels
SELECT k, (SELECT count(*) FROM u WHERE u.c < (SELECT min(y.c) FROM u AS y WHERE y.k = u.k AND y.c > t.b)) AS n FROM t;
-- an aggregate below another one
SELECT k, (SELECT max(n) FROM (SELECT count(*) AS n FROM u WHERE u.c < t.b) AS s) AS n FROM t;
-- a lateral subquery under an inequality
SELECT t.k, q.c FROM t CROSS JOIN LATERAL (SELECT u.c FROM u WHERE u.k < t.k AND u.a > 0 GROUP BY u.c) AS q;
-- a lateral subquery in an outer join
SELECT t.k, q.n FROM t LEFT JOIN LATERAL (SELECT count(*) AS n FROM u WHERE u.c > t.b) AS q ON q.n > 1;
-- a union that reads the row outside
SELECT k, (SELECT sum(v) FROM (SELECT c AS v FROM u WHERE u.k > t.k UNION ALL SELECT t.b) AS s) AS total FROM t;
