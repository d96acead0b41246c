//! A table, or a list where a line is too short for one.

use comfy_table::{CellAlignment, Table, presets};
use textwrap::WordSplitter;
use textwrap::core::display_width;

use super::lines;

/// Room for a name that a table does not do with less of: a container's 12 digits below their pod.
const NAME: usize = 14;

/// Between the columns of a table.
const PADDING: usize = 2;

/// A space that no line ends at: a figure stays with its head.
const JOINED: char = '\u{a0}';

/// Rows of a name and its figures, under their heads.
pub(super) struct Rows {
    heads: Vec<&'static str>,
    /// Columns that are words, the first of them the name's; the others are numbers, and stand to the right.
    words: usize,
    rows: Vec<Vec<String>>,
}

impl Rows {
    /// None yet.
    pub(super) fn new(heads: &[&'static str], words: usize) -> Self {
        Self { heads: heads.to_vec(), words, rows: Vec::new() }
    }

    /// One more, a cell for each head; what has no figures ends after its name.
    pub(super) fn add(&mut self, row: impl Into<Vec<String>>) {
        self.rows.push(row.into());
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// In lines of that width. A figure is never broken; a name is where it is longer than what the figures leave.
    pub(super) fn text(&self, width: usize) -> String {
        let figures: usize = (1..self.heads.len()).map(|column| self.width(column) + PADDING).sum();
        // The last column's padding is not written.
        let left = (width + 1).saturating_sub(figures + PADDING);
        if left >= self.width(0).min(NAME) { self.table(left) } else { self.list(width) }
    }

    fn width(&self, column: usize) -> usize {
        let head = self.heads.get(column).map(|head| display_width(head));
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        head.into_iter().chain(cells.map(|cell| display_width(cell))).max().unwrap_or_default()
    }

    fn table(&self, name_width: usize) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(in_width(self.heads.iter().copied(), name_width));
        for row in &self.rows {
            table.add_row(in_width(row.iter().map(String::as_str), name_width));
        }
        for column in table.column_iter_mut().skip(self.words) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.trim_fmt()
    }

    /// Each name on a line of its own, and its figures below it, each with its head.
    fn list(&self, width: usize) -> String {
        let (mut text, mut indent) = (Vec::new(), String::new());
        for row in &self.rows {
            let mut cells = self.heads.iter().zip(row);
            let name = cells.next().map(|(_, name)| name.as_str()).unwrap_or_default();
            // Without a name it is more of the one above.
            if !name.is_empty() {
                indent = format!(" {}", leading(name));
                text.extend(lines::wrap(name.trim_start(), width, &indent, &indent));
            }
            text.extend(figures(cells, width, &format!("{indent}    ")));
        }
        text.join("\n")
    }
}

/// Figures in lines, each with its head; of what is not there nothing.
fn figures<'a>(
    cells: impl Iterator<Item = (&'a &'static str, &'a String)>,
    width: usize,
    indent: &str,
) -> Vec<String> {
    let cells = cells.filter(|(_, figure)| !figure.is_empty());
    let figures: Vec<_> = cells.map(|(head, figure)| format!("{head}{JOINED}{figure}")).collect();
    if figures.is_empty() {
        return Vec::new();
    }
    let options = textwrap::Options::new(width).break_words(false);
    let options = options.initial_indent(indent).subsequent_indent(indent);
    let options = options.word_splitter(WordSplitter::NoHyphenation);
    let lines = textwrap::fill(&figures.join(", "), options).replace(JOINED, " ");
    lines.lines().map(str::to_owned).collect()
}

/// A row whose first cell is in lines of that width.
fn in_width<'a>(mut cells: impl Iterator<Item = &'a str>, name_width: usize) -> Vec<String> {
    let name = cells.next().unwrap_or_default();
    let indent = leading(name);
    let name = lines::wrap(name.trim_start(), name_width, indent, indent).join("\n");
    [name].into_iter().chain(cells.map(str::to_owned)).collect()
}

/// The spaces that a name is indented by.
fn leading(name: &str) -> &str {
    name.split(|c| c != ' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        let mut rows = Rows::new(&["pod / container", "size", "limit", "refused"], 2);
        let mut add = |cells: [&str; 4]| rows.add(cells.map(str::to_owned));
        add(["production/analytics-replica-0", "2Mi", "128Mi", "1"]);
        add(["", "1Gi", "none", "0"]);
        add(["  postgres", "2Mi", "128Mi", "18446744073709551615"]);
        add(["", "1Gi", "0", "0"]);
        rows.add(["without".to_owned()]);
        rows
    }

    /// Below a heading, which is not indented.
    fn shown(width: usize) -> String {
        format!("Pods\n{}\n", rows().text(width))
    }

    #[test]
    fn a_name_gets_what_the_figures_leave() {
        expect_test::expect![[r"
            Pods
             pod / container                 size  limit               refused
             production/analytics-replica-0  2Mi   128Mi                     1
                                             1Gi    none                     0
               postgres                      2Mi   128Mi  18446744073709551615
                                             1Gi       0                     0
             without
        "]]
        .assert_eq(&shown(200));
        expect_test::expect![[r"
            Pods
             pod / container      size  limit               refused
             production/          2Mi   128Mi                     1
             analytics-replica-0
                                  1Gi    none                     0
               postgres           2Mi   128Mi  18446744073709551615
                                  1Gi       0                     0
             without
        "]]
        .assert_eq(&shown(55));
    }

    #[test]
    fn where_they_leave_too_little_it_is_a_list() {
        expect_test::expect![[r"
            Pods
             production/analytics-replica-0
                 size 2Mi, limit 128Mi, refused 1
                 size 1Gi, limit none, refused 0
               postgres
                   size 2Mi, limit 128Mi,
                   refused 18446744073709551615
                   size 1Gi, limit 0, refused 0
             without
        "]]
        .assert_eq(&shown(40));
        expect_test::expect![[r"
            Pods
             production/
             analytics-replica-0
                 size 2Mi,
                 limit 128Mi,
                 refused 1
                 size 1Gi,
                 limit none,
                 refused 0
               postgres
                   size 2Mi,
                   limit 128Mi,
                   refused 18446744073709551615
                   size 1Gi,
                   limit 0,
                   refused 0
             without
        "]]
        .assert_eq(&shown(20));
    }

    #[test]
    fn no_figure_is_broken_and_no_line_too_long_at_any_width() {
        let figures = ["2Mi", "128Mi", "1Gi", "none", "18446744073709551615"];
        for width in 1..100 {
            let text = rows().text(width);
            for figure in figures {
                let is_whole = text.split([' ', ',', '\n']).any(|word| word == figure);
                assert!(is_whole, "{figure} at {width}: {text}");
            }
            let fits = text.lines().all(|line| display_width(line) <= width);
            assert!(fits || width < 35, "{width}: {text}");
        }
    }
}
