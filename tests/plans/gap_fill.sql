-- every strategy
SELECT k, ts, INTERPOLATE(a) AS a, LOCF(s) AS s, KEEPNULL(b) AS b, INTERPOLATE(x) AS x FROM GAP_FILL((SELECT k, a, b, s, x, date_bin(INTERVAL '1 day', ts) AS ts FROM t), ts, INTERVAL '1 day', k);
-- columns without a strategy
SELECT * FROM GAP_FILL((SELECT k, a, date_bin(INTERVAL '1 day', ts) AS ts FROM t), ts, INTERVAL '1 day') AS g;
-- grouped
SELECT k, count(*) AS n, sum(LOCF(a)) AS a FROM GAP_FILL((SELECT k, a, date_bin(INTERVAL '1 day', ts) AS ts FROM t), ts, INTERVAL '1 day', k) GROUP BY k;
