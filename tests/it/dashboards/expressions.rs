//! What a dashboard may ask of Prometheus.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use promql_parser::label::MatchOp;
use promql_parser::parser::{Expr, VectorSelector, parse};

use crate::harness::dashboards::sent;

/// Stands for `$__rate_interval`: a window that nobody writes out.
const WINDOW: (&str, Duration) = ("71s", Duration::from_secs(71));

/// What turns a counter into something that can be shown.
const OVER_TIME: &[&str] = &["rate", "irate", "increase", "changes", "resets"];

/// Not this exporter's: Prometheus makes it of every target.
const FOREIGN: &[&str] = &["up"];

/// What can be asked for.
#[derive(Default)]
pub struct Known {
    counters: BTreeSet<String>,
    others: BTreeSet<String>,
}

impl Known {
    /// The families of docs/METRICS.md and the records of the rule file.
    pub fn of_this_tree() -> Self {
        let read = |path: &str| {
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("text")
        };
        let mut known = Self::default();
        for line in read("docs/METRICS.md").lines() {
            let mut cells = line.split(" | ");
            let name = cells.next().and_then(|cell| cell.strip_prefix("| `")?.strip_suffix('`'));
            match (name, cells.next()) {
                (Some(name), Some("counter")) => known.counters.insert(name.to_owned()),
                (Some(name), _) => known.others.insert(name.to_owned()),
                (None, _) => false,
            };
        }
        let rules: serde_norway::Value =
            serde_norway::from_str(&read("manifests/chart/files/rules.yaml")).expect("YAML");
        for group in rules["groups"].as_sequence().expect("groups") {
            let rules = group["rules"].as_sequence().expect("rules").iter();
            known
                .others
                .extend(rules.filter_map(|rule| Some(rule.get("record")?.as_str()?.to_owned())));
        }
        known.others.extend(FOREIGN.iter().map(|name| (*name).to_owned()));
        assert!(known.counters.len() > 5 && known.others.len() > 50, "a document was misread");
        known
    }
}

/// A selector where it stands.
struct Selected<'a> {
    selector: &'a VectorSelector,
    range: Option<Duration>,
    function: Option<&'a str>,
}

impl Selected<'_> {
    fn name(&self) -> &str {
        self.selector.name.as_deref().unwrap_or_default()
    }

    fn has(&self, label: &str, holds: impl Fn(&MatchOp, &str) -> bool) -> bool {
        let mut matchers = self.selector.matchers.matchers.iter();
        matchers.any(|one| one.name == label && holds(&one.op, &one.value))
    }

    /// By the variable of that name, all of which is `.*`.
    fn selects_chosen(&self, label: &str) -> bool {
        self.has(label, |op, value| matches!(op, MatchOp::Re(_)) && value == ".*")
    }
}

/// What is wrong with an expression of a panel.
pub fn faults(expression: &str, of_a_node: bool, known: &Known) -> Vec<String> {
    let parsed = match parse(&sent(&expression.replace("$__rate_interval", WINDOW.0))) {
        Ok(parsed) => parsed,
        Err(error) => return vec![format!("no PromQL: {error}")],
    };
    let mut faults = Vec::new();
    let mut selected = Vec::new();
    collect(&parsed, None, &mut selected);
    for one in selected {
        let name = one.name();
        let mut demand = |holds: bool, fault: &str| {
            if !holds {
                faults.push(format!("{name} {fault}"));
            }
        };
        let over_time = one.function.is_some_and(|function| OVER_TIME.contains(&function));
        let counter = known.counters.contains(name);
        demand(counter || known.others.contains(name), "is served and recorded by nobody");
        demand(!counter || over_time, "is a counter, shown without its rate or increase");
        demand(one.range.is_none_or(|range| range == WINDOW.1), "is not over $__rate_interval");
        demand(one.selects_chosen("cluster"), "is not of the chosen cluster");
        demand(!of_a_node || one.selects_chosen("node"), "is not of the chosen node");
        // Others on the same node serve these as well.
        let shared = name.starts_with("process_") || FOREIGN.contains(&name);
        demand(!shared || one.has("job", |_, value| value == "hugetlb-exporter"), "is of any job");
    }
    faults
}

/// What is wrong with what a variable asks the values of.
pub fn of_a_selector(selector: &str, known: &Known) -> Vec<String> {
    match parse(&sent(selector)) {
        Ok(Expr::VectorSelector(found)) => {
            let name = found.name.unwrap_or_default();
            let there = known.counters.contains(&name) || known.others.contains(&name);
            if there {
                Vec::new()
            } else {
                vec![format!("{name} is served and recorded by nobody")]
            }
        }
        Ok(_) => vec![format!("no selector: {selector}")],
        Err(error) => vec![format!("no PromQL: {error}")],
    }
}

/// Every selector in an expression, with the function that it is an argument of.
fn collect<'a>(expression: &'a Expr, function: Option<&'a str>, found: &mut Vec<Selected<'a>>) {
    match expression {
        Expr::VectorSelector(selector) => found.push(Selected { selector, range: None, function }),
        Expr::MatrixSelector(matrix) => {
            found.push(Selected { selector: &matrix.vs, range: Some(matrix.range), function });
        }
        Expr::Call(call) => {
            for argument in &call.args.args {
                collect(argument, Some(call.func.name), found);
            }
        }
        Expr::Aggregate(aggregate) => {
            collect(&aggregate.expr, None, found);
            if let Some(parameter) = &aggregate.param {
                collect(parameter, None, found);
            }
        }
        Expr::Binary(binary) => {
            collect(&binary.lhs, None, found);
            collect(&binary.rhs, None, found);
        }
        Expr::Paren(paren) => collect(&paren.expr, function, found),
        Expr::Subquery(subquery) => collect(&subquery.expr, function, found),
        Expr::Unary(unary) => collect(&unary.expr, None, found),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
    }
}
