-- Pass through: what it costs to move every bid from the log into a model.
SELECT auction, bidder, price, date_time, extra FROM bid
