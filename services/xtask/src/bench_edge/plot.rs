//! A small picture of the figures.

use std::fmt::Write;

/// A bar: what it stands for, and how long it is.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: f64,
}

/// Groups of bars, each group on a scale of its own, as SVG.
pub(super) fn bars(groups: &[(String, Vec<Bar>)]) -> String {
    let rows: usize = groups.iter().map(|(_, bars)| bars.len() + 2).sum();
    let height = rows * ROW + ROW;
    let mut svg = String::new();
    // Writing into a string cannot fail.
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">"
    );
    let _ = writeln!(svg, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>");
    let mut y = ROW;
    for (title, bars) in groups {
        let _ = writeln!(svg, "<text x=\"8\" y=\"{y}\" font-weight=\"bold\">{title}</text>");
        y += ROW;
        let most = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
        for (n, bar) in bars.iter().enumerate() {
            let long = bar.value / most * LONGEST;
            let fill = if n == 0 { "#c2410c" } else { "#94a3b8" };
            let _ = writeln!(
                svg,
                "<text x=\"8\" y=\"{y}\">{}</text><rect x=\"{LEFT}\" y=\"{}\" width=\"{long:.1}\" height=\"12\" fill=\"{fill}\"/><text x=\"{:.1}\" y=\"{y}\">{:.0}</text>",
                bar.label,
                y - 11,
                LEFT as f64 + long + 6.0,
                bar.value,
            );
            y += ROW;
        }
        y += ROW;
    }
    svg += "</svg>\n";
    svg
}

const WIDTH: usize = 640;
const LEFT: usize = 130;
const LONGEST: f64 = 400.0;
const ROW: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_of_a_group_is_the_largest_value() {
        let bar = |label: &str, value| Bar { label: label.into(), value };
        let svg = bars(&[("hits".into(), vec![bar("a", 50.0), bar("b", 100.0)])]);
        assert!(svg.contains("width=\"200.0\"") && svg.contains("width=\"400.0\""), "{svg}");
        assert_eq!(svg.matches("<text").count(), 5);
    }
}
