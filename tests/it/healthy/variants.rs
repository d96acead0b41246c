//! The same node with something missing, left over, miscounted or elsewhere.

use std::fmt::Write;

/// The directories of a node, each with its lines; what comes before the first is left out.
fn sections(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        if let Some(path) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            sections.push((path, Vec::new()));
        } else if let Some((_, lines)) = sections.last_mut() {
            lines.push(line);
        }
    }
    sections
}

/// The same with other lines: `change` gets a directory and a line, and gives the line that there is to be, if any.
fn with_lines(text: &str, change: impl Fn(&str, &str) -> Option<String>) -> String {
    let mut changed = String::new();
    for (path, lines) in sections(text) {
        let lines: Vec<String> = lines.into_iter().filter_map(|line| change(path, line)).collect();
        let _ = writeln!(changed, "[{path}]\n{}", lines.join("\n"));
    }
    changed
}

fn is_pool(path: &str) -> bool {
    path.contains("/hugepages/hugepages-") || path.contains("/mm/hugepages")
}

fn without(text: &str, drop: impl Fn(&str) -> bool) -> String {
    let kept = sections(text).into_iter().filter(|(path, _)| !drop(path));
    kept.fold(String::new(), |mut text, (path, lines)| {
        let _ = writeln!(text, "[{path}]\n{}", lines.join("\n"));
        text
    })
}

/// No page in any pool, so none in any cgroup.
pub fn without_pages(text: &str) -> String {
    with_lines(text, |path, line| {
        let name = line.split(" = ").next().unwrap_or_default();
        let is_page =
            is_pool(path) || ["current", "usage_in_bytes"].iter().any(|end| name.ends_with(end));
        Some(if is_page && line.contains(" = ") { format!("{name} = 0") } else { line.to_owned() })
    })
}

/// A kernel without the hugetlb controller.
pub fn without_controller(text: &str) -> String {
    with_lines(text, |_, line| match line {
        _ if line.starts_with("hugetlb.") => None,
        _ if line.starts_with("cgroup.") => Some(line.replace(" hugetlb", "")),
        _ if line.starts_with("mountinfo") => Some(line.replace(",hugetlb", ",memory")),
        _ => Some(line.to_owned()),
    })
}

/// A kernel without huge pages at all.
pub fn without_hugetlbfs(text: &str) -> String {
    let text = without(&without_controller(text), is_pool);
    with_lines(&text, |_, line| match line.split(" = ").next() {
        Some("meminfo") => Some("meminfo = MemTotal: 2000000 kB".to_owned()),
        Some("vmstat") => Some("vmstat = nr_free_pages 100".to_owned()),
        _ => Some(line.to_owned()),
    })
}

pub fn without_pods(text: &str) -> String {
    let is_pods = |path: &str| path.contains("-pod") || path.contains("/pod");
    with_lines(&without(text, is_pods), |path, line| {
        (!path.starts_with("/var/log/")).then(|| line.to_owned())
    })
}

/// The last directory above pods, and whether systemd made it.
fn above_pods(text: &str) -> Option<(String, bool)> {
    let paths = sections(text).into_iter().map(|(path, _)| path.to_owned());
    let mut above = paths.filter(|path| {
        let name = path.rsplit('/').next().unwrap_or_default();
        !path.contains("-pod") && !path.contains("/pod") && name.contains("kubepods")
            || ["burstable", "besteffort"].contains(&name)
    });
    above.next_back().map(|path| {
        let is_systemd = path.ends_with(".slice");
        (path, is_systemd)
    })
}

/// A cgroup that a pod left behind: nobody is in it, and it has its limits.
pub fn leftover(text: &str, uid: &str, limit: &str, with_container: bool) -> Option<String> {
    let (above, is_systemd) = above_pods(text)?;
    let is_v1 = text.contains("limit_in_bytes");
    let tier = above.rsplit('/').next()?.trim_end_matches(".slice");
    let pod = if is_systemd {
        format!("{above}/{tier}-pod{}.slice", uid.replace('-', "_"))
    } else {
        format!("{above}/pod{uid}")
    };
    let mut sizes: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("hugetlb.")?.split('.').next()).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut text = text.to_owned();
    let container = format!("{pod}/cri-containerd-{}.scope", "d".repeat(64));
    for path in [Some(pod), with_container.then_some(container)].into_iter().flatten() {
        let _ = writeln!(text, "\n[{path}]\ncgroup.procs =\n");
        for size in &sizes {
            let files: &[(&str, &str)] = if is_v1 {
                &[
                    ("usage_in_bytes", "0"),
                    ("rsvd.usage_in_bytes", "0"),
                    ("limit_in_bytes", limit),
                    ("rsvd.limit_in_bytes", "9223372036854771712"),
                    ("failcnt", "0"),
                    ("rsvd.failcnt", "0"),
                ]
            } else {
                &[
                    ("current", "0"),
                    ("rsvd.current", "0"),
                    ("max", limit),
                    ("rsvd.max", "max"),
                    ("events", "max 0"),
                    ("events.local", "max 0"),
                ]
            };
            for (file, value) in files {
                let _ = writeln!(text, "hugetlb.{size}.{file} = {value}");
            }
        }
        if !is_v1 {
            let _ = writeln!(text, "cgroup.events = populated 0\\nfrozen 0");
        }
    }
    Some(text)
}

/// The counters that kernels have taken below zero, or too low, and nobody's use of pages.
pub fn miscounted(text: &str, counter: &str, value: &str) -> String {
    with_lines(text, |path, line| {
        let is_it = path.contains("/mm/hugepages/") && line.starts_with(&format!("{counter} = "));
        Some(if is_it { format!("{counter} = {value}") } else { line.to_owned() })
    })
}

/// Every container in a cgroup that another runtime would have made.
pub fn renamed(text: &str, prefix: &str) -> String {
    text.replace("/cri-containerd-", prefix)
}

/// The pods' cgroups are gone, and each container is where a runtime puts it by itself, with the limit it had there.
pub fn without_pod_cgroups(text: &str, above: &str) -> String {
    let mut changed = String::new();
    let all = sections(text);
    let root = all.iter().find(|(path, _)| path.contains("kubepods")).map(|(_, lines)| lines);
    let _ = writeln!(changed, "[/sys/fs/cgroup/{above}]\n{}", root.expect("kubepods").join("\n"));
    for (path, lines) in &all {
        let id = path.rsplit(['/', '-']).next().unwrap_or_default().trim_end_matches(".scope");
        let is_container = id.len() == 64 && path.contains("pod");
        let is_above = path.contains("kubepods") && !is_container;
        if is_above {
            continue;
        }
        let path =
            if is_container { format!("/sys/fs/cgroup/{above}/{id}") } else { (*path).to_owned() };
        let _ = writeln!(changed, "[{path}]\n{}", lines.join("\n"));
    }
    changed
}
