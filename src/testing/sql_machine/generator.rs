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
    Generator::new(choices).statement()
}

/// The parts of a query that rows are chosen by.
#[derive(Debug)]
pub(super) struct Parted {
    /// What follows FROM.
    pub(super) from: String,
    /// A truth value over it.
    pub(super) test: String,
    /// Columns with their names.
    pub(super) columns: Vec<String>,
}

/// Random parts of a query.
pub(super) fn parted(choices: &mut Choices) -> Parted {
    let mut generator = Generator::new(choices);
    let (from, scope) = generator.from(2);
    let test = generator.value(&scope, Kind::Bool, 2);
    let kinds = generator.some_kinds();
    let columns = kinds.iter().enumerate().map(|(at, kind)| {
        let value = generator.value(&scope, *kind, 1);
        format!("{value} AS c{at}")
    });
    Parted {
        columns: columns.collect(),
        from,
        test,
    }
}

impl<'a> Generator<'a> {
    fn new(choices: &'a mut Choices) -> Self {
        Self {
            choices,
            named: Vec::new(),
            names: 0,
            relations: 0,
        }
    }
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
