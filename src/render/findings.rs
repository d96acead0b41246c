//! docs/findings.md, from the rules.

use std::fmt::Write;

use crate::assessment::RULES;

const HEAD: &str = "\
# Findings

<!-- Made from the rules in src/assessment/findings; `UPDATE_EXPECT=1 cargo test` writes it. -->

A finding is something that somebody should know, in the same words in `hugetlb-exporter report`, in the log, in
`hugetlb_finding{finding=\"…\"}` and in alerts. It is raised when two polls in a row find it, since the kernel's
figures are read one after the other, and cleared by the first poll that does not. `critical` means that a
process will be killed or was; `warning` that something does not do what its owner believes; `info` that it is
worth knowing.

`report` looks twice, half a second apart, and so can't know what takes time (`silent-fallback`, `idle-grant`) or came
before it (refusals, a limit that fell); the running agent does.

What somebody knows of is muted: `--findings.mute-namespace=NAMESPACE` for the pods of a namespace,
`--findings.mute-pod=NAMESPACE/POD` for one pod, `--findings.mute-pod=NAMESPACE/POD:FINDING` for one finding of it. Where
the kubelet is asked ([kubelet.md](kubelet.md)) the pod's own annotation does the same: `hugetlb-exporter/mute: all`, or names of
findings, `hugetlb-exporter/mute: idle-grant,silent-fallback`. Metrics stay; `hugetlb_muted_findings` counts what is muted, and
the page and the report list it. Anyone who may annotate a pod may mute it.

";

/// The reference of all findings, as Markdown.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    // Writing into a String cannot fail.
    let _ = writeln!(text, "| finding | severity | what is wrong |\n|---|---|---|");
    for rule in RULES {
        let (name, severity, summary) = (rule.name, rule.severity, rule.summary);
        let _ = writeln!(text, "| [`{name}`](#{name}) | {severity} | {summary} |");
    }
    for rule in RULES {
        let _ = write!(
            text,
            "\n## {}\n\n**{}.** {}\n\n- **What follows:** {}\n- **How it is known:** {}\n- **False alarms:** {}\n- **What to do:** {}\n",
            rule.name,
            capital(&rule.severity.to_string()),
            rule.summary,
            rule.foretells,
            rule.evidence,
            rule.false_alarms,
            rule.remedy,
        );
    }
    text
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
