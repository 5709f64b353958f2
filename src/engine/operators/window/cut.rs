//! Which rows of a partition a change can reach.

use super::reach::{Extent, Limit, Reach, Start, Walk, Way};
use crate::state::{Ordered, Standing};

/// Changes with fewer rows than this between them are looked at together: an evaluation costs more than a row.
const SLACK: usize = 16;

/// A row that comes or goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changed<'a> {
    /// Its bytes.
    pub(super) key: &'a [u8],
    /// The part of them that it shares with its peers.
    pub(super) peers: &'a [u8],
    /// How far back it is seen by the distance ahead.
    pub(super) back: Limit<'a>,
    /// How far ahead it is seen by the distance back.
    pub(super) ahead: Limit<'a>,
}

impl<'a> Changed<'a> {
    fn start(self, extent: Extent, way: Way) -> Start<'a> {
        Start {
            peers: self.peers,
            extent,
            way,
            limit: match way {
                Way::Back => self.back,
                Way::Ahead => self.ahead,
            },
        }
    }
}

/// Rows of one partition that stand together.
#[derive(Debug)]
pub(super) struct Cut {
    /// The partition's bytes, with which every row of it begins.
    pub(super) partition: Box<[u8]>,
    /// No row of the cut stands before these bytes.
    pub(super) first: Box<[u8]>,
    /// No row of the cut stands behind these; `None`: up to the partition's end.
    pub(super) last: Option<Box<[u8]>>,
}

/// Adds to `cuts` the rows of `partition` whose values can change with the rows `changed`, which are sorted.
///
/// It makes no difference whether `rows` has the changes already. A value changes only when some row within reach
/// does, and between a row and the changed one nearest to it nothing differs: counted from that one, the row
/// stands as far away before as after.
pub(super) fn cut(
    rows: &Ordered,
    partition: &[u8],
    changed: &[Changed<'_>],
    reach: Reach,
    cuts: &mut Vec<Cut>,
) {
    let mut close = |first: &[u8], last: Option<&[u8]>| {
        cuts.push(Cut {
            partition: partition.into(),
            first: first.into(),
            last: last.map(Into::into),
        });
    };
    let mut open: Option<(&[u8], &[u8])> = None;
    for (index, row) in changed.iter().enumerate() {
        // A row sees the changes ahead of it, so the reach ahead says how far back they are seen.
        let lower = if reach.ahead == Extent::All {
            partition
        } else {
            let before = within(rows.before(row.key), partition);
            let until = open.map(|(_, last)| last);
            let start = row.start(reach.ahead, Way::Back);
            farthest(before, row.key, start, until)
        };
        let first = match open.take() {
            Some((first, last)) if lower <= last => first,
            Some((first, last)) => {
                close(first, Some(last));
                lower
            }
            None => lower,
        };
        if reach.back == Extent::All {
            close(first, None);
            return;
        }
        let behind = within(rows.behind(Some(row.key)), partition);
        let until = changed.get(index + 1).map(|next| next.key);
        let start = row.start(reach.back, Way::Ahead);
        let last = farthest(behind, row.key, start, until);
        open = Some((first, last));
    }
    if let Some((first, last)) = open {
        close(first, Some(last));
    }
}

fn within<'a>(
    rows: impl Iterator<Item = Standing<'a>>,
    partition: &[u8],
) -> impl Iterator<Item = Standing<'a>> {
    rows.take_while(move |row| row.key.starts_with(partition))
}

/// The last of `rows`, which lead away from `from`, that `start` reaches; `until` when next to nothing lies between
/// that and `until`.
fn farthest<'a>(
    rows: impl Iterator<Item = Standing<'a>>,
    from: &'a [u8],
    start: Start<'a>,
    until: Option<&'a [u8]>,
) -> &'a [u8] {
    let mut walk = Walk::new(start);
    let mut farthest = from;
    for row in rows {
        let there = until.filter(|until| match start.way {
            Way::Back => row.key <= *until,
            Way::Ahead => row.key >= *until,
        });
        if let Some(until) = there {
            return until;
        }
        if walk.within(row) > 0 {
            farthest = row.key;
        } else if walk.passed() >= SLACK {
            return farthest;
        }
    }
    until.unwrap_or(farthest)
}
