//! What an expression of a rule is made of.

use std::collections::BTreeSet;

use promql_parser::label::MatchOp;
use promql_parser::parser::{Expr, LabelModifier};

/// What an expression is made of, itself included.
pub(super) fn parts(expr: &Expr) -> Vec<&Expr> {
    let within: Vec<&Expr> = match expr {
        Expr::Aggregate(of) => vec![&of.expr],
        Expr::Unary(of) => vec![&of.expr],
        Expr::Binary(of) => vec![&of.lhs, &of.rhs],
        Expr::Paren(of) => vec![&of.expr],
        Expr::Subquery(of) => vec![&of.expr],
        Expr::Call(of) => of.args.args.iter().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    };
    within.into_iter().flat_map(parts).chain([expr]).collect()
}

/// The same without what it is silent at.
pub(super) fn parts_that_fire(expr: &Expr) -> Vec<&Expr> {
    let silenced = parts(expr).into_iter().filter_map(|part| match part {
        Expr::Binary(of) if of.op.to_string() == "unless" => Some(parts(&of.rhs)),
        _ => None,
    });
    let silenced: Vec<*const Expr> = silenced.flatten().map(std::ptr::from_ref).collect();
    let mut all = parts(expr);
    all.retain(|part| !silenced.contains(&std::ptr::from_ref(*part)));
    all
}

/// The metrics an expression names, each with the finding it asks for.
pub(super) fn selected(parts: Vec<&Expr>) -> Vec<(String, Option<String>)> {
    let selectors = parts.into_iter().filter_map(|part| match part {
        Expr::VectorSelector(selector) => Some(selector),
        Expr::MatrixSelector(matrix) => Some(&matrix.vs),
        _ => None,
    });
    let named = selectors.map(|selector| {
        let mut matchers = selector.matchers.matchers.iter();
        let finding = matchers
            .find(|matcher| matcher.name == "finding" && matcher.op == MatchOp::Equal)
            .map(|matcher| matcher.value.clone());
        (selector.name.clone().expect("a metric's name"), finding)
    });
    named.collect()
}

/// The labels that a result has; none if it has all that the series have.
pub(super) fn kept(expr: &Expr) -> Option<BTreeSet<String>> {
    match expr {
        Expr::Aggregate(of) => match &of.modifier {
            Some(LabelModifier::Include(labels)) => Some(labels.labels.iter().cloned().collect()),
            Some(LabelModifier::Exclude(_)) => None,
            None => Some(BTreeSet::new()),
        },
        Expr::Binary(of) if of.op.to_string() == "or" => {
            Some(kept(&of.lhs)?.union(&kept(&of.rhs)?).cloned().collect())
        }
        // What is many, and what is asked for, stands on the left in this file.
        Expr::Binary(of) => kept(&of.lhs),
        Expr::Paren(of) => kept(&of.expr),
        Expr::Subquery(of) => kept(&of.expr),
        Expr::Call(of) => of.args.args.first().and_then(|argument| kept(argument)),
        _ => None,
    }
}
