//! docs/incident.svg: the incident on one time axis. Limit and reservation are from Prometheus; what was touched is the
//! kernel's counter, sampled often enough to show the last second.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::monitoring::{Prometheus, seconds};

/// When things happened.
#[derive(Debug, Clone, Copy)]
pub struct Timeline {
    /// The server was started,
    pub started: SystemTime,
    /// took connections,
    pub ready: SystemTime,
    /// was paged about,
    pub paged: SystemTime,
    /// got its first table,
    pub loading: SystemTime,
    /// and was killed.
    pub crashed: SystemTime,
}

impl Timeline {
    /// Seconds from the start.
    pub fn after_start(&self, at: SystemTime) -> f64 {
        at.duration_since(self.started).expect("later").as_secs_f64()
    }
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 400.0;
/// Left, top, right, bottom of the plot.
const PLOT: [f64; 4] = [60.0, 70.0, 660.0, 350.0];
/// What is shown before the start and after the crash.
const MARGIN: Duration = Duration::from_secs(5);
const MEBIBYTE: f64 = 1_048_576.0;

fn mebibytes(bytes: u64) -> f64 {
    // Far below 2^53.
    bytes as f64 / MEBIBYTE
}

/// What the figures are drawn with; a reader's dark page is dark here, too.
const STYLE: &str = "<style>
  text { font: 13px sans-serif; fill: #24292f }
  .small { font-size: 12px; fill: #57606a }
  .axis { stroke: #8c959f } .grid { stroke: #d0d7de }
  .used { fill: #2da44e; fill-opacity: .35; stroke: #1a7f37; stroke-width: 2 }
  .reserved { fill: none; stroke: #0969da; stroke-width: 2.5 }
  .limit { fill: none; stroke: #cf222e; stroke-width: 2; stroke-dasharray: 7 4 }
  .event { stroke: #57606a; stroke-dasharray: 2 3 } .page { stroke: #bf8700; stroke-width: 2 } .crash { stroke: #cf222e; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .axis { stroke: #656c76 } .grid { stroke: #3d444d }
    .used { fill: #3fb950; stroke: #3fb950 } .reserved { stroke: #4493f8 } .limit, .crash { stroke: #f85149 } .page { stroke: #d29922 } .event { stroke: #9198a1 }
  }
</style>
";

/// Draws it, with what was touched as seconds since 1970 and bytes.
pub fn draw(prometheus: &Prometheus, timeline: &Timeline, touched: &[(f64, u64)]) {
    let (from, to) = (timeline.started - MARGIN, timeline.crashed + MARGIN);
    let figure = |name: &str| {
        let query = format!("max(hugetlb_container_{name}_bytes{{pod='db-0'}})");
        let values = prometheus.over_time(&query, from, to);
        assert!(!values.is_empty(), "Prometheus knows no {name}");
        values.into_iter().map(|(at, bytes)| (at, bytes / MEBIBYTE)).collect::<Vec<_>>()
    };
    let mut used: Vec<(f64, f64)> = touched
        .iter()
        .map(|(at, bytes)| (*at, mebibytes(*bytes)))
        .filter(|(at, _)| *at <= seconds(to))
        .collect();
    let last = used.last().map(|(_, value)| *value);
    used.extend(last.map(|value| (seconds(SystemTime::now()).min(seconds(to)), value)));
    let figures = [used, figure("reserved"), figure("limit")];
    let top = figures.iter().flatten().map(|(_, value)| *value).fold(0.0, f64::max);
    let scale = Scale { from: seconds(from), to: seconds(to), top: (top / 50.0).ceil() * 50.0 };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"PostgreSQL is paged about before it crashes\">\n{STYLE}"
    );
    axes(&mut svg, &scale, timeline);
    for (class, values) in
        [("used", &figures[0]), ("reserved", &figures[1]), ("limit", &figures[2])]
    {
        line(&mut svg, &scale, class, values);
    }
    let [_, _, right, bottom] = PLOT;
    let last = |figure: usize| figures[figure].last().map_or(0.0, |(_, value)| *value);
    for (text, value) in [("mapped (reserved)", last(1)), ("limit", last(2))] {
        let (x, y) = (right + 8.0, scale.y(value) + 4.0);
        put(&mut svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\">{text}: {value} MiB</text>"));
    }
    let (x, y) = (scale.x(seconds(timeline.crashed)) - 8.0, bottom - 8.0);
    put(
        &mut svg,
        format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"end\">touched</text>"),
    );
    events(&mut svg, &scale, timeline);
    svg.push_str("</svg>\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/incident.svg");
    fs::write(path, svg).expect("docs/incident.svg is written");
}

/// From seconds and MiB to the picture.
struct Scale {
    from: f64,
    to: f64,
    top: f64,
}

impl Scale {
    fn x(&self, at: f64) -> f64 {
        let [left, _, right, _] = PLOT;
        left + (at - self.from) / (self.to - self.from) * (right - left)
    }

    fn y(&self, value: f64) -> f64 {
        let [_, top, _, bottom] = PLOT;
        bottom - value / self.top * (bottom - top)
    }
}

fn axes(svg: &mut String, scale: &Scale, timeline: &Timeline) {
    let [left, _, right, bottom] = PLOT;
    let mut value = 0.0;
    while value <= scale.top {
        let y = scale.y(value);
        put(svg, format_args!("<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/>"));
        put(
            svg,
            format_args!(
                "<text class=\"small\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
                left - 6.0,
                y + 4.0
            ),
        );
        value += 50.0;
    }
    put(
        svg,
        format_args!(
            "<text class=\"small\" x=\"{left}\" y=\"{:.1}\" text-anchor=\"end\">MiB</text>",
            scale.y(scale.top) - 10.0
        ),
    );
    put(svg, format_args!("<path class=\"axis\" d=\"M{left} {bottom}H{right}\"/>"));
    let start = seconds(timeline.started);
    let mut after = 0.0;
    while start + after <= scale.to {
        let x = scale.x(start + after);
        put(svg, format_args!("<path class=\"axis\" d=\"M{x:.1} {bottom}v5\"/>"));
        put(
            svg,
            format_args!(
                "<text class=\"small\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{after} s</text>",
                bottom + 20.0
            ),
        );
        after += 10.0;
    }
    put(
        svg,
        format_args!(
            "<text class=\"small\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">since the server was started</text>",
            f64::midpoint(left, right),
            bottom + 40.0
        ),
    );
}

/// A figure as Prometheus has it: a value holds until the next.
fn line(svg: &mut String, scale: &Scale, class: &str, values: &[(f64, f64)]) {
    let [_, _, _, bottom] = PLOT;
    let start = scale.x(values[0].0);
    let mut path = format!("M{start:.1} {:.1}", scale.y(values[0].1));
    for (at, value) in values {
        // Writing into a String cannot fail.
        let _ = write!(path, "H{:.1}V{:.1}", scale.x(*at), scale.y(*value));
    }
    if class == "used" {
        let _ = write!(path, "V{bottom}H{start:.1}Z");
    }
    put(svg, format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
}

fn events(svg: &mut String, scale: &Scale, timeline: &Timeline) {
    let [_, _, _, bottom] = PLOT;
    let events = [
        (timeline.started, "event", "started", 22_f64, "middle"),
        (timeline.paged, "page", "paged: will crash", 40.0, "start"),
        (timeline.loading, "event", "loaded little by little", 58.0, "start"),
        (timeline.crashed, "crash", "killed by signal 7", 22.0, "middle"),
    ];
    for (at, class, text, y, anchor) in events {
        let x = scale.x(seconds(at));
        put(svg, format_args!("<path class=\"{class}\" d=\"M{x:.1} {}V{bottom}\"/>", y + 4.0));
        put(
            svg,
            format_args!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>"),
        );
    }
}

fn put(svg: &mut String, element: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = writeln!(svg, "{element}");
}
