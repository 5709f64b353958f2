-- recursion with a bound
WITH RECURSIVE r AS (SELECT src, dst, 1 AS n FROM e UNION ALL SELECT r.src, e.dst, r.n + 1 FROM r JOIN e ON r.dst = e.src WHERE r.n < 3) SELECT src, dst, count(*) AS n FROM r GROUP BY src, dst;
-- recursion to a fixed point
WITH RECURSIVE r AS (SELECT src, dst FROM e UNION SELECT r.src, e.dst FROM r JOIN e ON r.dst = e.src) SELECT src, dst FROM r;
-- the recursion on the right of a join, with a filter
WITH RECURSIVE r(x) AS (SELECT src FROM e WHERE dst > 2 UNION SELECT e.dst FROM e, r WHERE e.src = r.x AND e.dst IS NOT NULL) SELECT x FROM r;
-- a series without a table
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT n.i, t.k FROM n LEFT JOIN t ON t.k = n.i;
-- the bound comes from a table
WITH RECURSIVE n(k, i) AS (SELECT k, 0 FROM t WHERE k IS NOT NULL UNION ALL SELECT k, i + 1 FROM n WHERE i < k) SELECT k, i FROM n;
-- text that grows
WITH RECURSIVE p(src, dst, way, n) AS (SELECT src, dst, CAST(src AS VARCHAR) || '>' || CAST(dst AS VARCHAR), 1 FROM e UNION ALL SELECT p.src, e.dst, p.way || '>' || CAST(e.dst AS VARCHAR), p.n + 1 FROM p JOIN e ON e.src = p.dst WHERE p.n < 3) SELECT way, n FROM p;
-- the shortest ways
WITH RECURSIVE d(x, n) AS (SELECT src, 0 FROM e WHERE src = 0 UNION SELECT e.dst, d.n + 1 FROM d JOIN e ON e.src = d.x WHERE d.n < 4) SELECT x, min(n) AS n FROM d GROUP BY x;
-- quantities along a tree
WITH RECURSIVE b(part, n, level) AS (SELECT dst, src, 1 FROM e WHERE src = 1 UNION ALL SELECT e.dst, b.n * (e.src + 1), b.level + 1 FROM b JOIN e ON e.src = b.part WHERE b.level < 3) SELECT part, sum(n) AS n FROM b GROUP BY part;
-- an aggregate as the input of the term
WITH RECURSIVE r(x) AS (SELECT 0 UNION SELECT g.m FROM r JOIN (SELECT src, max(dst) AS m FROM e GROUP BY src) AS g ON g.src = r.x) SELECT x FROM r;
-- a grouping within the term
WITH RECURSIVE r(x, n) AS (SELECT src, 0 FROM e UNION SELECT e.dst, r.n + 1 FROM r JOIN e ON e.src = r.x WHERE r.n < 3 GROUP BY e.dst, r.n + 1) SELECT x, n FROM r;
-- an anti join within the term
WITH RECURSIVE r(x) AS (SELECT 1 UNION SELECT e.dst FROM r JOIN e ON e.src = r.x WHERE NOT EXISTS (SELECT 1 FROM t WHERE t.k = e.dst)) SELECT x FROM r;
-- a scalar subquery within the term
WITH RECURSIVE r(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM r WHERE x < (SELECT max(k) FROM t)) SELECT x FROM r;
-- an outer join within the term
WITH RECURSIVE r(x, y, n) AS (SELECT src, dst, 0 FROM e UNION ALL SELECT r.y, e.dst, r.n + 1 FROM r LEFT JOIN e ON e.src = r.y WHERE r.n < 2) SELECT x, y, n FROM r;
-- two recursions, joined
WITH RECURSIVE up(x) AS (SELECT 0 UNION SELECT e.src FROM up JOIN e ON e.dst = up.x), down(x) AS (SELECT 0 UNION SELECT e.dst FROM down JOIN e ON e.src = down.x) SELECT up.x FROM up JOIN down ON up.x = down.x;
-- one recursion, read twice
WITH RECURSIVE r AS (SELECT src, dst FROM e UNION SELECT r.src, e.dst FROM r JOIN e ON r.dst = e.src) SELECT a.src, a.dst FROM r AS a JOIN r AS b ON a.src = b.dst AND a.dst = b.src;
-- a recursion over a recursion
WITH RECURSIVE r AS (SELECT src, dst FROM e UNION SELECT r.src, e.dst FROM r JOIN e ON r.dst = e.src), s(x) AS (SELECT 1 UNION SELECT r.dst FROM s JOIN r ON r.src = s.x) SELECT x FROM s;
-- a recursion in a subquery
SELECT k FROM t WHERE k IN (WITH RECURSIVE r(x) AS (SELECT 1 UNION SELECT e.dst FROM r JOIN e ON e.src = r.x) SELECT x FROM r);
-- a recursion in FROM, counted
SELECT q.n FROM (WITH RECURSIVE r(x) AS (SELECT 1 UNION SELECT e.dst FROM r JOIN e ON e.src = r.x) SELECT count(*) AS n FROM r) AS q;
-- lists that grow
WITH RECURSIVE r(x, seen) AS (SELECT src, make_array(src) FROM e UNION ALL SELECT e.dst, array_append(r.seen, e.dst) FROM r JOIN e ON e.src = r.x WHERE NOT array_has(r.seen, e.dst)) SELECT x, cardinality(seen) AS n FROM r;
-- unnest within the term
WITH RECURSIVE r(x, n) AS (SELECT k, 0 FROM l UNION SELECT q.y, q.m FROM (SELECT unnest(l.items) AS y, r.n + 1 AS m FROM r JOIN l ON l.k = r.x WHERE r.n < 3) AS q) SELECT x, n FROM r;
-- a window within the term
WITH RECURSIVE r(x, n) AS (SELECT src, 0 FROM e UNION SELECT q.dst, q.n FROM (SELECT e.dst, r.n + 1 AS n, row_number() OVER (PARTITION BY r.x ORDER BY e.dst) AS p FROM r JOIN e ON e.src = r.x WHERE r.n < 3) AS q WHERE q.p <= 2) SELECT x, n FROM r;
-- a term that fails on some rows
WITH RECURSIVE r(x, n) AS (SELECT src, 0 FROM e UNION ALL SELECT 4 / e.dst, r.n + 1 FROM r JOIN e ON e.src = r.x WHERE r.n < 2) SELECT x, n FROM r;
-- the first rows of each round
WITH RECURSIVE r(x, n) AS (SELECT src, 0 FROM e UNION SELECT q.dst, q.n FROM (SELECT e.dst, r.n + 1 AS n FROM r JOIN e ON e.src = r.x WHERE r.n < 3 ORDER BY e.dst DESC, n LIMIT 2) AS q) SELECT x, n FROM r;
-- rows behind the first of each round
WITH RECURSIVE r(x, n) AS (SELECT src, 0 FROM e UNION ALL SELECT q.dst, q.n FROM (SELECT e.dst, r.n + 1 AS n FROM r JOIN e ON e.src = r.x WHERE r.n < 2 ORDER BY e.dst LIMIT 3 OFFSET 1) AS q) SELECT x, n FROM r;
-- a union within the term
WITH RECURSIVE r(x) AS (SELECT src FROM e UNION SELECT q.y FROM (SELECT e.dst AS y FROM r JOIN e ON e.src = r.x UNION ALL SELECT k FROM t) AS q WHERE q.y < 5) SELECT x FROM r;
