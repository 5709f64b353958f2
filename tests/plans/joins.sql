-- an inner join
SELECT t.k, t.a, u.c FROM t JOIN u ON t.k = u.k;
-- two keys
SELECT t.k, u.c FROM t JOIN u ON t.k = u.k AND t.s = u.s;
-- a key that is an expression
SELECT t.k, u.c FROM t JOIN u ON t.k + 1 = u.k;
-- a residual condition
SELECT t.k, u.c FROM t JOIN u ON t.k = u.k AND t.a < u.a;
-- keys where NULL meets NULL
SELECT t.k, u.c FROM t JOIN u ON t.k IS NOT DISTINCT FROM u.k;
-- no key, a condition
SELECT t.k, u.k AS uk FROM t JOIN u ON t.a < u.a;
-- a cross join
SELECT t.a, u.a AS ua FROM t CROSS JOIN u;
-- a float key with NaN and negative zero
SELECT t.k, w.g FROM t JOIN w ON t.x = w.y;
-- a self join
SELECT t1.k, t2.a FROM t AS t1 JOIN t AS t2 ON t1.k = t2.a;
-- three tables
SELECT t.k, u.c, w.y FROM t JOIN u ON t.k = u.k JOIN w ON u.a = w.g;
-- a left join
SELECT t.k, t.a, u.c FROM t LEFT JOIN u ON t.k = u.k;
-- a left join with a residual condition
SELECT t.k, t.a, u.c FROM t LEFT JOIN u ON t.k = u.k AND t.a < u.a;
-- a left join with a condition on the right side
SELECT t.k, u.c FROM t LEFT JOIN u ON t.k = u.k AND u.c > 1;
-- a left join with a condition on the left side
SELECT t.k, u.c FROM t LEFT JOIN u ON t.k = u.k AND t.f;
-- a left join over a left join
SELECT t.k, u.c, w.y FROM t LEFT JOIN u ON t.k = u.k LEFT JOIN w ON u.a = w.g;
-- rows without a partner
SELECT t.k FROM t LEFT JOIN u ON t.k = u.k WHERE u.k IS NULL;
-- a right join
SELECT t.k, u.k AS uk, u.c FROM t RIGHT JOIN u ON t.k = u.k;
-- a full join
SELECT t.k, t.a, u.k AS uk, u.c FROM t FULL JOIN u ON t.k = u.k;
-- a full join with a residual condition
SELECT t.k, u.c FROM t FULL JOIN u ON t.k = u.k AND t.a < u.a;
-- USING
SELECT k, t.a, u.c FROM t JOIN u USING (k);
-- an aggregate over a join
SELECT u.s, count(*) AS n, sum(t.b) AS b FROM t JOIN u ON t.k = u.k GROUP BY u.s;
-- a join over an aggregate
SELECT t.k, q.n FROM t JOIN (SELECT k, count(*) AS n FROM u GROUP BY k) AS q ON t.k = q.k;
-- a join with rows that never change
SELECT t.k, q.n FROM t JOIN (VALUES (1, 'one'), (2, 'two')) AS q(k, n) ON t.k = q.k;
-- rows that never change before a left join
SELECT q.n, t.a FROM (VALUES (1, 'one'), (2, 'two')) AS q(k, n) LEFT JOIN t ON t.k = q.k;
