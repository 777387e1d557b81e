//! Releases for people: a statement in words, and self-contained pages of what was found and of what was explored. A page holds
//! no script and fetches nothing.

use std::fmt::Write;

use cohortium_protocol::ident::Name;
use cohortium_protocol::record::release::{Done, Release};
use serde_json::Value;

use crate::cli::print::{Table, word};

/// A statement in words.
pub(crate) fn stated(release: &Release) -> String {
    let mut facts = Table::new(["Statement", release.request.project.as_str()]);
    let mut row = |fact: &str, value: String| facts.row([fact.to_owned(), value]);
    match &release.done {
        Done::Microdata { k, measures } => {
            row("microdata", format!("k {}, {} classes", k.0, measures.classes));
            row(
                "rows",
                format!("{} of {}", measures.rows.0 - measures.suppressed.0.min(measures.rows.0), measures.rows.0),
            );
            row("loss", millionths(measures.loss.0));
        }
        Done::Counts { floor, cells, suppressed } => {
            row("counts", format!("floor {floor}, {suppressed} of {cells} cells and totals suppressed"));
        }
        Done::Aggregate(done) => {
            let epsilon = [done.epsilon, done.epsilon_person].map(|epsilon| millionths(epsilon.0));
            row("epsilon of a token", epsilon[0].clone());
            row("epsilon of a person", format!("{} at {} members", epsilon[1], done.tokens.0));
            for line in &done.noise {
                let half = millionths(line.half_width.0);
                row("noise", format!("{}: {} within {half} at 95 %", line.what, word(&line.noise)));
            }
            if let Some(threshold) = done.threshold {
                row("hidden", format!("groups with a noised count of patients below {threshold}"));
            }
            for (what, origin) in &done.origins {
                row("fixed beforehand", format!("{what}: {origin}"));
            }
            for release in &done.uncovered {
                row("not covered by epsilon", format!("release {release}"));
            }
        }
    }
    let recipients: Vec<&str> = release.request.recipients.iter().map(Name::as_str).collect();
    row("recipients", recipients.join(", "));
    let attacks: Vec<String> = release.attacks.iter().map(|run| word(&run.attack)).collect();
    row("attacks that failed", attacks.join(", "));
    for text in &release.not_covered {
        row("not covered", text.to_string());
    }
    facts.to_text()
}

fn millionths(of: u64) -> String {
    format!("{}.{:06}", of / 1_000_000, of % 1_000_000)
}

/// A value as it is shown: a text without its quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Number(number) if number.is_f64() => format!("{:.4}", number.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

/// What an officer reads, as text.
pub(crate) fn report_text(told: &Value) -> String {
    let mut facts = Table::new(["Release", &plain(&told["release"])]);
    facts.row(["phase".to_owned(), plain(&told["phase"])]);
    if !told["fault"].is_null() {
        facts.row(["fault".to_owned(), plain(&told["fault"])]);
    }
    for (fact, value) in told["report"]["measures"].as_object().into_iter().flatten() {
        facts.row([fact.replace('_', " "), plain(value)]);
    }
    let mut table = Table::new(["ATTACK", "COLUMN", "HELD", "BY CHANCE", "OF", "SHARE", "AT MOST", "SUCCEEDED"]);
    for found in attacks(&told["report"]) {
        table.row(COLUMNS.map(|column| plain(&found[column])));
    }
    format!("{}\n{}", facts.to_text(), table.or("No attack was run.\n"))
}

const COLUMNS: [&str; 8] = ["attack", "column", "held", "by_chance", "of", "refined", "threshold", "succeeded"];

fn attacks(report: &Value) -> impl Iterator<Item = &Value> {
    report["attacks"].as_array().into_iter().flatten()
}

/// What an officer reads, as a page.
pub(crate) fn report(told: &Value) -> String {
    let mut body = String::new();
    let _ = write!(
        body,
        "<h1>Release {}</h1><p>{}</p>",
        escaped(&plain(&told["release"])),
        escaped(&plain(&told["phase"]))
    );
    if let Some(fault) = told["fault"].as_str() {
        let _ = write!(body, "<p class=\"bad\">{}</p>", escaped(fault));
    }
    body.push_str("<h2>Measures</h2><table>");
    for (fact, value) in told["report"]["measures"].as_object().into_iter().flatten() {
        let _ =
            write!(body, "<tr><th>{}</th><td>{}</td></tr>", escaped(&fact.replace('_', " ")), escaped(&plain(value)));
    }
    body.push_str("</table>");
    if let Some(sizes) = told["report"]["class_sizes"].as_object() {
        body.push_str("<h2>Patients in a class</h2>");
        body.push_str(&histogram(sizes));
    }
    body.push_str("<h2>Attacks</h2><table><tr><th>attack</th><th>column</th><th>assumes</th><th>claimed</th><th>held</th><th>by chance</th><th>of</th><th>share</th><th>at most</th></tr>");
    for found in attacks(&told["report"]) {
        let class = if found["succeeded"] == true { " class=\"bad\"" } else { "" };
        let _ = write!(body, "<tr{class}>");
        for column in ["attack", "column", "assumes", "claimed", "held", "by_chance", "of", "refined", "threshold"] {
            let _ = write!(body, "<td>{}</td>", escaped(&plain(&found[column])));
        }
        body.push_str("</tr>");
    }
    body.push_str("</table>");
    page("Release report", &body)
}

/// Bars of classes by their sizes.
fn histogram(sizes: &serde_json::Map<String, Value>) -> String {
    let mut bars: Vec<(u64, u64)> =
        sizes.iter().filter_map(|(size, count)| Some((size.parse().ok()?, count.as_u64()?))).collect();
    bars.sort_unstable();
    let most = bars.iter().map(|(_, count)| *count).max().unwrap_or(1).max(1);
    let mut svg = format!("<svg viewBox=\"0 0 {} 130\" role=\"img\">", bars.len() * 8 + 40);
    for (at, (size, count)) in bars.iter().enumerate() {
        let height = count * 100 / most;
        let _ = write!(
            svg,
            "<rect x=\"{}\" y=\"{}\" width=\"6\" height=\"{height}\"><title>{count} of {size}</title></rect>",
            at * 8 + 20,
            110 - height
        );
    }
    for (at, (size, _)) in bars.iter().enumerate().step_by((bars.len() / 10).max(1)) {
        let _ = write!(svg, "<text x=\"{}\" y=\"124\">{size}</text>", at * 8 + 20);
    }
    svg.push_str("</svg>");
    svg
}

/// What was explored, as text.
pub(crate) fn explored_text(told: &Value) -> String {
    let mut table = Table::new(["RECODING", "K", "LOSS", "SUPPRESSED", "CLASSES", "MEAN RISK", "ATTACKS"]);
    for point in points(told) {
        let measures = &point["measures"];
        table.row([
            way(point),
            plain(&point["k"]),
            plain(&measures["loss"]),
            plain(&measures["suppressed"]),
            plain(&measures["classes"]),
            plain(&measures["mean_risk"]),
            if point["stood"] == true { "stood" } else { "fell" }.to_owned(),
        ]);
    }
    table.or("Nothing was explored.\n")
}

fn points(told: &Value) -> impl Iterator<Item = &Value> {
    told["points"].as_array().into_iter().flatten()
}

fn way(point: &Value) -> String {
    match &point["recoding"] {
        Value::String(name) => name.clone(),
        Value::Object(one) => one.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

/// Colours of the ways of recoding, in the order in which they come.
const COLOURS: [&str; 3] = ["#1b6ca8", "#b3541e", "#4b7f52"];

/// What was explored, as a page: loss against risk, and loss and suppression against k, a line a way of recoding.
pub(crate) fn explored(told: &Value) -> String {
    let mut ways: Vec<String> = Vec::new();
    for point in points(told) {
        if !ways.contains(&way(point)) {
            ways.push(way(point));
        }
    }
    let mut body = String::from("<h1>Loss against risk</h1><p>");
    for (name, colour) in ways.iter().zip(COLOURS) {
        let _ = write!(body, "<span style=\"color:{colour}\">&#9632; {}</span> ", escaped(name));
    }
    body.push_str("</p>");
    for (title, x, y) in [("mean risk", "mean_risk", "loss"), ("k", "k", "loss"), ("k", "k", "suppressed")] {
        let _ = write!(body, "<h2>{y} against {title}</h2>{}", plot(told, &ways, x, y));
    }
    body.push_str("<h2>All</h2><table><tr><th>recoding</th><th>k</th><th>loss</th><th>suppressed</th><th>classes</th><th>mean risk</th><th>attacks</th></tr>");
    for point in points(told) {
        let class = if point["stood"] == true { "" } else { " class=\"bad\"" };
        let _ = write!(body, "<tr{class}><td>{}</td><td>{}</td>", escaped(&way(point)), escaped(&plain(&point["k"])));
        for measure in ["loss", "suppressed", "classes", "mean_risk"] {
            let _ = write!(body, "<td>{}</td>", escaped(&plain(&point["measures"][measure])));
        }
        let fell: Vec<String> =
            attacks(point).filter(|found| found["succeeded"] == true).map(|found| plain(&found["attack"])).collect();
        let _ = write!(
            body,
            "<td>{}</td></tr>",
            if fell.is_empty() { "stood".to_owned() } else { escaped(&fell.join(", ")) }
        );
    }
    body.push_str("</table>");
    page("Exploration of a release", &body)
}

/// One plot: a line for each way, through its points by k.
fn plot(told: &Value, ways: &[String], x: &str, y: &str) -> String {
    let value = |point: &Value, of: &str| {
        let found = if of == "k" { &point["k"] } else { &point["measures"][of] };
        found.as_f64().unwrap_or_default()
    };
    let most = |of: &str| points(told).map(|point| value(point, of)).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let (x_most, y_most) = (most(x), most(y));
    let mut svg = String::from("<svg viewBox=\"0 0 460 260\" role=\"img\"><path d=\"M50 10V220H450\" class=\"axis\"/>");
    let _ = write!(svg, "<text x=\"450\" y=\"240\" text-anchor=\"end\">{x_most:.3}</text>");
    let _ = write!(svg, "<text x=\"45\" y=\"18\" text-anchor=\"end\">{y_most:.3}</text>");
    for (name, colour) in ways.iter().zip(COLOURS) {
        let of_way: Vec<(f64, f64, String)> = points(told)
            .filter(|point| way(point) == *name)
            .map(|point| {
                let at = (50.0 + value(point, x) / x_most * 400.0, 220.0 - value(point, y) / y_most * 205.0);
                (at.0, at.1, format!("{name}, k {}: {:.4}", plain(&point["k"]), value(point, y)))
            })
            .collect();
        let line: Vec<String> = of_way.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(svg, "<polyline points=\"{}\" stroke=\"{colour}\" fill=\"none\"/>", line.join(" "));
        for (x, y, told) in of_way {
            let _ = write!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" style=\"fill:{colour}\"><title>{}</title></circle>",
                escaped(&told)
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>\
         body{{font:15px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}\
         table{{border-collapse:collapse}}td,th{{border:1px solid #ccc;padding:.2rem .5rem;text-align:left}}\
         .bad{{background:#fbe3e0}}svg{{max-width:36rem;font-size:11px}}rect{{fill:#1b6ca8}}\
         .axis{{stroke:#888;fill:none}}</style><p>For the operator's privacy officer. It depends on rows and stays here.</p>\
         {body}</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_fetches_nothing_and_what_it_shows_is_no_markup() {
        let found = json!({"attack": "linkage", "column": "<b>", "assumes": "all", "claimed": 1, "held": 1,
            "by_chance": 0.0, "of": 9, "refined": 0.11, "threshold": 0.0, "succeeded": true});
        let measures = json!({"loss": 0.25, "mean_risk": 0.05, "suppressed": 3, "classes": 4});
        let told = json!({"release": "00", "phase": "stopped", "fault": null,
            "report": {"measures": measures, "attacks": [found], "class_sizes": {"11": 3, "12": 1}}});
        let points = json!({"points": [{"recoding": "resistant", "k": 11, "measures": measures, "attacks": [found], "stood": false},
            {"recoding": {"full-domain": {}}, "k": 5, "measures": measures, "attacks": [], "stood": true}]});
        for page in [report(&told), explored(&points)] {
            assert!(!page.contains("<b>") && !page.contains("http") && !page.contains("<script"), "{page}");
            assert!(page.contains("class=\"bad\""));
        }
        assert!(report_text(&told).contains("linkage") && explored_text(&points).contains("full-domain"));
    }
}
