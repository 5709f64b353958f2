-- Features: columns that make the cleaned rows comparable.
--
-- Input:  flights_clean, weather_clean.
-- Output: flight_features, weather_features (one row for each row of the input), previous_leg.

-- `hour_of_week` is a Rust function from udfs/: 0 is Monday 0:00, 167 is Sunday 23:00. So is
-- `delay_bucket`.
CREATE VIEW flight_features AS
SELECT
    flights_clean.*,
    hour_of_week(scheduled_departure) AS hour_of_week,
    -- `delay_bucket` puts the delay into one of five words, and gives NULL for what is not known.
    CASE
        WHEN cancelled THEN 'cancelled'
        ELSE COALESCE(delay_bucket(dep_delay), 'unknown')
    END AS delay_bucket
FROM flights_clean;

-- `wind_band` is another function from udfs/: calm, light, moderate, strong, gale.
CREATE VIEW weather_features AS
SELECT
    weather_clean.*,
    -- The cast makes it a division of floating-point numbers, whatever the literals are taken for.
    CAST(temp - 32 AS DOUBLE PRECISION) * 5 / 9 AS temp_c,
    wind_band(wind_speed) AS wind_band,
    CASE
        WHEN visib IS NULL THEN NULL
        WHEN visib < 1 THEN 'fog'
        WHEN visib < 3 THEN 'poor'
        WHEN visib < 10 THEN 'fair'
        ELSE 'clear'
    END AS visibility_band,
    precip > 0 AS wet
FROM weather_clean;

-- The leg that the same plane flew before: where to, and how late it was. A window function looks at
-- other rows, so this is a model of its own (a MATERIALIZED VIEW: Lotic keeps its rows and keeps them
-- right), and those who do not need it do not pay for it.
--
-- ORDER BY ends in columns that are unique for a plane and an hour. With ties LAG could answer one
-- way today and another tomorrow.
CREATE MATERIALIZED VIEW previous_leg AS
SELECT
    carrier,
    flight,
    origin,
    time_hour,
    tailnum,
    dep_delay,
    LAG(dest) OVER leg AS previous_dest,
    LAG(arr_delay) OVER leg AS previous_arr_delay,
    LAG(time_hour) OVER leg AS previous_time_hour
FROM flights_clean
WHERE tailnum IS NOT NULL AND NOT cancelled
WINDOW leg AS (PARTITION BY tailnum ORDER BY time_hour, minute, carrier, flight, origin);
