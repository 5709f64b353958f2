-- The tables that the queries of this folder read. Every column but those marked may be NULL.
CREATE TABLE t (k INT, a INT, b BIGINT, s VARCHAR, x DOUBLE, d DECIMAL(10, 2), f BOOLEAN, ts TIMESTAMP);
CREATE TABLE u (k INT, a INT, c BIGINT, s VARCHAR);
CREATE TABLE w (k INT NOT NULL, g INT NOT NULL, y DOUBLE NOT NULL);
CREATE TABLE l (k INT, items INT[]);
CREATE TABLE e (src INT, dst INT);
