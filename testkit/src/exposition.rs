//! An exposition taken apart, by other code than that which wrote it.

use std::collections::{BTreeMap, HashSet};

/// Samples by family and labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposition {
    samples: Vec<Sample>,
}

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its family.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl Exposition {
    /// Takes the text format apart.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Self {
            samples: lines
                .map(|line| parse_sample(line).unwrap_or_else(|| panic!("no sample: {line}")))
                .collect(),
        }
    }

    /// The samples of a family that have these labels.
    pub fn with<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| {
            sample.name == name
                && labels.iter().all(|(label, value)| {
                    sample.labels.get(*label).is_some_and(|found| found == value)
                })
        })
    }

    /// The value of the one sample of a family that has these labels.
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut samples = self.with(name, labels);
        let value = samples.next()?.value;
        assert!(samples.next().is_none(), "several {name} have {labels:?}");
        Some(value)
    }

    /// All samples.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

/// What Prometheus demands of any exposition: a family in one piece, after its HELP and TYPE, and no series twice.
pub fn check(name: &str, text: &str) {
    let (mut families, mut series) = (HashSet::new(), HashSet::new());
    let mut family = "";
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().expect("a name");
            assert!(families.insert(family), "{name}: {family} comes twice");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let counter = kind.strip_prefix(family).expect("TYPE follows HELP") == " counter";
            assert_eq!(counter, family.ends_with("_total"), "{name}: {line}");
        } else {
            let (labelled, value) = line.rsplit_once(' ').expect("a sample");
            assert_eq!(labelled.split('{').next(), Some(family), "{name}: {line}");
            assert!(series.insert(labelled), "{name}: {labelled} comes twice");
            assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{name}: {line}");
        }
    }
    assert!(!series.is_empty(), "{name} shows nothing");
}

fn parse_sample(line: &str) -> Option<Sample> {
    let (name, rest) = match line.find(['{', ' '])? {
        at if line[at..].starts_with('{') => (&line[..at], &line[at + 1..]),
        at => {
            return Some(Sample {
                name: line[..at].into(),
                labels: BTreeMap::new(),
                value: line[at + 1..].parse().ok()?,
            });
        }
    };
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    while !rest.starts_with('}') {
        let (label, after) = rest.trim_start_matches(',').split_once("=\"")?;
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.insert(label.to_owned(), value);
        rest = &after[end + 1..];
    }
    Some(Sample { name: name.to_owned(), labels, value: rest.strip_prefix("} ")?.parse().ok()? })
}
