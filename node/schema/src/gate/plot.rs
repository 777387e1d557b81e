//! Plots as inline SVG: bars over named places, one title a bar. Colours come from the page.

use std::fmt::Write;

use super::page::escaped;
use crate::fraction::{real, share};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 120.0;
const FOOT: f64 = 16.0;

/// Bars whose heights are shares of the highest. `what` is read out for the whole; the first and last name stand below.
pub(crate) fn bars(what: &str, bars: &[(String, u64)]) -> String {
    let highest = bars.iter().map(|(_, rows)| *rows).max().unwrap_or(0).max(1);
    let width = WIDTH / real(bars.len().max(1) as u64);
    let mut svg = format!(
        "<svg role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {WIDTH} {}\" class=\"plot\">",
        escaped(what),
        HEIGHT + FOOT
    );
    for (place, (name, rows)) in (0..).zip(bars).filter(|(_, (_, rows))| *rows > 0) {
        let height = (share(*rows, highest) * HEIGHT).max(1.0);
        let (x, y, thick) = (real(place) * width, HEIGHT - height, (width * 0.9).max(0.5));
        let bar = write!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{thick:.1}\" height=\"{height:.1}\"><title>{}: {rows}</title></rect>",
            escaped(name)
        );
        bar.expect("a text can be written to");
    }
    let ends = [(0.0, "start", bars.first()), (WIDTH, "end", bars.last().filter(|_| bars.len() > 1))];
    for (x, anchor, name) in ends.iter().filter_map(|(x, anchor, bar)| Some((x, anchor, &bar.as_ref()?.0))) {
        let y = HEIGHT + FOOT - 4.0;
        let text = write!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>", escaped(name));
        text.expect("a text can be written to");
    }
    svg + "</svg>"
}

/// One bar from left to right: a share from 0 to 1.
pub(crate) fn share_bar(share: f64) -> String {
    format!("<span class=\"share\"><span style=\"width:{:.1}%\"></span></span>", share.clamp(0.0, 1.0) * 100.0)
}
