//! The page on made-up nodes.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::scenes::{self, with_pods};
use super::{CONTENT_SECURITY_POLICY, status};
use crate::snapshot::{Limit, Reading};
use crate::view::View;

/// Every scene and its name.
fn all() -> [(&'static str, View); 6] {
    [
        ("nothing", scenes::nothing()),
        ("healthy", scenes::healthy()),
        ("will-crash", with_pods(&scenes::crashing_pods())),
        ("after-a-crash", scenes::after_a_crash()),
        ("many", with_pods(&scenes::many_pods())),
        ("hostile", scenes::hostile()),
    ]
}

fn page(view: &View) -> String {
    status(view, "/metrics")
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
            std::fs::write(Path::new(directory).join(format!("{name}.html")), page)
                .expect("written");
        }
    }
}

#[test]
fn the_headline_says_what_is_foretold_and_promises_nothing() {
    let headline = |view: &View| {
        let page = page(view);
        let (_, rest) = page.split_once("<h1>").expect("a headline");
        rest.split_once("</h1>").expect("its end").0.to_owned()
    };
    let [(_, nothing), (_, healthy), (_, crashing), (_, after), ..] = all();
    assert_eq!(headline(&nothing), "Nothing wrong was found.");
    assert_eq!(headline(&healthy), "Nothing wrong was found.");
    assert_eq!(headline(&crashing), "Something will crash.");
    let mut refused = after;
    refused.assessment.findings.retain(|finding| !finding.foretells_a_crash());
    assert_eq!(headline(&refused), "Something critical was found.");
    let mut half_blind = scenes::hostile();
    half_blind.assessment.findings.clear();
    assert_eq!(headline(&half_blind), "Nothing wrong was found in what could be seen.");
}

#[test]
fn who_will_crash_stands_first_and_the_healthy_are_folded() {
    let many = page(&with_pods(&scenes::many_pods()));
    let (before, folded) = many.split_once("<details>").expect("folded");
    assert!(before.contains("worker-180") && !before.contains("worker-18<"));
    assert!(folded.contains("247 more") && folded.contains("worker-18<"));
    let few = page(&with_pods(&scenes::crashing_pods()));
    assert!(few.contains("<details open>"), "few are not");
    let at = |text: &str| few.find(text).expect(text);
    assert!(at("prod/db-0") < at("network/router"), "danger first");
    assert!(at("What will-crash means") < at("Pods and their containers"));
}

#[test]
fn bars_say_in_words_and_in_hatching_what_they_show() {
    let page = page(&with_pods(&scenes::crashing_pods()));
    assert!(
        page.contains("aria-label=\"820Mi used, 1128Mi reserved, limit 1Gi, 104Mi too little\"")
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
    let size = &mut view.assessment.pods[0].sizes[0];
    (size.usage, size.reserved) = (Reading::Failed, Reading::Failed);
    size.outlook.headroom = Reading::Absent;
    let page = page(&view);
    assert!(page.contains("could not be read"));
    assert!(page.contains("<td>?</td><td>?</td><td>-</td>"), "{page}");
    view.assessment.pods[1].sizes[0].limit = Reading::Failed;
    assert!(super::status(&view, "/metrics").contains("the limit could not be read"));
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
        let mut view = with_pods(&scenes::many_pods().split_off(250 - number));
        for container in &mut view.assessment.containers {
            container.sizes[0].limit = Reading::Present(Limit::Unlimited);
        }
        let started = Instant::now();
        let page = page(&view);
        println!("{number} containers: {} bytes in {:?}", page.len(), started.elapsed());
        assert_eq!(page.matches("class=\"of-pod\"").count(), number);
        assert!(page.len() < most, "{number} containers are {} bytes", page.len());
    }
}
