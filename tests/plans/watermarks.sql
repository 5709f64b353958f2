-- closed: counts of minutes
SELECT date_trunc('minute', ts) AS m, k, count(*) AS n, sum(v) AS v, min(v) AS least FROM s GROUP BY 1, 2;
-- closed: hopping windows
SELECT window_start, window_end, count(DISTINCT k) AS n FROM HOP(s, ts, INTERVAL '30 seconds', INTERVAL '1 minute') GROUP BY window_start, window_end;
-- counts of minutes, open ones too
SELECT window_start, max(v) AS v, string_agg(CAST(k AS TEXT), ',' ORDER BY k, v) AS ks FROM TUMBLE(s, ts, INTERVAL '1 minute') GROUP BY window_start;
-- closed: windows of two streams beside each other
SELECT a.window_start, a.n, b.m FROM (SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '1 minute') GROUP BY window_start) a JOIN (SELECT window_start, sum(w) AS m FROM TUMBLE(r, at, INTERVAL '1 minute') GROUP BY window_start) b ON a.window_start = b.window_start;
-- windows of either stream
SELECT a.window_start AS s_start, b.window_start AS r_start, a.n, b.m FROM (SELECT window_start, count(*) AS n FROM TUMBLE(s, ts, INTERVAL '1 minute') GROUP BY window_start) a FULL JOIN (SELECT window_start, sum(w) AS m FROM TUMBLE(r, at, INTERVAL '1 minute') GROUP BY window_start) b ON a.window_start = b.window_start;
-- closed: two streams in one
SELECT date_trunc('minute', ts) AS m, count(*) AS n FROM (SELECT k, ts FROM s UNION ALL SELECT k, at FROM r) q GROUP BY 1;
-- rows within ten seconds of each other
SELECT s.k, s.v, r.w FROM s JOIN r ON s.k = r.k AND s.ts BETWEEN r.at - INTERVAL '10 seconds' AND r.at + INTERVAL '10 seconds';
-- closed: rows within ten seconds of each other, or alone
SELECT s.ts, s.k, s.v, r.w FROM s LEFT JOIN r ON s.k = r.k AND s.ts BETWEEN r.at - INTERVAL '10 seconds' AND r.at + INTERVAL '10 seconds';
-- rows that find a partner
SELECT k, v, ts FROM s WHERE EXISTS (SELECT 1 FROM r WHERE r.k = s.k AND r.at = s.ts);
-- closed: pairs within ten seconds of each other
SELECT s.ts, r.at, s.v, r.w FROM s JOIN r ON s.k = r.k AND r.at BETWEEN s.ts AND s.ts + INTERVAL '10 seconds';
-- closed: rows that find none
SELECT k, v, ts FROM s WHERE NOT EXISTS (SELECT 1 FROM r WHERE r.k = s.k AND r.at = s.ts);
-- closed: sessions
SELECT k, window_start, window_end, count(*) AS n FROM SESSION(s, ts, INTERVAL '25 seconds', k) GROUP BY k, window_start, window_end;
-- sessions, open ones too
SELECT k, v, window_start, window_end FROM SESSION(s, ts, INTERVAL '15 seconds', k);
-- the two largest of each minute
SELECT window_start, k, v, r FROM (SELECT window_start, k, v, row_number() OVER (PARTITION BY window_start ORDER BY v DESC, k) AS r FROM TUMBLE(s, ts, INTERVAL '1 minute')) q WHERE r <= 2;
-- closed: the largest of each minute
SELECT window_start, k, v FROM (SELECT window_start, k, v, rank() OVER (PARTITION BY window_start ORDER BY v DESC) AS r FROM TUMBLE(s, ts, INTERVAL '1 minute')) q WHERE r = 1;
-- closed: running sums of each minute
SELECT window_start, k, v, sum(v) OVER (PARTITION BY window_start ORDER BY ts, k, v) AS running FROM TUMBLE(s, ts, INTERVAL '1 minute');
-- closed, kept: the value before
SELECT k, v, ts, lag(v) OVER (PARTITION BY k ORDER BY ts, v) AS before FROM s;
-- closed: different minutes
SELECT DISTINCT date_trunc('minute', ts) AS m, k FROM s;
-- closed: hours of minutes
SELECT date_trunc('hour', m) AS h, max(n) AS n FROM (SELECT date_trunc('minute', ts) AS m, count(*) AS n FROM s GROUP BY 1) q GROUP BY 1 HAVING max(n) > 1;
-- closed: days
SELECT CAST(ts AS DATE) AS day, count(*) AS n FROM s GROUP BY 1;
-- closed, kept: rows as they came
SELECT k, ts + INTERVAL '1 hour' AS later FROM s WHERE v > 0;
-- closed: minutes that hold back for one reader and not for the other
SELECT a.m, a.n, b.n AS other FROM (SELECT date_trunc('minute', ts) AS m, count(*) AS n FROM s GROUP BY 1) a JOIN (SELECT date_trunc('minute', ts) AS m, count(*) AS n FROM s GROUP BY 1) b ON a.m = b.m;
