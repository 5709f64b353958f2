-- the last before
SELECT t.k, t.ts, v.ts AS at, v.a FROM t ASOF JOIN (SELECT k, a, ts FROM t WHERE f) AS v MATCH_CONDITION (t.ts >= v.ts) ON t.k = v.k;
-- the last strictly before, or none
SELECT t.k, t.a, u.a AS last, u.c FROM t ASOF LEFT JOIN u MATCH_CONDITION (t.a > u.a) ON t.k = u.k;
-- the next
SELECT t.k, t.a, u.a AS next, u.s FROM t ASOF LEFT OUTER JOIN u MATCH_CONDITION (t.a <= u.a) ON t.k = u.k;
-- the next strictly behind
SELECT t.k, t.a, u.* FROM t ASOF JOIN u MATCH_CONDITION (t.a < u.a) ON t.k = u.k;
-- written the other way round
SELECT t.k, t.a, u.c FROM t ASOF JOIN u MATCH_CONDITION (u.a <= t.a) ON u.k = t.k;
-- keys of two types and several keys
SELECT t.a, t.b, u.c FROM t ASOF LEFT JOIN u MATCH_CONDITION (t.a >= u.c) ON t.k = u.c AND t.s = u.s;
-- without keys, by decimals beside floats
SELECT t.d, v.x FROM t ASOF LEFT JOIN (SELECT x, k FROM t) AS v MATCH_CONDITION (t.d >= v.x);
-- by times that are computed
SELECT t.ts, v.ts AS at FROM t ASOF LEFT JOIN (SELECT k, ts FROM t) AS v MATCH_CONDITION (t.ts - INTERVAL '20 seconds' >= v.ts) ON t.k + 1 = v.k;
-- counted
SELECT u.s, count(*) AS n, sum(t.b) AS b FROM t ASOF JOIN u MATCH_CONDITION (t.a >= u.a) ON t.k = u.k GROUP BY u.s;
-- two in a chain
SELECT t.k, t.a, u.c, w.y FROM t ASOF LEFT JOIN u MATCH_CONDITION (t.a >= u.a) ON t.k = u.k ASOF LEFT JOIN w MATCH_CONDITION (t.a <= w.g) ON t.k = w.k;
-- beside another join, and a condition
SELECT t.k, t.a, w.g, u.c FROM t JOIN w ON t.k = w.k ASOF JOIN u MATCH_CONDITION (w.g >= u.a) ON t.k = u.k WHERE u.c > 0 AND t.a < 4;
-- within brackets
SELECT t.k, x.c FROM t LEFT JOIN (w ASOF LEFT JOIN u MATCH_CONDITION (w.g > u.a) ON w.k = u.k) AS x (k, g, y, uk, ua, c, us) ON t.k = x.k;
-- in a subquery
SELECT k FROM t WHERE k IN (SELECT w.k FROM w ASOF JOIN u MATCH_CONDITION (w.g >= u.a) ON w.k = u.k);
-- by texts
SELECT t.s, u.s AS last FROM t ASOF JOIN u MATCH_CONDITION (t.s > u.s);
-- a time that fails on rows
SELECT t.k, u.c FROM t ASOF LEFT JOIN u MATCH_CONDITION (10 / t.a >= u.a) ON t.k = u.k;
