-- Cleaning: what can't be true is taken out of the way, and kept where it can be seen.
--
-- Input:  flights, weather, planes.
-- Output: flights_clean, weather_clean, planes_clean with a row for every row of the input;
--         flights_impossible, weather_impossible with the rows that were mended and the reason.
--
-- A VIEW holds no rows: it is a name for a query, and models that read it are computed through it.

-- One rule a line, the first that fits is the reason. A missing value makes a comparison NULL, which
-- CASE does not take for true: so a cancelled flight, which has no times, breaks no rule.
CREATE VIEW flights_checked AS
SELECT
    flights.*,
    CASE
        WHEN month NOT BETWEEN 1 AND 12 OR day NOT BETWEEN 1 AND 31
            OR hour NOT BETWEEN 0 AND 23 OR minute NOT BETWEEN 0 AND 59
            THEN 'no such scheduled time'
        WHEN dep_time NOT BETWEEN 0 AND 2400 OR dep_time % 100 > 59
            THEN 'no such departure time'
        WHEN arr_time NOT BETWEEN 0 AND 2400 OR arr_time % 100 > 59
            THEN 'no such arrival time'
        WHEN dep_time IS NULL AND (arr_time IS NOT NULL OR air_time IS NOT NULL)
            THEN 'landed without taking off'
        WHEN distance <= 0
            THEN 'no such distance'
        WHEN air_time <= 0
            THEN 'no such time in the air'
        -- Minutes since midnight, scheduled and real, must differ by the delay, give or take whole
        -- days. The 2880 keeps the left side of % positive.
        WHEN (hour * 60 + minute + dep_delay + 2880) % 1440
            <> ((dep_time / 100) * 60 + dep_time % 100) % 1440
            THEN 'the delay contradicts the clock'
        -- Faster than 700 miles an hour. Multiplied out, so that nothing is ever divided by zero.
        WHEN distance * 60 > air_time * 700
            THEN 'too fast for an airliner'
    END AS problem
FROM flights;

CREATE VIEW flights_impossible AS
SELECT * FROM flights_checked WHERE problem IS NOT NULL;

-- The flight took place, so its row stays. But where one measured value contradicts another nobody
-- knows which is wrong, so none of them is used.
CREATE VIEW flights_clean AS
SELECT
    carrier,
    flight,
    origin,
    dest,
    -- Blanks around a tail number would break the join with planes; an empty one names no plane.
    NULLIF(TRIM(tailnum), '') AS tailnum,
    year,
    -- Five numbers become one local time that can be compared, cut and shown.
    CASE
        WHEN problem = 'no such scheduled time' THEN NULL
        ELSE CAST(make_date(year, month, day) + make_time(hour, minute, 0) AS TIMESTAMP)
    END AS scheduled_departure,
    time_hour,
    minute,
    distance,
    dep_time IS NULL AS cancelled,
    CASE WHEN problem IS NULL THEN dep_delay END AS dep_delay,
    CASE WHEN problem IS NULL THEN arr_delay END AS arr_delay,
    CASE WHEN problem IS NULL THEN air_time END AS air_time
FROM flights_checked;

-- Weather values stand for themselves: a wrong wind says nothing about the temperature. Each column
-- has its own bounds (generous ones for New York), and only what is outside becomes NULL.
CREATE VIEW weather_clean AS
SELECT
    origin,
    time_hour,
    CASE WHEN temp BETWEEN -30 AND 120 THEN temp END AS temp,
    CASE WHEN dewp BETWEEN -60 AND 100 THEN dewp END AS dewp,
    CASE WHEN humid BETWEEN 0 AND 100 THEN humid END AS humid,
    CASE WHEN wind_dir BETWEEN 0 AND 360 THEN wind_dir END AS wind_dir,
    CASE WHEN wind_speed BETWEEN 0 AND 120 THEN wind_speed END AS wind_speed,
    CASE WHEN wind_gust BETWEEN 0 AND 160 THEN wind_gust END AS wind_gust,
    CASE WHEN precip BETWEEN 0 AND 10 THEN precip END AS precip,
    CASE WHEN pressure BETWEEN 900 AND 1100 THEN pressure END AS pressure,
    CASE WHEN visib BETWEEN 0 AND 10 THEN visib END AS visib
FROM weather;

-- The same bounds read the other way round. On 12 February 2013 Newark reported a wind of 1,048
-- miles an hour; that is the row to expect here.
CREATE VIEW weather_impossible AS
SELECT *
FROM weather
WHERE temp NOT BETWEEN -30 AND 120
    OR dewp NOT BETWEEN -60 AND 100
    OR humid NOT BETWEEN 0 AND 100
    OR wind_dir NOT BETWEEN 0 AND 360
    OR wind_speed NOT BETWEEN 0 AND 120
    OR wind_gust NOT BETWEEN 0 AND 160
    OR precip NOT BETWEEN 0 AND 10
    OR pressure NOT BETWEEN 900 AND 1100
    OR visib NOT BETWEEN 0 AND 10;

-- A plane's year is when it was built; the register has gaps. `year` and `type` get names that still
-- say what they are once they stand beside the columns of a flight.
CREATE VIEW planes_clean AS
SELECT
    tailnum,
    CASE WHEN year BETWEEN 1903 AND 2013 THEN year END AS built,
    type AS plane_type,
    manufacturer,
    model,
    CASE WHEN seats > 0 THEN seats END AS seats,
    CASE WHEN engines > 0 THEN engines END AS engines
FROM planes;
