-- Windows of processing time: bids of somebody in ten seconds of the machine's clock, which the stream
-- carries as p_time, set as the bids are sent.
SELECT bidder, count(*) AS bid_count, window_start AS starttime, window_end AS endtime
FROM TUMBLE(bid, p_time, INTERVAL '10' SECOND)
GROUP BY bidder, window_start, window_end
