//! The rows of the table: who asks for huge pages, under which limits, beside whom, and what becomes of it after.

use std::fmt;

use super::program::Program;

/// The pod's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    Zero,
    TooSmall,
    Enough,
}

/// The pod's reservation limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reservation {
    /// As kubelets before 1.29 leave it.
    Unset,
    /// As they write it since.
    Equal,
}

/// What the container does afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Ends,
    Lives,
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub program: Program,
    pub limit: Limit,
    pub reservation: Reservation,
    pub end: End,
    /// A sibling in the pod holds pages.
    pub beside: bool,
}

/// What a sibling holds.
pub const HELD: u64 = 1;

impl Row {
    /// The pod's limit, in pages.
    pub fn limit_pages(&self) -> u64 {
        let own = match self.limit {
            Limit::Zero => 0,
            Limit::TooSmall => self.program.too_few(),
            Limit::Enough => self.program.pages(),
        };
        own + self.held()
    }

    /// What its sibling holds.
    pub fn held(&self) -> u64 {
        if self.beside { HELD } else { 0 }
    }

    /// The most pages of the pool that it reserves or touches.
    pub fn most(&self) -> u64 {
        match self.reservation {
            Reservation::Unset => self.program.pages() + self.held(),
            Reservation::Equal => self.limit_pages(),
        }
    }

    /// What it has in common with others: one value of each factor, by the factor's place. Both limits are one: what is
    /// granted.
    fn values(&self) -> [u8; 4] {
        let Self { program, limit, reservation, end, beside } = *self;
        [program as u8, limit as u8 * 2 + reservation as u8, end as u8, u8::from(beside)]
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.end == End::Ends { "ends" } else { "lives on" };
        let beside = if self.beside { "beside a holder" } else { "alone" };
        write!(f, "{}, {end}, {beside}", self.kind())
    }
}

/// What of a row its line in the evidence is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind(pub Program, pub Limit, pub Reservation);

impl Row {
    pub fn kind(&self) -> Kind {
        Kind(self.program, self.limit, self.reservation)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = match self.1 {
            Limit::Zero => "limit 0",
            Limit::TooSmall => "limit too small",
            Limit::Enough => "limit enough",
        };
        let reservation = match self.2 {
            Reservation::Unset => "no reservation limit",
            Reservation::Equal => "reservation limit equal",
        };
        write!(f, "{}, {limit}, {reservation}", self.0)
    }
}

/// Every row. Under a limit of 0 nobody can hold.
pub fn product(programs: &[Program]) -> Vec<Row> {
    let mut rows = Vec::new();
    for program in programs.iter().copied() {
        for limit in [Limit::Zero, Limit::TooSmall, Limit::Enough] {
            for reservation in [Reservation::Unset, Reservation::Equal] {
                for end in [End::Ends, End::Lives] {
                    for beside in [false, true] {
                        rows.push(Row { program, limit, reservation, end, beside });
                    }
                }
            }
        }
    }
    rows.retain(|row| !row.beside || row.limit != Limit::Zero);
    rows
}

/// So many of the rows that every two values that go together in one do so here.
pub fn pairwise(rows: &[Row]) -> Vec<Row> {
    let pairs = |row: &Row| {
        let values = row.values();
        let places = (0..values.len()).flat_map(|one| (0..one).map(move |other| (one, other)));
        places.map(|(one, other)| (one, values[one], other, values[other])).collect::<Vec<_>>()
    };
    let mut open: std::collections::BTreeSet<_> = rows.iter().flat_map(pairs).collect();
    let mut chosen = Vec::new();
    while !open.is_empty() {
        let news = |row: &Row| pairs(row).iter().filter(|pair| open.contains(*pair)).count();
        let best = *rows.iter().max_by_key(|row| news(row)).expect("a row for every pair");
        for pair in pairs(&best) {
            open.remove(&pair);
        }
        chosen.push(best);
    }
    chosen
}
