//! What one batch run of a model's query, or of a recomputed part, may take.

use std::fmt::{Display, Formatter, Result as FmtResult};
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};

/// How the exchange names its reservations. It counts the text buffers that its batches share once a batch, up to a
/// hundred times what they take, and holds little: what is behind it is bounded by its channels.
const EXCHANGE: &str = "RepartitionExec";

/// A budget of bytes for all but the exchange. Whoever comes first gets them.
#[derive(Debug)]
pub struct ModelMemory {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
}

impl ModelMemory {
    /// A budget of `limit_bytes`, of which nothing is used.
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            used_bytes: AtomicUsize::new(0),
        }
    }
}

impl Display for ModelMemory {
    fn fmt(&self, f: &mut Formatter<'_>) -> FmtResult {
        write!(f, "model memory of {} bytes", self.limit_bytes)
    }
}

fn is_counted(reservation: &MemoryReservation) -> bool {
    !reservation.consumer().name().starts_with(EXCHANGE)
}

impl MemoryPool for ModelMemory {
    fn name(&self) -> &str {
        "model memory"
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        if is_counted(reservation) {
            self.used_bytes.fetch_add(additional, Ordering::Relaxed);
        }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        if is_counted(reservation) {
            self.used_bytes.fetch_sub(shrink, Ordering::Relaxed);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if !is_counted(reservation) {
            return Ok(());
        }
        let within = |used: usize| {
            used.checked_add(additional)
                .filter(|sum| *sum <= self.limit_bytes)
        };
        self.used_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, within)
            .map(drop)
            .map_err(|_| {
                // this very kind: some operators give back what they hold when they see it
                DataFusionError::ResourcesExhausted(format!(
                    "the model's query needs more than its {} MiB of memory",
                    self.limit_bytes >> 20
                ))
            })
    }

    fn reserved(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::execution::memory_pool::MemoryConsumer;

    use super::*;

    #[test]
    fn all_share_the_budget_but_the_exchange() {
        let pool: Arc<dyn MemoryPool> = Arc::new(ModelMemory::new(100));
        let join = MemoryConsumer::new("HashJoinInput[0]").register(&pool);
        let exchange = MemoryConsumer::new("RepartitionExec[1]").register(&pool);
        exchange.try_grow(1_000).expect("not counted");
        join.try_grow(100).expect("fits to the byte");
        let sort = MemoryConsumer::new("ExternalSorter[0]").register(&pool);
        sort.try_grow(1).expect_err("nothing is left");
        drop(join);
        sort.try_grow(100).expect("given back");
        assert_eq!(pool.reserved(), 100);
    }
}
