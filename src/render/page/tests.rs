//! The page on made-up nodes.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use maud::html;

use super::scenes::{self, with_pods};
use super::{CONTENT_SECURITY_POLICY, Refresh, STYLE, status};
use crate::assessment::Subject;
use crate::render::columns;
use crate::snapshot::{Limit, Reading};
use crate::view::View;

/// Every scene and its name.
fn all() -> [(&'static str, View); 12] {
    [
        ("nothing", scenes::nothing()),
        ("healthy", scenes::healthy()),
        ("will-crash", with_pods(&scenes::crashing_pods())),
        ("after-a-crash", scenes::after_a_crash()),
        ("will-crash-together", with_pods(&scenes::crashing_together())),
        ("numa-short", with_pods(&scenes::numa_short_pods())),
        ("filling-up", scenes::filling_up()),
        ("fixed-since", scenes::fixed_since()),
        ("long-run-up", scenes::long_run_up()),
        ("many", with_pods(&scenes::many_pods(9))),
        ("memory-short", scenes::memory_short()),
        ("hostile", scenes::hostile()),
    ]
}

fn page(view: &View) -> String {
    status(view, "/metrics", Refresh::On)
}

/// Writes the scenes and the policy where `HUGETLB_PAGES` says, for a browser to show them.
#[test]
fn every_scene_is_one_page() {
    let directory = std::env::var_os("HUGETLB_PAGES");
    if let Some(directory) = &directory {
        std::fs::create_dir_all(directory).expect("a directory");
        let policy = Path::new(directory).join("policy");
        std::fs::write(policy, CONTENT_SECURITY_POLICY).expect("written");
    }
    for (name, view) in all() {
        let page = page(&view);
        for once in ["<!DOCTYPE html><html lang=\"en\">", "<title>", "<main>", "<h1>", "</html>"] {
            assert_eq!(page.matches(once).count(), 1, "{name}: {once}");
        }
        for foreign in ["<script", "<img", "<link", " style=", "http-equiv"] {
            assert!(!page.contains(foreign), "{name} has {foreign}");
        }
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        if let Some(directory) = &directory {
            let write = |name: String, page| {
                std::fs::write(Path::new(directory).join(name), page).expect("written");
            };
            write(format!("{name}.html"), page);
            if name == "healthy" {
                write("still.html".to_owned(), status(&view, "/metrics", Refresh::Off));
            }
        }
    }
}

#[test]
fn the_headline_names_who_will_crash_and_promises_nothing() {
    let headline = |view: &View| {
        let page = page(view);
        let (_, rest) = page.split_once("<h1>").expect("a headline");
        rest.split_once("</h1>").expect("its end").0.to_owned()
    };
    let [(_, nothing), (_, healthy), (_, crashing), (_, after), ..] = all();
    assert_eq!(headline(&nothing), "Nothing wrong was found.");
    assert_eq!(headline(&healthy), "Nothing wrong was found.");
    let short = "<bdi>prod/db-0</bdi> will crash: 104Mi of 2Mi pages too little";
    assert_eq!(headline(&crashing), short);
    assert!(page(&crashing).contains("<title>node-a3: prod/db-0 will crash: 104Mi of 2Mi"));
    let together = with_pods(&scenes::crashing_together());
    assert_eq!(
        headline(&together),
        format!("{short}, and 3 more"),
        "a pod and its container are one"
    );
    let mut refused = after;
    Arc::make_mut(&mut refused.assessment).findings.retain(|finding| !finding.foretells_a_crash());
    let was = "<bdi>prod/db-0</bdi> was refused 2Mi pages: a process was killed";
    assert_eq!(headline(&refused), was);
    Arc::make_mut(&mut refused.assessment).findings[0].subject = Subject::Node;
    assert_eq!(headline(&refused), "Something critical was found.");
    assert_eq!(headline(&scenes::fixed_since()), "Nothing critical was found.");
    let mut half_blind = scenes::hostile();
    Arc::make_mut(&mut half_blind.assessment).findings.clear();
    assert_eq!(headline(&half_blind), "Nothing wrong was found in what could be seen.");
}

#[test]
fn where_huge_pages_count_as_memory_that_is_drawn_too() {
    let view = scenes::memory_short();
    let page = page(&view);
    assert!(page.contains(
        "<h1><bdi>prod/db-0</bdi> will hang: 154Mi of memory too little for its huge pages</h1>"
    ));
    let (_, section) = page.split_once("id=\"memory\"").expect("a section");
    let (section, _) = section.split_once("</section>").expect("its end");
    assert!(
        section.contains(
            "aria-label=\"916Mi charged, 262Mi of huge pages to come, limit 1Gi, 154Mi too little\""
        ),
        "{section}"
    );
    assert_eq!(section.matches("<tr>").count(), 6, "a head and five containers");
    for column in &columns::MEMORY {
        assert!(section.contains(column.means), "{}", column.word);
    }
    assert!(!self::page(&scenes::healthy()).contains("id=\"memory\""));
}

#[test]
fn who_will_crash_stands_first_and_the_healthy_are_folded() {
    let many = page(&with_pods(&scenes::many_pods(9)));
    let (before, folded) = many.split_once("<details>").expect("folded");
    assert!(before.contains("worker-180") && !before.contains("worker-18<"));
    assert!(folded.contains("247 more") && folded.contains("worker-18<"));
    // Where the pool has too little for what they were all granted, there is a warning for each.
    let short = page(&with_pods(&scenes::many_pods(16)));
    assert!(short.contains(">230 more to look into<"), "but not all of them at once");
    assert!(!short.contains("without a warning"));
    let few = page(&with_pods(&scenes::crashing_pods()));
    assert!(few.contains("<details open>"), "few are not");
    let at = |text: &str| few.find(text).expect(text);
    assert!(at("prod/db-0") < at("network/router"), "danger first");
    assert!(at("What will-crash means") < at("Pods and their containers"));
}

#[test]
fn what_is_muted_is_folded_and_no_headline() {
    let mut view = with_pods(&scenes::crashing_pods());
    let assessment = std::sync::Arc::make_mut(&mut view.assessment);
    assessment.muted = std::mem::take(&mut assessment.findings);
    let muted = view.assessment.muted.len();
    let page = page(&view);
    assert!(page.contains(&format!("<summary>{muted} muted</summary>")), "{page}");
    assert!(page.contains("What will-crash means") && page.contains("Nothing wrong was found."));
}

/// The first row of each pod that has this badge.
fn rows_with<'a>(page: &'a str, badge: &str) -> Vec<&'a str> {
    let badge = format!("\">{badge}</span>");
    let pods =
        page.split("<tbody>").skip(1).map(|pod| pod.split("</tr>").next().unwrap_or_default());
    pods.filter(|row| row.contains(&badge)).collect()
}

#[test]
fn a_row_says_what_the_finding_beside_it_says() {
    let page = page(&with_pods(&scenes::crashing_together()));
    let rows = rows_with(&page, "will-crash");
    assert_eq!(rows.len(), 4);
    for (row, short) in rows.iter().zip(["104Mi", "32Mi", "16Mi", "8Mi"]) {
        assert!(row.contains(&format!("<td class=\"too-little\">{short}</td>")), "{row}");
    }
    // Of the last one only the container is short.
    assert!(rows[3].contains("<bdi>analytics/columns-0</bdi>") && !rows[3].contains("server"));
}

#[test]
fn what_concerns_a_pod_of_the_nodes_findings_is_a_warning_of_that_pod() {
    let page = page(&with_pods(&scenes::numa_short_pods()));
    let [row] = &rows_with(&page, "numa-short")[..] else { panic!("one: {page}") };
    assert!(row.contains("prod/db-0") && row.contains("<td>perhaps</td>"), "{row}");
    let (_, fine) = page.split_once("4 more without a warning").expect("the others");
    assert!(!fine.contains("prod/db-0"));
}

#[test]
fn a_sentence_stands_once() {
    for (name, view) in all().iter().filter(|(name, _)| *name != "hostile") {
        let page = page(view);
        for finding in &view.assessment.findings {
            let times = page.matches(&finding.sentence).count();
            assert_eq!(times, 1, "{name}: {}", finding.sentence);
        }
    }
    // What is over is said where it is told that it happened.
    let fixed = page(&scenes::fixed_since());
    assert_eq!(fixed.matches("(104Mi too little)").count(), 1);
    assert!(fixed.contains("will-crash</span> critical again"));
    assert!(fixed.contains("Fixed since: limit raised to 1200Mi."));
}

#[test]
fn it_names_its_node_and_the_choice_that_is_in_force() {
    let mut view = scenes::nothing();
    let on = page(&view);
    assert!(on.contains("<strong>Huge pages of <bdi>node-a3</bdi></strong>"), "{on}");
    assert!(on.contains("<a href=\"./\" aria-current=\"true\">every 10 s</a>"));
    assert!(on.contains("<a href=\"?still\">never</a>"));
    let off = status(&view, "/metrics", Refresh::Off);
    assert!(off.contains("<a href=\"./\">every 10 s</a>"));
    assert!(off.contains("<a href=\"?still\" aria-current=\"true\">never</a>"));
    view.node = None;
    assert!(page(&view).contains("Huge pages of <bdi>this node</bdi>"));
}

#[test]
fn a_legend_lists_what_is_drawn_and_a_head_says_what_it_means() {
    let (fine, crashing) = (page(&scenes::healthy()), page(&with_pods(&scenes::crashing_pods())));
    for (words, look) in [("mapped, and can't be touched", "short"), ("</svg>limit</span>", "mark")]
    {
        let drawn =
            |page: &str| (page.contains(words), page.contains(&format!("class=\"{look}\"")));
        assert_eq!((drawn(&fine), drawn(&crashing)), ((false, false), (true, true)), "{words}");
    }
    for column in columns::TENANT.iter().chain(&columns::POOL) {
        let (word, means) = (column.word, column.means);
        let written = html! { abbr title=(means) { (word) } }.into_string();
        assert!(fine.contains(&written), "{written}");
        assert!(fine.contains(&html! { dd { (means) } }.into_string()), "{means}");
        // A telephone has no heads, and is told the word beside the figure; a size needs none.
        let label = format!("content: \"{word}");
        assert_eq!(STYLE.contains(&label), word != "size", "{label}");
    }
}

#[test]
fn an_incident_is_drawn_against_time_with_its_values_and_its_marks() {
    let page = page(&scenes::after_a_crash());
    let (_, incident) = page.split_once("<div class=\"incident\">").expect("one");
    for part in [
        "touched: 74Mi now, 1Gi at most",
        "limit: 1Gi<",
        ">14:15:10</text>",
        ">peak 1Gi</text>",
        ">now 74Mi</text>",
        "class=\"number\"",
        "One page was refused.",
    ] {
        assert!(incident.contains(part), "{part}: {incident}");
    }
    assert!(!incident.contains("Below:"), "it is short enough for one picture");
    let long = super::status(&scenes::long_run_up(), "/metrics", Refresh::On);
    assert!(
        long.contains("Above: all of it. Below: the seconds around the refusal at 14:43:42 UTC.")
    );
    assert_eq!(long.matches("class=\"plot\"").count(), 2);
    let fixed = super::status(&scenes::fixed_since(), "/metrics", Refresh::On);
    assert!(fixed.contains("limit: 1Gi, from 14:16:08 on 1200Mi"));
}

#[test]
fn bars_say_in_words_and_in_hatching_what_they_show() {
    let page = page(&with_pods(&scenes::crashing_pods()));
    assert!(
        page.contains("aria-label=\"820Mi touched, 1128Mi mapped, limit 1Gi, 104Mi too little\"")
    );
    assert!(page.contains("<rect class=\"short\" x=\"90.78%\" width=\"9.22%\"/>"), "{page}");
    assert!(page.contains(".short { fill: url(#hatch); }"));
}

#[test]
fn strange_names_stay_text() {
    let page = page(&scenes::hostile());
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.contains("<script") && !page.contains("<img"));
    assert!(page.contains("&quot;&gt;&lt;img src"), "{page}");
    assert!(!page.contains("</code><b>") && page.contains("&lt;/code&gt;&lt;b&gt;"));
}

#[test]
fn what_is_absent_and_what_failed_stay_apart() {
    let mut view = with_pods(&scenes::usual_pods());
    let size = &mut Arc::make_mut(&mut view.assessment).pods[0].sizes[0];
    (size.usage, size.reserved) = (Reading::Failed, Reading::Failed);
    size.outlook.headroom = Reading::Absent;
    let failed = page(&view);
    assert!(failed.contains("could not be read"));
    assert!(failed.contains("<td>?</td><td>?</td><td>-</td>"), "{failed}");
    Arc::make_mut(&mut view.assessment).pods[1].sizes[0].limit = Reading::Failed;
    assert!(page(&view).contains("the limit could not be read"));
}

#[test]
fn a_clock_that_is_wrong_harms_nobody() {
    let mut view = scenes::nothing();
    let day = Duration::from_secs(86_400);
    for wall in [SystemTime::UNIX_EPOCH - day, SystemTime::UNIX_EPOCH + day * 3_000_000] {
        view.snapshot.taken.wall = wall;
        assert!(page(&view).contains("Seen ?"));
    }
}

/// Prints how large a page is, and how long it takes (`--nocapture`); the time is nobody's promise here. With stock
/// containerd no container has a limit of its own, and has a row beside its pod's.
#[test]
fn fifty_containers_are_less_than_60_kilobytes() {
    for (number, most) in [(50, 60_000), (250, 300_000)] {
        let mut view = with_pods(&scenes::many_pods(9).split_off(250 - number));
        for container in &mut Arc::make_mut(&mut view.assessment).containers {
            container.sizes[0].limit = Reading::Present(Limit::Unlimited);
        }
        let started = Instant::now();
        let page = page(&view);
        println!("{number} containers: {} bytes in {:?}", page.len(), started.elapsed());
        assert_eq!(page.matches("class=\"of-pod\"").count(), number);
        assert!(page.len() < most, "{number} containers are {} bytes", page.len());
    }
}
