-- Log to files: every bid with the day and the minute that its file would be called by. The model is
-- maintained as all others are; no file is written.
SELECT
    auction, bidder, price, date_time, extra,
    to_char(date_time, 'YYYY-MM-DD') AS dt, to_char(date_time, 'HH24:MI') AS hm
FROM bid
