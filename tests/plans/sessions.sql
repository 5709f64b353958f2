-- sessions of a key
SELECT k, a, ts, window_start, window_end FROM SESSION(t, ts, INTERVAL '30 seconds', k);
-- sessions of everything, a step as long as the gap apart
SELECT ts, window_start, window_end FROM SESSION(t, ts, INTERVAL '20 seconds');
-- sessions longer than time
SELECT ts, window_start, window_end FROM SESSION(t, ts, INTERVAL '1000000 days', k, f);
-- counted sessions
SELECT k, window_start, window_end, count(*) AS n, sum(b) AS b FROM SESSION(t, ts, INTERVAL '25 seconds', k) GROUP BY k, window_start, window_end;
-- one bound of sessions
SELECT DISTINCT s, window_start FROM SESSION(t, ts, INTERVAL '25 seconds', s);
-- sessions of dates
SELECT k, window_start, window_end FROM SESSION((SELECT k, CAST(ts AS DATE) AS day FROM t), day, INTERVAL '1 day', k);
-- sessions by times that are computed
SELECT k, window_end FROM SESSION(t, ts + INTERVAL '5 seconds', INTERVAL '30 seconds', k % 2);
-- sessions of rows that pass
SELECT k, a, window_start FROM SESSION((SELECT k, a, ts FROM t WHERE a > 0), ts, INTERVAL '45 seconds', k) WHERE k < 3;
-- sessions of sessions
SELECT window_start, window_end, n FROM SESSION((SELECT k, window_start AS began, count(*) AS n FROM SESSION(t, ts, INTERVAL '25 seconds', k) GROUP BY k, window_start), began, INTERVAL '30 seconds');
-- sessions joined
SELECT x.k, x.a, y.c, x.window_start FROM SESSION(t, ts, INTERVAL '30 seconds', k) AS x JOIN u AS y ON x.k = y.k;
