-- UNION ALL
SELECT k, a FROM t UNION ALL SELECT k, a FROM u;
-- UNION ALL of different types
SELECT a AS v, s FROM t UNION ALL SELECT c, s FROM u;
-- UNION
SELECT k, s FROM t UNION SELECT k, s FROM u;
-- a union of a table with itself
SELECT k FROM t UNION ALL SELECT a FROM t UNION ALL SELECT k FROM u;
-- INTERSECT, where NULL meets NULL
SELECT k, s FROM t INTERSECT SELECT k, s FROM u;
-- EXCEPT, where NULL meets NULL
SELECT k, s FROM t EXCEPT SELECT k, s FROM u;
-- an aggregate over a union
SELECT k, count(*) AS n FROM (SELECT k FROM t UNION ALL SELECT k FROM u) AS q GROUP BY k;
