//! The choices that make a query, written down so that a failing one can be repeated and made smaller.

use crate::testing::sql_laws::Rng;

/// Numbers that a generator asks for: random ones, or those of an earlier run. Zero is the simplest choice.
#[derive(Debug)]
pub(super) struct Choices {
    random: Option<Rng>,
    given: Vec<usize>,
    /// What was chosen so far.
    pub(super) made: Vec<usize>,
}

impl Choices {
    /// Random choices that `seed` repeats.
    pub(super) fn random(seed: u64) -> Self {
        Self {
            random: Some(Rng::new(seed)),
            given: Vec::new(),
            made: Vec::new(),
        }
    }

    /// The choices of `given`, and the simplest ones once they are used up.
    pub(super) fn replay(given: Vec<usize>) -> Self {
        Self {
            random: None,
            given,
            made: Vec::new(),
        }
    }

    /// A number below `count`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        let count = count.max(1);
        let chosen = match &mut self.random {
            Some(rng) => rng.within(0..count),
            None => self.given.get(self.made.len()).copied().unwrap_or(0) % count,
        };
        self.made.push(chosen);
        chosen
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    /// One of `items`, which must not be empty.
    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// The simplest choices found in `attempts` tries for which `fails` still holds.
pub(super) fn shrink(
    mut choices: Vec<usize>,
    mut attempts: usize,
    mut fails: impl FnMut(&[usize]) -> bool,
) -> Vec<usize> {
    let mut width = choices.len().max(1);
    while width > 0 {
        let mut start = 0;
        while start < choices.len() {
            let end = (start + width).min(choices.len());
            let mut shorter = choices.clone();
            shorter.drain(start..end);
            let mut simpler = choices.clone();
            simpler[start..end].fill(0);
            let kept = [shorter, simpler].into_iter().find(|tried| {
                if attempts == 0 || *tried == choices {
                    return false;
                }
                attempts -= 1;
                fails(tried)
            });
            match kept {
                Some(tried) if tried.len() < choices.len() => choices = tried,
                Some(tried) => {
                    choices = tried;
                    start = end;
                }
                None => start = end,
            }
        }
        width /= 2;
    }
    choices
}
