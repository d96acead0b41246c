//! The command line: what it says, where, and with which exit code.

use std::process::{Command, Output};

use crate::machine::Machine;

/// Where it is.
pub fn program() -> &'static str {
    env!("CARGO_BIN_EXE_hugetlb-exporter")
}

pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(program())
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .expect("it runs")
}

/// The same on a machine; a path that is named holds.
pub fn run_at(machine: &Machine, arguments: &[&str]) -> Output {
    let name = |flag: &str| flag.split('=').next().map(str::to_owned);
    let named: Vec<_> = arguments.iter().map(|flag| name(flag)).collect();
    let flags = machine.flags().into_iter().filter(|flag| !named.contains(&name(flag)));
    let flags: Vec<_> = flags.collect();
    let all: Vec<_> = arguments.iter().copied().chain(flags.iter().map(String::as_str)).collect();
    run(&all, &[])
}

#[track_caller]
fn refused(arguments: &[&str], environment: &[(&str, &str)], parts: &[&str]) {
    let output = run(arguments, environment);
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(64), "{arguments:?}: {error}");
    assert_eq!(error.lines().count(), 1, "one line: {error}");
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn a_wrong_flag_gets_one_line_that_names_it_its_value_and_the_form_expected() {
    refused(&["--poll.interval=2"], &[], &["--poll.interval", "'2'", "such as 2s"]);
    refused(
        &["--web.listen-address", "localhost:1"],
        &[],
        &["--web.listen-address", "'localhost:1'", "IP:PORT"],
    );
    refused(
        &["--web.telemetry-path=metrics"],
        &[],
        &["--web.telemetry-path", "'metrics'", "/metrics"],
    );
    for url in ["10.0.0.1:10250", "https://10.0.0.1", "https://[fd00::1]", "ftp://10.0.0.1:1"] {
        refused(&["--kubelet.url", url], &[], &["--kubelet.url", url, "https://HOST:PORT"]);
    }
    refused(&["--kubelet.interval=30"], &[], &["--kubelet.interval", "'30'", "such as 2s"]);
    refused(&["--log.level=loud"], &[], &["--log.level", "'loud'", "debug, info, warn, error"]);
    refused(&["report", "--output", "xml"], &[], &["--output", "'xml'", "table, json, prometheus"]);
    refused(&["--probe.target=all"], &[], &["--probe.target", "'all'", "own, scratch, off"]);
    for number in ["0", "-1", "4294967296", "99999999999999999999999"] {
        let range = "from 1 to 4294967295";
        let value = format!("'{number}'");
        let pages = format!("--pages={number}");
        refused(&["try", &pages], &[], &["--pages", &value, range]);
        let need = format!("--need-pages={number}");
        refused(&["fit", &need], &[], &["--need-pages", &value, range]);
    }
    refused(&["try", "--pages=1", "--touch=-1"], &[], &["--touch", "'-1'", "from 0 to 4294967295"]);
    refused(&["--web.listen-address=:99999"], &[], &["':99999'", "from 0 to 65535"]);
    refused(&["try", "--pages=2", "--touch=3"], &[], &["--touch 3", "--pages 2"]);
    refused(&["try", "--pages=9", "--touch=2"], &[], &["--touch 2", "neighbour", "--yes"]);
    refused(&["fit"], &[], &["--need"]);
    refused(&["fit", "--need=282MB"], &[], &["--need", "'282MB'", "512Mi"]);
    refused(&["fit", "--need=0"], &[], &["--need", "'0'", "more than 0", "282Mi"]);
    refused(&["fit", "--need=1Gi", "--need-pages=1"], &[], &["--need", "--need-pages"]);
}

#[test]
fn what_does_not_exist_gets_what_was_meant_and_where_all_is_listed() {
    for (arguments, said) in [
        (
            &["repot"][..],
            "unrecognized subcommand 'repot' (did you mean report?); see hugetlb-exporter --help",
        ),
        (
            &["help", "repot"],
            "unrecognized subcommand 'repot' (did you mean report?); see hugetlb-exporter --help",
        ),
        (&["nothing-like"], "unrecognized subcommand 'nothing-like'; see hugetlb-exporter --help"),
        (
            &["--poll.intervall=3s"],
            "unexpected argument '--poll.intervall' found (did you mean --poll.interval?); see hugetlb-exporter --help",
        ),
        (
            &["report", "--nmespace", "x"],
            "unexpected argument '--nmespace' found (did you mean --namespace?); see hugetlb-exporter report --help",
        ),
        (
            &["--need=282Mi"],
            "unexpected argument '--need' found (did you mean fit --need?); see hugetlb-exporter --help",
        ),
        (
            &["report", "db-0"],
            "unexpected argument 'db-0' found; see hugetlb-exporter report --help",
        ),
        (
            &["fit", "--nothing-like"],
            "unexpected argument '--nothing-like' found; see hugetlb-exporter fit --help",
        ),
        (
            &["report", "--output=tabel"],
            "invalid value 'tabel' for '--output <OUTPUT>' [possible values: table, json, prometheus] (did you mean table?)",
        ),
    ] {
        let output = run(arguments, &[]);
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(error, format!("hugetlb-exporter: {said}\n"));
        assert_eq!((output.status.code(), output.stdout.len()), (Some(64), 0), "{arguments:?}");
    }
}

#[test]
fn help_is_had_by_its_name_too() {
    let wrong = [("HUGETLB_EXPORTER_POLL_INTERVAL", "soon")];
    for (word, flag) in [
        (&["help"][..], &["--help"][..]),
        (&["help", "report"], &["report", "--help"]),
        (&["help", "fit"], &["fit", "--help"]),
    ] {
        let (word, flag) = (run(word, &wrong), run(flag, &wrong));
        assert_eq!(word.status.code(), Some(0), "{word:?}");
        assert!(word.stdout.len() > 500 && word.stdout == flag.stdout, "{word:?}");
    }
}

#[test]
fn a_wrong_value_from_the_environment_is_traced_to_its_variable() {
    let variable = "HUGETLB_EXPORTER_POLL_INTERVAL";
    refused(&[], &[(variable, "soon")], &["--poll.interval", "'soon'", variable]);
    let output = run(&["--poll.interval=soon"], &[]);
    assert!(
        !String::from_utf8_lossy(&output.stderr).contains(variable),
        "it came from the command line"
    );
}

#[test]
fn help_and_version_are_no_errors() {
    let help = run(&["--help"], &[]);
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).expect("text");
    for part in ["--web.listen-address", "HUGETLB_EXPORTER_POLL_INTERVAL", "report", "serve"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains("touch-child"), "the tenant for tests is nobody's business");
    let brief = String::from_utf8(run(&["-h"], &[]).stdout).expect("text");
    assert!(brief.lines().count() < 50 && brief.lines().all(|line| line.len() <= 100), "{brief}");
    assert!(!brief.contains("[env:"), "what a first look is told once: {brief}");
    let report = String::from_utf8(run(&["report", "--help"], &[]).stdout).expect("text");
    assert!(report.contains("Exit status: 0 ") && report.contains("--path.procfs"), "{report}");
    assert!(!report.contains("--web."), "it does not listen: {report}");
}

#[test]
fn the_version_names_the_commit() {
    let output = run(&["--version"], &[]);
    let text = String::from_utf8(output.stdout).expect("text");
    let version = concat!("hugetlb-exporter ", env!("CARGO_PKG_VERSION"), " (revision ");
    let revision = text.strip_prefix(version).and_then(|rest| rest.strip_suffix(")\n"));
    let revision = revision.unwrap_or_else(|| panic!("{text}"));
    let commit = revision.len() == 12 && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(commit || revision == "unknown", "{text}");
}

#[test]
fn no_wrong_variable_is_in_the_way_of_the_process_that_touches() {
    let wrong = [("HUGETLB_EXPORTER_POLL_INTERVAL", "soon")];
    let output = run(&["touch-child", "--mapping=private"], &wrong);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    refused(&["touch-child", "--mapping=none"], &[], &["--mapping", "'none'"]);
}

/// `fit` on a machine, held to every word.
#[track_caller]
fn fit(machine: &Machine, arguments: &[&str], code: i32, said: &str) {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let log_flag = format!("--termination-log={}", log.path().display());
    let output = run_at(machine, &[&["fit", &log_flag], arguments].concat());
    let (answer, error) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    let (answer, error) = (answer.expect("text"), error.expect("text"));
    let root = machine.root().display().to_string();
    let told = format!("{answer}{error}").replace(&root, "ROOT");
    assert_eq!((told.as_str(), output.status.code()), (said, Some(code)), "{arguments:?}");
    assert_eq!(answer.is_empty(), !matches!(code, 0 | 2), "{arguments:?}: {answer}");
    let last = std::fs::read_to_string(log.path()).expect("its last words").replace(&root, "ROOT");
    let words = said.strip_prefix("hugetlb-exporter: ").unwrap_or(said);
    assert_eq!(last, if code == 64 { "" } else { words }, "{arguments:?}");
}

#[test]
fn an_amount_without_a_unit_is_bytes_or_a_unit_was_forgotten() {
    let seed = Machine::named("seed");
    let refused = |arguments: &[&str], said: &str| {
        fit(&seed, arguments, 64, &format!("hugetlb-exporter: invalid value for {said}\n"));
    };
    refused(
        &["--need=282"],
        "'--need <QUANTITY>': 282 bytes are less than a page of 2Mi: did you mean 282Mi?",
    );
    refused(
        &["--need=282Mi", "--limit=300"],
        "'--limit <QUANTITY>': 300 bytes are less than a page of 2Mi: did you mean 300Mi?",
    );
    refused(
        &["--need=2097152", "--pagesize=1Gi"],
        "'--need <QUANTITY>': 2097152 bytes are less than a page of 1Gi: did you mean 2097152Mi?",
    );
    let fits =
        "282Mi of 2Mi pages fit: the node's pool can give 800Mi, and no limit is in the way\n";
    // As the downward API writes limits.hugepages-2Mi.
    fit(&seed, &["--need=295698432", "--limit=295698432"], 0, fits);
    fit(&seed, &["--need-pages=141", "--limit=282Mi"], 0, fits);
    let none = "282Mi of 2Mi pages do not fit into hugepages-2Mi: 0, 282Mi too little; set it to at least 282Mi\n";
    fit(&seed, &["--need=282Mi", "--limit=0"], 2, none);
}

#[test]
fn nothing_fits_where_nobody_could_look() {
    let seed = Machine::named("seed");
    fit(
        &seed,
        &["--need=282Mi"],
        1,
        "hugetlb-exporter: can't tell whether 282Mi of 2Mi pages fit: the node's pool can give 800Mi, but not every limit is seen from here: name the pod's with --limit\n",
    );
    fit(
        &seed,
        &["--need=282Mi", "--limit=1Gi", "--path.sysfs=/nowhere"],
        1,
        "hugetlb-exporter: can't read the pool of 2Mi; pools: can't list /nowhere/kernel/mm/hugepages: No such file or directory (os error 2); no pool is shown\n",
    );
}

#[test]
fn a_port_in_use_gets_one_line_and_exit_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = run(&["--log.level=error", &format!("--web.listen-address={address}")], &[]);
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    assert!(error.contains(&address) && error.contains("in use"), "{error}");
}

#[test]
fn a_report_names_its_node() {
    let machine = Machine::named("seed");
    let hostname = machine.root().join("proc/sys/kernel");
    std::fs::create_dir_all(&hostname).expect("a directory");
    std::fs::write(hostname.join("hostname"), "host-1\n").expect("written");
    let flags = machine.flags();
    let first_line = |more: &[&str], environment: &[(&str, &str)]| {
        let arguments: Vec<&str> = ["report"]
            .iter()
            .chain(more)
            .copied()
            .chain(flags.iter().map(|flag| &**flag))
            .collect();
        let text = String::from_utf8(run(&arguments, environment).stdout).expect("text");
        text.lines().next().expect("a line").to_owned()
    };
    let (twin, plain) = ("HUGETLB_EXPORTER_NODE_NAME", "NODE_NAME");
    let none = [(twin, ""), (plain, "")];
    assert_eq!(first_line(&[], &none), "Node host-1");
    assert_eq!(first_line(&[], &[(twin, ""), (plain, "node-2")]), "Node node-2");
    assert_eq!(first_line(&[], &[(twin, "node-3"), (plain, "node-2")]), "Node node-3");
    let flag = ["--node.name=node-4"];
    assert_eq!(first_line(&flag, &[(twin, "node-3"), (plain, "node-2")]), "Node node-4");
    // What would command a terminal is no name.
    std::fs::write(hostname.join("hostname"), "\u{1b}[31mred\n").expect("written");
    assert!(first_line(&[], &none).starts_with("CRITICAL"));
}
