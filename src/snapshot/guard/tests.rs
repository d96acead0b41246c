//! The report as JSON, and what is not one.

use proptest::prelude::*;

use super::*;
use crate::exchange::LARGEST;
use crate::units::Bytes;

fn entry(cgroup: &str) -> Entry {
    Entry {
        cgroup: cgroup.to_owned(),
        pod_uid: "8f5e0a52-0000-4222-8333-444444444444".to_owned(),
        container_id: None,
        action: Action::Rescue,
        page_size: "2Mi".parse().expect("a size"),
        value: Limit::At(Bytes(209_715_200)),
        old: Limit::Unlimited,
        result: Outcome::Skipped,
        reason: Some(Reason::MemoryMax),
    }
}

fn report(entries: Vec<Entry>) -> Report {
    Report {
        mode: Mode::DryRun,
        policy: Policy {
            refuse: Refuse::Ungranted,
            rescue: true,
            rescue_bound: true,
            excluded_namespaces: BTreeSet::from(["kube-system".to_owned()]),
        },
        paused: false,
        started: 83,
        trouble: None,
        entries,
        left_out: 0,
        writes: vec![Writes {
            action: Action::Refuse,
            result: Outcome::WouldWrite,
            reason: None,
            count: 7,
        }],
    }
}

#[test]
fn it_is_spelt_like_this() {
    let text = serde_json::to_string(&report(vec![entry("/kubepods/podx")])).expect("JSON");
    assert_eq!(
        text,
        concat!(
            r#"{"mode":"dry-run","policy":{"refuse":"ungranted","rescue":true,"rescue_bound":true,"#,
            r#""excluded_namespaces":["kube-system"]},"paused":false,"started":83,"trouble":null,"#,
            r#""entries":[{"cgroup":"/kubepods/podx","pod_uid":"8f5e0a52-0000-4222-8333-444444444444","#,
            r#""container_id":null,"action":"rescue","page_size":"2Mi","value":209715200,"old":"max","#,
            r#""result":"skipped","reason":"memory-max"}],"left_out":0,"#,
            r#""writes":[{"action":"refuse","result":"would-write","reason":null,"count":7}]}"#
        )
    );
    let read: Report = serde_json::from_str(&text).expect("a report");
    assert_eq!(read, report(vec![entry("/kubepods/podx")]));
}

#[test]
fn the_most_and_longest_entries_fit_into_the_file() {
    let long = format!("/{}", "k".repeat(Report::LONGEST - 1));
    let longest = Entry { container_id: Some("0a".repeat(32)), ..entry(&long) };
    let report = report(vec![longest; Report::MOST_ENTRIES]);
    assert_eq!(report.check(), Ok(()));
    let length = serde_json::to_vec(&report).expect("JSON").len() as u64;
    let rest = LARGEST.checked_sub(length).expect("room");
    assert!(rest > 32_768, "{rest} bytes for what was written how often, and the envelope");
}

#[test]
fn what_can_not_be_true_is_refused() {
    let with = |cgroup: &str| report(vec![entry(cgroup)]).check();
    assert_eq!(with("/kubepods/podx"), Ok(()));
    for cgroup in ["", "kubepods", "/a/../b", "/a\nb", &format!("/{}", "a".repeat(400))] {
        assert!(with(cgroup).is_err(), "{cgroup:?}");
    }
    let many = report(vec![entry("/a"); Report::MOST_ENTRIES + 1]);
    assert_eq!(many.check(), Err("301 entries, at most 300 are expected".to_owned()));
    let coloured = Report { trouble: Some("\u{1b}[31m".to_owned()), ..report(Vec::new()) };
    assert!(coloured.check().is_err());
}

#[test]
fn writes_add_up_over_their_reasons() {
    let skipped = |reason, count| Writes {
        action: Action::Rescue,
        result: Outcome::Skipped,
        reason: Some(reason),
        count,
    };
    let mut report = report(Vec::new());
    report.writes = vec![skipped(Reason::PoolShort, u64::MAX), skipped(Reason::TooSoon, 1)];
    assert_eq!(report.count(Action::Rescue, Outcome::Skipped), u64::MAX);
    assert_eq!(report.count(Action::Refuse, Outcome::Skipped), 0);
}

proptest! {
    #[test]
    fn any_limit_and_size_survive(bytes: u64, exponent in 10_u32..40) {
        let entry = Entry {
            value: Limit::from_bytes(bytes),
            page_size: PageSize::from_bytes(1 << exponent).expect("a size"),
            ..entry("/a")
        };
        let text = serde_json::to_string(&entry).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Entry>(&text).expect("an entry"), entry);
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = serde_json::from_str::<Report>(&text);
    }
}
