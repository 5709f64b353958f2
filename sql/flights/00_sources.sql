-- Sources: where the rows come from.
--
-- Input:  five files in testdata/flights/, each in a form of its own.
-- Output: the relations flights, weather, planes, airports, airlines; nothing is changed yet.
--
-- Files of a folder are applied in the order of their names: sources (00), cleaning (10),
-- features (20), fusion (30), models (40).
--
-- `path` is seen from the working directory (start Lotic in the root of the repository). A path that
-- begins with ./ or ../ would be seen from the folder of this file.

-- A TABLE with a connector is filled from its file once and then belongs to you: INSERT, UPDATE and
-- DELETE change it, and every model below follows. Flights have no primary key: a table without one
-- keeps every row, equal rows too. `null = 'NA'` says how this file spells a missing value.
CREATE TABLE flights (
    year           INT,          -- of the scheduled departure, New York time, as are the next four
    month          INT,
    day            INT,
    dep_time       INT,          -- clock times are HHMM read as a number: 517 is 5:17, 2400 is midnight
    sched_dep_time INT,
    dep_delay      INT,          -- minutes, negative when early; missing when cancelled
    arr_time       INT,          -- in the time of the destination
    sched_arr_time INT,
    arr_delay      INT,
    carrier        VARCHAR,
    flight         INT,
    tailnum        VARCHAR,      -- names the plane
    origin         VARCHAR,
    dest           VARCHAR,
    air_time       INT,          -- minutes
    distance       INT,          -- miles
    hour           INT,          -- of the scheduled departure
    minute         INT,
    time_hour      TIMESTAMP     -- the scheduled departure, cut to the hour, in UTC
) WITH (
    connector = 'file',
    path      = 'testdata/flights/flights.csv.gz',
    format    = 'csv',
    null      = 'NA'
);

-- Hourly weather at the three airports. The key is the place and the hour in UTC, and it is worth a
-- look why: by local time the night of 3 November has the hour from 1 to 2 twice, so year, month, day
-- and hour would not do. The key is what lets `UPDATE weather ... WHERE origin = 'JFK' AND
-- time_hour = ...` find its row at once, and what promises the fusion at most one match a flight.
CREATE TABLE weather (
    origin     VARCHAR,
    year       INT,
    month      INT,
    day        INT,
    hour       INT,
    temp       DOUBLE PRECISION, -- degrees Fahrenheit
    dewp       DOUBLE PRECISION, -- degrees Fahrenheit
    humid      DOUBLE PRECISION, -- percent
    wind_dir   INT,              -- degrees
    wind_speed DOUBLE PRECISION, -- miles an hour
    wind_gust  DOUBLE PRECISION, -- miles an hour
    precip     DOUBLE PRECISION, -- inches
    pressure   DOUBLE PRECISION, -- millibars
    visib      DOUBLE PRECISION, -- miles, 10 at most
    time_hour  TIMESTAMP,        -- UTC
    PRIMARY KEY (origin, time_hour)
) WITH (
    connector = 'file',
    path      = 'testdata/flights/weather.ndjson.zst',
    format    = 'ndjson'
);

-- A SOURCE is read where it lies and is not yours to change. Parquet knows its own columns, so none
-- are declared: `DESCRIBE planes` shows what was found.
CREATE SOURCE planes WITH (
    connector = 'file',
    path      = 'testdata/flights/planes.parquet',
    format    = 'parquet'
);

-- CSV has names but no types. They could be left to inference; declared, they can't surprise.
CREATE SOURCE airports (
    faa   VARCHAR,               -- the code that flights call origin and dest
    name  VARCHAR,
    lat   DOUBLE PRECISION,
    lon   DOUBLE PRECISION,
    alt   INT,                   -- feet
    tz    INT,                   -- hours from UTC
    dst   VARCHAR,
    tzone VARCHAR
) WITH (
    connector = 'file',
    path      = 'testdata/flights/airports.csv',
    format    = 'csv',
    null      = 'NA'
);

-- A table of a SQLite database.
CREATE SOURCE airlines WITH (
    connector = 'sqlite',
    path      = 'testdata/flights/airlines.db',
    table     = 'airlines'
);
