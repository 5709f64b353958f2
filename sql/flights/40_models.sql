-- Models: the questions people ask, answered all the time.
--
-- Input:  flight_context, previous_leg, weather_clean.
-- Output: carrier_by_day, delay_by_weather, airports_rollup, worst_routes, delay_by_previous_leg,
--         weather_window; and the plain view weather_last_window.
--
-- Models may read models: a new flight goes through flight_context into all of these in one step, so
-- that a reader never sees one of them ahead of another.

-- count(*) counts rows, count(x) counts rows where x is known: the flights that really left.
-- NULLIF turns a divisor of zero into NULL, and with it the whole quotient.
CREATE MATERIALIZED VIEW carrier_by_day AS
SELECT
    carrier,
    airline,
    CAST(scheduled_departure AS DATE) AS flight_day,
    count(*) AS flights,
    count(*) FILTER (WHERE cancelled) AS cancelled,
    round(avg(dep_delay), 2) AS avg_dep_delay,
    max(dep_delay) AS worst_dep_delay,
    round(
        CAST(count(*) FILTER (WHERE dep_delay <= 15) AS DOUBLE PRECISION) / NULLIF(count(dep_delay), 0),
        4
    ) AS share_on_time
FROM flight_context
GROUP BY carrier, airline, CAST(scheduled_departure AS DATE);

-- Flights without weather make the group where the bands are NULL: GROUP BY takes NULLs as equal.
CREATE MATERIALIZED VIEW delay_by_weather AS
SELECT
    wind_band,
    visibility_band,
    wet,
    count(*) AS flights,
    count(*) FILTER (WHERE cancelled) AS cancelled,
    round(avg(dep_delay), 2) AS avg_dep_delay,
    count(*) FILTER (WHERE dep_delay > 60) AS over_an_hour,
    count(DISTINCT tailnum) AS planes
FROM flight_context
GROUP BY wind_band, visibility_band, wet;

-- ROLLUP adds the sums of the sums: a row for each route, for each origin (dest is NULL), and one for
-- everything. GROUPING tells such a NULL from a missing value: 0 a route, 1 an origin, 3 everything.
CREATE MATERIALIZED VIEW airports_rollup AS
SELECT
    origin,
    dest,
    GROUPING(origin, dest) AS level,
    count(*) AS flights,
    count(*) FILTER (WHERE cancelled) AS cancelled,
    round(avg(arr_delay), 2) AS avg_arr_delay,
    sum(distance) AS miles
FROM flight_context
GROUP BY ROLLUP (origin, dest);

-- The ten routes with the worst average delay, among those flown a hundred times or more. ORDER BY
-- ends in the key of the route, so that it is always clear which ten.
CREATE MATERIALIZED VIEW worst_routes AS
SELECT
    origin,
    dest,
    count(dep_delay) AS flown,
    round(avg(dep_delay), 2) AS avg_dep_delay,
    max(dep_delay) AS worst_dep_delay
FROM flight_context
GROUP BY origin, dest
HAVING count(dep_delay) >= 100
ORDER BY avg_dep_delay DESC, origin, dest
LIMIT 10;

-- Does lateness travel with the plane? Only where the plane's previous leg was within twelve hours.
CREATE MATERIALIZED VIEW delay_by_previous_leg AS
SELECT
    CASE
        WHEN previous_arr_delay IS NULL THEN 'unknown'
        WHEN previous_arr_delay <= 0 THEN 'on time'
        WHEN previous_arr_delay <= 60 THEN 'up to an hour'
        ELSE 'over an hour'
    END AS previous_leg_was,
    count(*) AS flights,
    round(avg(dep_delay), 2) AS avg_dep_delay
FROM previous_leg
WHERE time_hour - previous_time_hour <= INTERVAL '12' HOUR
GROUP BY 1;

-- HOP puts each hour into all six-hour windows that hold it; a new window starts every hour. Its
-- arguments: relation, time column, step from window to window, length of a window. It adds the
-- columns window_start and window_end (the first moment after the window).
--
-- Averages of minutes are rounded above: they are quotients of whole numbers, the same in every engine.
-- Temperatures are not whole, and an engine whose sums depend on the order of the rows may land on
-- either side of a half. Lotic's sums do not, yet leave rounding to the reader here.
CREATE MATERIALIZED VIEW weather_window AS
SELECT
    origin,
    window_start,
    window_end,
    count(*) AS hours,
    avg(temp) AS avg_temp,
    max(wind_speed) AS max_wind_speed,
    sum(precip) AS precip,
    min(visib) AS min_visib
FROM HOP(weather_clean, time_hour, INTERVAL '1' HOUR, INTERVAL '6' HOUR)
GROUP BY origin, window_start, window_end;

-- The last window that is complete: one row an airport. A plain view over a model costs nothing until
-- somebody asks.
CREATE VIEW weather_last_window AS
SELECT *
FROM weather_window
WHERE window_end = (SELECT max(time_hour) + INTERVAL '1' HOUR FROM weather_clean);
