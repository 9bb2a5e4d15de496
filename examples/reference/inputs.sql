-- The input tables, every column as text so that a value can be handed on exactly as it was written.
-- "NA" and the empty field are null. $data is the folder of the CSV files.
CREATE VIEW flight AS
SELECT
    origin,
    dest,
    nullif(tailnum, 'NA') AS tailnum,
    nullif(dep_time, 'NA') AS dep_time,
    CAST(nullif(dep_delay, 'NA') AS BIGINT) AS dep_delay,
    CAST(strptime(time_hour, '%Y-%m-%dT%H:%M:%SZ') AS TIMESTAMP) AS hour,
    -- Event time: the scheduled departure. `time_hour` is its hour in UTC, `minute` its minute.
    CAST(strptime(time_hour, '%Y-%m-%dT%H:%M:%SZ') AS TIMESTAMP) + to_minutes(CAST(minute AS BIGINT)) AS scheduled
FROM read_csv('$data/flights-2013-01.csv', header = true, all_varchar = true, nullstr = '');

-- One row for an airport and an hour: of several the last in the file.
CREATE VIEW weather AS
SELECT * EXCLUDE (line) FROM (
    SELECT
        origin,
        CAST(strptime(time_hour, '%Y-%m-%dT%H:%M:%SZ') AS TIMESTAMP) AS hour,
        nullif(temp, 'NA') AS temp,
        nullif(wind_speed, 'NA') AS wind_speed,
        nullif(precip, 'NA') AS precip,
        nullif(visib, 'NA') AS visib,
        row_number() OVER () AS line
    FROM read_csv('$data/weather-2013-01.csv', header = true, all_varchar = true, nullstr = '', parallel = false)
)
QUALIFY row_number() OVER (PARTITION BY origin, hour ORDER BY line DESC) = 1;

CREATE VIEW plane AS
SELECT tailnum, nullif(manufacturer, 'NA') AS manufacturer, nullif(model, 'NA') AS model
FROM read_csv('$data/planes.csv', header = true, all_varchar = true, nullstr = '');

CREATE MACRO iso(t) AS strftime(t, '%Y-%m-%dT%H:%M:%SZ');

-- `numerator / denominator` (denominator > 0) with two decimals, halves away from zero, in integers only.
CREATE MACRO hundredths(numerator, denominator) AS
    (200 * abs(numerator) + denominator) // (2 * denominator);
CREATE MACRO decimal2(numerator, denominator) AS
    CASE WHEN numerator < 0 AND hundredths(numerator, denominator) > 0 THEN '-' ELSE '' END
    || CAST(hundredths(numerator, denominator) // 100 AS VARCHAR) || '.'
    || lpad(CAST(hundredths(numerator, denominator) % 100 AS VARCHAR), 2, '0');
