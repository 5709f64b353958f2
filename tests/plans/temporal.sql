-- rows of the last minute
SELECT k, a, ts FROM t WHERE ts > now() - INTERVAL '40 seconds';
-- rows up to a moment
SELECT k, ts FROM t WHERE ts >= now();
-- rows from a moment on
SELECT k, ts FROM t WHERE ts <= now();
-- rows from behind a moment on
SELECT k, ts FROM t WHERE now() - INTERVAL '13 seconds' > ts;
-- rows between two moments
SELECT k, ts FROM t WHERE ts BETWEEN now() - INTERVAL '26 seconds' AND now();
-- a moment between two values of a row
SELECT k, ts FROM t WHERE now() BETWEEN ts - INTERVAL '1 minute' AND ts + INTERVAL '25 seconds';
-- never
SELECT k, ts FROM t WHERE ts > now() AND ts < now() - INTERVAL '1 second';
-- beside other conditions
SELECT k, a FROM t WHERE f AND ts > now() - INTERVAL '30 seconds' AND a > 0;
-- counted
SELECT k, count(*) AS n, sum(b) AS b FROM t WHERE ts > now() - INTERVAL '1 minute' GROUP BY k;
-- joined
SELECT t.k, u.c FROM t JOIN u ON t.k = u.k WHERE t.ts >= now() - INTERVAL '30 seconds' AND u.c > 1;
-- the first rows of a while
SELECT k, a, ts FROM t WHERE ts > now() - INTERVAL '50 seconds' ORDER BY a, k LIMIT 3;
-- groups that have been silent
SELECT k, max(ts) AS last FROM t GROUP BY k HAVING max(ts) < now() - INTERVAL '30 seconds';
-- by the day
SELECT k, ts FROM t WHERE CAST(ts AS DATE) <= now() - INTERVAL '1 minute';
-- by milliseconds
SELECT k, ts FROM t WHERE CAST(ts AS TIMESTAMP(3)) > now() - INTERVAL '39999999 microseconds';
-- without a row of the last while
SELECT k FROM w WHERE NOT EXISTS (SELECT 1 FROM t WHERE t.k = w.k AND t.ts > now() - INTERVAL '30 seconds');
-- sessions of the last while
SELECT k, window_start, window_end FROM SESSION((SELECT k, ts FROM t WHERE ts > now() - INTERVAL '70 seconds'), ts, INTERVAL '30 seconds', k);
