-- Fusion: one row for each flight, with all that the five sources know about it.
--
-- Input:  flight_features (flights), weather_features (weather), planes_clean (planes), airports, airlines.
-- Output: flight_context, exactly one row for each row of flights.
--
-- Why exactly one: every join is a LEFT JOIN, so no flight is lost when the other side knows nothing,
-- and every join is on a key of the other side (weather's primary key, a tail number, an airport's
-- code, a carrier's code), so no flight is doubled.

CREATE MATERIALIZED VIEW flight_context AS
SELECT
    -- who and when
    f.carrier,
    l.name AS airline,
    f.flight,
    f.tailnum,
    f.scheduled_departure,
    f.time_hour,
    f.hour_of_week,
    -- from where to where; some destinations (Puerto Rico) are not in the list of airports
    f.origin,
    o.name AS origin_name,
    f.dest,
    d.name AS dest_name,
    d.lat AS dest_lat,
    d.lon AS dest_lon,
    d.alt AS dest_alt,
    f.distance,
    -- what happened
    f.cancelled,
    f.dep_delay,
    f.arr_delay,
    f.air_time,
    f.delay_bucket,
    -- the plane; one flight in six was flown by a plane that the register does not have
    p.manufacturer,
    p.model,
    p.seats,
    p.engines,
    -- NULL where the year of building is missing or later than the flight
    CASE WHEN p.built <= f.year THEN f.year - p.built END AS plane_age,
    -- the weather at the origin in the hour of the scheduled departure
    w.temp_c,
    w.humid,
    w.wind_speed,
    w.wind_band,
    w.visib,
    w.visibility_band,
    w.precip,
    w.wet,
    w.pressure,
    w.origin IS NOT NULL AS weather_known
FROM flight_features AS f
LEFT JOIN weather_features AS w ON w.origin = f.origin AND w.time_hour = f.time_hour
LEFT JOIN planes_clean AS p ON p.tailnum = f.tailnum
LEFT JOIN airports AS o ON o.faa = f.origin
LEFT JOIN airports AS d ON d.faa = f.dest
LEFT JOIN airlines AS l ON l.carrier = f.carrier;
