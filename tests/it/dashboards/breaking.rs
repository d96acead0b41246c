//! Every rule can fail: a sound dashboard, broken in one place at a time.

use serde_json::{Value, json};

use super::expressions::Known;
use super::{dead_links, faults};

fn sound() -> Value {
    let datasource = json!({"type": "prometheus", "uid": "${datasource}"});
    let size = r#"hugetlb_pool_size_bytes{cluster=~"$cluster", node=~"$node"}"#;
    let link = "/d/hugetlb-node?${datasource:queryparam}&var-node=${__data.fields.node}";
    let variable = |name: &str| {
        let query = format!("label_values(hugetlb_exporter_build_info, {name})");
        json!({"name": name, "type": "query", "datasource": datasource, "refresh": 2, "includeAll": true,
               "allValue": ".*", "definition": query, "query": {"query": query}})
    };
    json!({
        "uid": "hugetlb-node", "id": null, "editable": false, "schemaVersion": 39, "tags": ["hugetlb"],
        "description": "d",
        "templating": {"list": [
            {"name": "datasource", "type": "datasource", "query": "prometheus"}, variable("cluster"), variable("node"),
        ]},
        "panels": [
            {"id": 1, "type": "timeseries", "title": "t", "description": "d", "datasource": datasource,
             "gridPos": {"x": 0, "y": 0, "w": 12, "h": 8},
             "fieldConfig": {"defaults": {"unit": "percentunit", "max": 1}, "overrides": []},
             "targets": [{"refId": "A", "datasource": datasource, "expr": size, "legendFormat": "l"}]},
            {"id": 2, "type": "table", "title": "t", "description": "d", "datasource": datasource,
             "gridPos": {"x": 12, "y": 0, "w": 12, "h": 8},
             "fieldConfig": {"defaults": {}, "overrides": [
                {"matcher": {"id": "byName", "options": "size"}, "properties": [{"id": "unit", "value": "bytes"}]},
                {"matcher": {"id": "byName", "options": "node"},
                 "properties": [{"id": "links", "value": [{"url": link}]}]},
             ]},
             "transformations": [{"id": "organize", "options": {"renameByName": {"Value": "size"}}}],
             "targets": [{"refId": "A", "datasource": datasource, "expr": size, "legendFormat": "l",
                          "format": "table", "instant": true}]},
        ],
    })
}

fn found(dashboard: &Value, known: &Known) -> Vec<String> {
    let mut found = faults("node.json", dashboard, known);
    found.extend(dead_links("node.json", dashboard, &[("node.json".into(), sound())]));
    found
}

/// Each change makes just this fault.
#[track_caller]
fn each(changes: Vec<(&str, Value, &str)>) {
    let known = Known::of_this_tree();
    assert_eq!(found(&sound(), &known), [""; 0]);
    for (place, value, fault) in changes {
        let mut broken = sound();
        *broken.pointer_mut(place).unwrap_or_else(|| panic!("no {place}")) = value.clone();
        let found = found(&broken, &known);
        assert!(found.len() == 1 && found[0].contains(fault), "{place} {value}: {found:?}");
    }
}

#[test]
fn rules_of_the_whole_can_fail() {
    each(vec![
        ("/uid", json!("other"), "its uid"),
        ("/id", json!(7), "an id of somebody's"),
        ("/editable", json!(true), "it can be edited"),
        ("/schemaVersion", json!(16), "not the schema"),
        ("/tags", json!([]), "no tag"),
        ("/description", json!(""), "no description"),
        ("/templating/list/0/query", json!("loki"), "the first variable"),
        ("/templating/list/1/refresh", json!(1), "another time range"),
        ("/templating/list/1/allValue", json!(".+"), "all of it"),
        ("/templating/list/1/datasource/uid", json!("mine"), "its data source"),
        ("/templating/list/1/definition", json!("x"), "shown otherwise"),
        ("/panels/1/id", json!(1), "no id of its own"),
        ("/panels/1/gridPos/x", json!(13), "not within"),
        ("/panels/1/gridPos/x", json!(11), "lies on another"),
    ]);
}

#[test]
fn rules_of_variables_questions_can_fail() {
    let known = Known::of_this_tree();
    for (query, fault) in [
        ("label_values(hugetlb_nothing, cluster)", "nobody"),
        ("label_values(hugetlb_exporter_build_info{, cluster)", "no PromQL"),
        ("label_values(sum(hugetlb_exporter_build_info), cluster)", "no selector"),
        ("label_values(hugetlb_exporter_build_info, node)", "named otherwise"),
        ("label_names()", "not label_values"),
    ] {
        let mut broken = sound();
        broken["templating"]["list"][1]["definition"] = query.into();
        broken["templating"]["list"][1]["query"]["query"] = query.into();
        let found = found(&broken, &known);
        assert!(found.len() == 1 && found[0].contains(fault), "{query}: {found:?}");
    }
}

#[test]
fn rules_of_panels_can_fail() {
    each(vec![
        ("/panels/0/type", json!("graph"), "a type of panel"),
        ("/panels/0/title", json!(""), "no title"),
        ("/panels/0/description", Value::Null, "no description"),
        ("/panels/0/datasource/uid", json!("mine"), "its data source"),
        ("/panels/0/targets", json!([]), "it asks nothing"),
        ("/panels/0/targets/0/refId", json!(""), "refIds"),
        ("/panels/0/targets/0/datasource/type", json!("loki"), "its data source"),
        ("/panels/0/targets/0/legendFormat", json!(""), "no legend"),
        ("/panels/0/fieldConfig/defaults/unit", json!(""), "no unit"),
        ("/panels/0/fieldConfig/defaults/max", json!(100), "a ratio"),
        ("/panels/1/targets/0/instant", json!(false), "not one moment"),
        ("/panels/1/fieldConfig/overrides/0/matcher/options", json!("x"), "no unit for size"),
        (
            "/panels/1/fieldConfig/overrides/1/properties/0/value/0/url",
            json!("/d/hugetlb-node?${datasource:queryparam}&var-pod=x"),
            "a link to nowhere",
        ),
        (
            "/panels/1/fieldConfig/overrides/1/properties/0/value/0/url",
            json!("/d/other?${datasource:queryparam}&var-node=x"),
            "a link to nowhere",
        ),
    ]);
}

#[test]
fn rules_of_expressions_can_fail() {
    let chosen = r#"{cluster=~"$cluster", node=~"$node"}"#;
    let cases = [
        (format!("sum(hugetlb_pool_size_bytes{chosen}"), "no PromQL"),
        (format!("hugetlb_nothing{chosen}"), "hugetlb_nothing is served and recorded by nobody"),
        (format!("sum(hugetlb_pod_failures_total{chosen})"), "is a counter"),
        (format!("deriv(hugetlb_pod_failures_total{chosen}[$__rate_interval])"), "is a counter"),
        (format!("rate(hugetlb_pod_failures_total{chosen}[1m])"), "is not over $__rate_interval"),
        (r#"hugetlb_pool_size_bytes{node=~"$node"}"#.to_owned(), "chosen cluster"),
        (r#"hugetlb_pool_size_bytes{cluster=~"$cluster"}"#.to_owned(), "chosen node"),
        (r#"hugetlb_pool_size_bytes{cluster=~"$cluster", node="a"}"#.to_owned(), "chosen node"),
        (format!("process_resident_memory_bytes{chosen}"), "is of any job"),
        (format!("up{chosen}"), "is of any job"),
        (format!("hugetlb_pool_size_bytes{chosen} / hugetlb_x{chosen}"), "hugetlb_x is served"),
        (
            format!(
                "-(topk(scalar(hugetlb_x{chosen}), up{{job=\"hugetlb-exporter\", cluster=~\"$cluster\", node=~\"$node\"}}))"
            ),
            "hugetlb_x is served",
        ),
    ];
    for (expression, fault) in cases {
        each(vec![("/panels/0/targets/0/expr", expression.into(), fault)]);
    }
}
