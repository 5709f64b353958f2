-- IN
SELECT k, a FROM t WHERE k IN (SELECT k FROM u);
-- IN with a condition that reads both sides
SELECT k, a FROM t WHERE k IN (SELECT u.k FROM u WHERE u.a > t.a);
-- NOT IN over values that may be NULL
SELECT k, a FROM t WHERE k NOT IN (SELECT k FROM u WHERE k > 0);
-- EXISTS
SELECT k, a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND u.c > 1);
-- NOT EXISTS
SELECT k, a FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k);
-- NOT EXISTS with a condition that reads both sides
SELECT k, a FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND u.a < t.a);
-- EXISTS inside OR
SELECT k, a FROM t WHERE a > 3 OR EXISTS (SELECT 1 FROM u WHERE u.k = t.k);
-- a scalar subquery in the result
SELECT k, (SELECT max(c) FROM u) AS top FROM t;
-- a scalar subquery in a filter
SELECT k, b FROM t WHERE b > (SELECT avg(c) FROM u);
-- a correlated scalar subquery
SELECT k, (SELECT sum(c) FROM u WHERE u.k = t.k) AS total FROM t;
-- a correlated count, which is 0 and not NULL without rows
SELECT k, (SELECT count(*) FROM u WHERE u.k = t.k) AS n FROM t;
-- a scalar subquery in HAVING
SELECT k, sum(b) AS b FROM t GROUP BY k HAVING sum(b) > (SELECT min(c) FROM u);
-- two scalar subqueries
SELECT k FROM t WHERE b BETWEEN (SELECT min(c) FROM u) AND (SELECT max(c) FROM u);
-- a lateral subquery
SELECT t.k, q.n FROM t CROSS JOIN LATERAL (SELECT count(*) AS n FROM u WHERE u.k = t.k) AS q;
-- a scalar subquery beside an ordinary condition
SELECT k FROM t WHERE a > 0 AND b > (SELECT avg(c) FROM u);
-- one scalar subquery inside another
SELECT k FROM t WHERE b > (SELECT min(c) FROM u WHERE c > (SELECT min(g) FROM w));
-- a scalar subquery with LIMIT 1
SELECT k, (SELECT c FROM u ORDER BY c, k, a, s LIMIT 1) AS least FROM t;
-- a scalar subquery over no row
SELECT k, (SELECT max(c) FROM u HAVING max(c) > 100) AS top FROM t;
-- NOT EXISTS inside OR
SELECT k, a FROM t WHERE f OR NOT EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND u.a < t.a);
-- NOT IN over the whole column
SELECT k, a FROM t WHERE k NOT IN (SELECT a FROM u);
-- NOT IN over a column without NULL
SELECT a FROM w JOIN t ON w.g = t.k WHERE w.k NOT IN (SELECT g FROM w);
-- a comparison with ALL
SELECT k, b FROM t WHERE b > ALL (SELECT c FROM u);
-- a comparison with ANY
SELECT k, b FROM t WHERE b = ANY (SELECT c FROM u);
