//! What writes a random query: its choices, the names that it has given, and the relations that WITH has named.

use super::choices::Choices;
use super::kinds::{KINDS, Kind};

/// A column that an expression may name.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// A relation that WITH has named: its name and the types of its columns `c0`, `c1` and so on.
pub(super) type Named = (String, Vec<Kind>);

/// The most relations of a query, so that none takes seconds.
const MOST_RELATIONS: usize = 9;

/// Writes one query; names are numbered so that none comes twice.
pub(super) struct Generator<'a> {
    pub(super) choices: &'a mut Choices,
    pub(super) named: Vec<Named>,
    names: usize,
    relations: usize,
}

/// A random query.
pub(super) fn query(choices: &mut Choices) -> String {
    Generator {
        choices,
        named: Vec::new(),
        names: 0,
        relations: 0,
    }
    .statement()
}

impl Generator<'_> {
    /// A name that nothing else has.
    pub(super) fn name(&mut self) -> String {
        self.names += 1;
        format!("q{}", self.names)
    }

    /// Counts one more relation; whether it is too many for a large one.
    pub(super) fn is_full(&mut self) -> bool {
        self.relations += 1;
        self.relations > MOST_RELATIONS
    }

    pub(super) fn kind(&mut self) -> Kind {
        *self.choices.pick(&KINDS)
    }

    pub(super) fn some_kinds(&mut self) -> Vec<Kind> {
        (0..=self.choices.below(3)).map(|_| self.kind()).collect()
    }
}

/// The columns `c0`, `c1` and so on of relation `name`.
pub(super) fn columns_of(name: &str, kinds: &[Kind]) -> Vec<Column> {
    let columns = kinds.iter().enumerate().map(|(at, kind)| Column {
        name: format!("{name}.c{at}"),
        kind: *kind,
    });
    columns.collect()
}
