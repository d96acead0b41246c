//! The dashboards hold to what dashboard-linter asks of dashboards, and ask only for what there is.
//!
//! Two of its rules are left out on purpose: that every query selects a job and an instance. The families are this
//! exporter's alone, jobs are called what people call them, and `node` says whose figures they are. Instead every
//! query selects the cluster, and the node where one is chosen; families that others serve too select the job.

mod expressions;
mod breaking;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::dashboards::{all, items, panels, queries};
use expressions::Known;

/// What Grafana 10 and newer still has.
const PANELS: &[&str] = &["timeseries", "stat", "bargauge", "table", "state-timeline", "text"];
const COLUMNS: u64 = 24;
const DATASOURCE: &str = "${datasource}";

/// What is wrong, in the order in which it was met; each says where.
#[derive(Default)]
struct Faults {
    place: String,
    found: Vec<String>,
}

impl Faults {
    fn demand(&mut self, holds: bool, fault: &str) {
        if !holds {
            self.found.push(format!("{}: {fault}", self.place));
        }
    }
}

#[test]
fn dashboards_are_sound() {
    let known = Known::of_this_tree();
    let dashboards = all();
    assert_eq!(dashboards.len(), 2);
    let mut found = Vec::new();
    for (file, dashboard) in &dashboards {
        found.extend(faults(file, dashboard, &known));
        found.extend(dead_links(file, dashboard, &dashboards));
    }
    assert!(found.is_empty(), "{} faults:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_lab_is_given_every_question_without_variables() {
    let queries = queries();
    let targets = all().iter().flat_map(|(_, dashboard)| targets_of(dashboard)).count();
    assert_eq!(queries.len(), targets);
    for query in queries {
        let parsed = promql_parser::parser::parse(&query.expression);
        assert!(parsed.is_ok() && !query.expression.contains("\"$"), "{query:?}");
    }
}

fn targets_of(dashboard: &Value) -> Vec<String> {
    let targets = panels(dashboard).into_iter().flat_map(|panel| items(&panel["targets"]));
    targets.map(|target| target["expr"].to_string()).collect()
}

/// All that is wrong with a dashboard.
fn faults(file: &str, dashboard: &Value, known: &Known) -> Vec<String> {
    let mut faults = Faults { place: file.to_owned(), ..Faults::default() };
    of_the_whole(file, dashboard, &mut faults);
    of_its_variables(file, dashboard, known, &mut faults);
    of_its_places(file, dashboard, &mut faults);
    let of_a_node = variables(dashboard).any(|variable| variable["name"] == "node");
    for panel in panels(dashboard).into_iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap_or_default();
        faults.place = format!("{file}: panel {} {title:?}", panel["id"]);
        of_a_panel(panel, &mut faults);
        for target in items(&panel["targets"]) {
            let expression = target["expr"].as_str().unwrap_or_default();
            faults.place = format!("{file}: panel {} {title:?}: {expression}", panel["id"]);
            faults.demand(is_the_variable(target), "its data source is no variable");
            faults.demand(has_text(&target["legendFormat"]), "no legend");
            for fault in expressions::faults(expression, of_a_node, known) {
                faults.demand(false, &fault);
            }
        }
    }
    faults.found
}

fn of_the_whole(file: &str, dashboard: &Value, faults: &mut Faults) {
    let uid = dashboard["uid"].as_str().unwrap_or_default();
    // Links and bookmarks go by it.
    let stable = file.strip_suffix(".json").is_some_and(|stem| uid == format!("hugetlb-{stem}"));
    faults.demand(stable && uid.len() <= 40, "its uid is not hugetlb- and the file's name");
    faults.demand(dashboard["id"].is_null(), "an id of somebody's Grafana");
    faults.demand(dashboard["editable"] == false, "it can be edited");
    faults.demand(dashboard["schemaVersion"] == 39, "not the schema of Grafana 10");
    faults.demand(has_text(&dashboard["description"]), "no description");
    let tagged = items(&dashboard["tags"]).any(|tag| tag == "hugetlb");
    faults.demand(tagged, "no tag hugetlb, by which the others link to it");
    let first = variables(dashboard).next();
    let first = first.is_some_and(|first| {
        first["name"] == "datasource"
            && first["type"] == "datasource"
            && first["query"] == "prometheus"
    });
    faults.demand(first, "the first variable is not the data source");
}

fn variables(dashboard: &Value) -> impl Iterator<Item = &Value> {
    items(&dashboard["templating"]["list"])
}

fn of_its_variables(file: &str, dashboard: &Value, known: &Known, faults: &mut Faults) {
    for variable in variables(dashboard).filter(|variable| variable["type"] == "query") {
        faults.place = format!("{file}: variable {}", variable["name"]);
        faults.demand(is_the_variable(variable), "its data source is no variable");
        faults.demand(variable["refresh"] == 2, "it is not asked anew for another time range");
        // Series of a single cluster may have no such label at all.
        let all = variable["includeAll"] == false || variable["allValue"] == ".*";
        faults.demand(all, "all of it is not .*");
        let query = variable["query"]["query"].as_str().unwrap_or_default();
        faults.demand(variable["definition"] == query, "shown otherwise than asked");
        let asked = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        match asked.and_then(|asked| asked.rsplit_once(", ")) {
            Some((selector, label)) => {
                faults.demand(variable["name"] == label, "named otherwise than its label");
                for fault in expressions::of_a_selector(selector, known) {
                    faults.demand(false, &fault);
                }
            }
            None => faults.demand(false, "not label_values of a selector and a label"),
        }
    }
}

/// Unique ids, and no panel on another.
fn of_its_places(file: &str, dashboard: &Value, faults: &mut Faults) {
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels(dashboard) {
        faults.place = format!("{file}: panel {} {}", panel["id"], panel["title"]);
        faults.demand(panel["id"].as_u64().is_some_and(|id| ids.insert(id)), "no id of its own");
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap_or_default());
        faults.demand(w > 0 && h > 0 && x + w <= COLUMNS, "not within the 24 columns");
        let cells = (x..x + w).flat_map(|column| (y..y + h).map(move |row| (column, row)));
        let covered = cells.filter(|cell| !taken.insert(*cell)).count();
        faults.demand(covered == 0, "it lies on another");
    }
}

fn of_a_panel(panel: &Value, faults: &mut Faults) {
    let known = panel["type"].as_str().is_some_and(|kind| PANELS.contains(&kind));
    faults.demand(known, "a type of panel that is not meant");
    faults.demand(has_text(&panel["title"]), "no title");
    faults.demand(has_text(&panel["description"]), "no description");
    if panel["type"] == "text" {
        return;
    }
    faults.demand(is_the_variable(panel), "its data source is no variable");
    faults.demand(items(&panel["targets"]).next().is_some(), "it asks nothing");
    let references: Vec<_> = items(&panel["targets"])
        .map(|target| target["refId"].as_str().unwrap_or_default())
        .collect();
    let wanted = ["A", "B", "C", "D", "E", "F", "G", "H"];
    faults.demand(wanted.iter().zip(&references).all(|(a, b)| a == b), "refIds are not A, B, …");
    if panel["type"] == "table" {
        of_a_table(panel, &references, faults);
    } else {
        let defaults = &panel["fieldConfig"]["defaults"];
        faults.demand(has_text(&defaults["unit"]), "no unit");
        let ratio = defaults["unit"] == "percentunit";
        faults.demand(!ratio || defaults["max"] == 1, "a ratio not from 0 to 1");
    }
}

/// Columns of a table differ: each that holds a value has a unit of its own, or is hidden.
fn of_a_table(panel: &Value, references: &[&str], faults: &mut Faults) {
    let organize = items(&panel["transformations"]).find(|step| step["id"] == "organize");
    let options = organize.map_or(&Value::Null, |organize| &organize["options"]);
    for target in items(&panel["targets"]) {
        faults.demand(target["format"] == "table" && target["instant"] == true, "not one moment");
    }
    for reference in references {
        let column = match references.len() {
            1 => "Value".to_owned(),
            _ => format!("Value #{reference}"),
        };
        let name = options["renameByName"][&column].as_str().unwrap_or(&column);
        let of_it = items(&panel["fieldConfig"]["overrides"])
            .filter(|over| over["matcher"]["id"] == "byName" && over["matcher"]["options"] == name);
        let has_unit = of_it
            .flat_map(|over| items(&over["properties"]))
            .any(|property| property["id"] == "unit" && has_text(&property["value"]));
        let hidden = options["excludeByName"][&column] == true;
        faults.demand(hidden || has_unit, &format!("no unit for {name}"));
    }
}

fn is_the_variable(asker: &Value) -> bool {
    asker["datasource"]["type"] == "prometheus" && asker["datasource"]["uid"] == DATASOURCE
}

fn has_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

/// Links that lead to no dashboard of ours, or set a variable that it has not.
fn dead_links(file: &str, dashboard: &Value, all: &[(String, Value)]) -> Vec<String> {
    let mut dead = Vec::new();
    let overrides = panels(dashboard)
        .into_iter()
        .flat_map(|panel| items(&panel["fieldConfig"]["overrides"]))
        .flat_map(|over| items(&over["properties"]));
    let links = overrides
        .filter(|property| property["id"] == "links")
        .flat_map(|property| items(&property["value"]));
    for url in links.filter_map(|link| link["url"].as_str()) {
        let Some((uid, arguments)) = url.strip_prefix("/d/").and_then(|rest| rest.split_once('?'))
        else {
            continue;
        };
        let target = all.iter().find(|(_, other)| other["uid"] == uid);
        let sets_known = target.is_some_and(|(_, target)| {
            let mut set = arguments.split('&').filter_map(|one| one.strip_prefix("var-"));
            set.all(|one| {
                let name = one.split('=').next().unwrap_or_default();
                variables(target).any(|variable| variable["name"] == name)
            })
        });
        if !sets_known || !arguments.contains("${datasource:queryparam}") {
            dead.push(format!("{file}: a link to nowhere: {url}"));
        }
    }
    dead
}
