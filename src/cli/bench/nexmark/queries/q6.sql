-- Average selling price of a seller: over a moving window of the last auctions' winning bids.
SELECT
    q.seller,
    avg(q.price) OVER (
        PARTITION BY q.seller ORDER BY q.date_time, q.id
        ROWS BETWEEN 10 PRECEDING AND CURRENT ROW
    ) AS avg_price
FROM (
    SELECT won.id, won.seller, won.price, won.date_time
    FROM (
        SELECT
            a.id, a.seller, b.price, b.date_time,
            row_number() OVER (PARTITION BY a.id, a.seller ORDER BY b.price DESC) AS place
        FROM auction AS a
        JOIN bid AS b ON a.id = b.auction
        WHERE b.date_time BETWEEN a.date_time AND a.expires
    ) AS won
    WHERE won.place <= 1
) AS q
