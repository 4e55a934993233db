//! The forms that results are printed in: Perl's pretty JSON, canonical JSON, YAML, tables (CLIFormatter.pm).

use serde_json::Value;

/// Keys sorted, one line.
pub fn json(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let mut keys: Vec<&String> = object.keys().collect();
            keys.sort();
            let parts: Vec<String> =
                keys.into_iter().map(|key| format!("{}:{}", Value::from(key.as_str()), json(&object[key]))).collect();
            format!("{{{}}}", parts.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

/// As Perl's `JSON->pretty->canonical`: three spaces, ` : `.
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    pretty_into(value, 0, &mut out);
    out
}

fn pretty_into(value: &Value, depth: usize, out: &mut String) {
    let pad = |depth: usize| "   ".repeat(depth);
    match value {
        Value::Object(object) if object.is_empty() => out.push_str("{}"),
        Value::Array(items) if items.is_empty() => out.push_str("[]"),
        Value::Object(object) => {
            let mut keys: Vec<&String> = object.keys().collect();
            keys.sort();
            out.push_str("{\n");
            for (at, key) in keys.iter().enumerate() {
                out.push_str(&format!("{}{} : ", pad(depth + 1), Value::from(key.as_str())));
                pretty_into(&object[*key], depth + 1, out);
                out.push_str(if at + 1 < keys.len() { ",\n" } else { "\n" });
            }
            out.push_str(&format!("{}}}", pad(depth)));
        }
        Value::Array(items) => {
            out.push_str("[\n");
            for (at, item) in items.iter().enumerate() {
                out.push_str(&pad(depth + 1));
                pretty_into(item, depth + 1, out);
                out.push_str(if at + 1 < items.len() { ",\n" } else { "\n" });
            }
            out.push_str(&format!("{}]", pad(depth)));
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// A flat object as YAML; quotes where a plain word would be read as something else.
pub fn yaml(value: &Value) -> String {
    let mut out = "---\n".to_owned();
    if let Value::Object(object) = value {
        let mut keys: Vec<&String> = object.keys().collect();
        keys.sort();
        for key in keys {
            let text = plain(&object[key]);
            let quoted = text.parse::<f64>().is_ok() && object[key].is_string();
            out.push_str(&if quoted { format!("{key}: '{text}'\n") } else { format!("{key}: {text}\n") });
        }
    } else {
        out.push_str(&format!("{}\n", json(value)));
    }
    out
}

/// A scalar as text.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => json(other),
    }
}

/// Options of PVE's text tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    pub border: bool,
    pub header: bool,
}

/// An object as a `key | value` table, an array of objects with a column for each key.
pub fn table(value: &Value, style: Table) -> String {
    let (titles, rows): (Vec<String>, Vec<Vec<String>>) = match value {
        Value::Object(object) => {
            let mut keys: Vec<&String> = object.keys().filter(|key| !object[*key].is_null()).collect();
            keys.sort();
            let rows = keys.into_iter().map(|key| vec![key.clone(), plain(&object[key])]).collect();
            (vec!["key".into(), "value".into()], rows)
        }
        Value::Array(items) => {
            let keys: std::collections::BTreeSet<String> =
                items.iter().filter_map(Value::as_object).flat_map(|object| object.keys().cloned()).collect();
            let rows = items.iter().map(|item| keys.iter().map(|key| plain(&item[key.as_str()])).collect()).collect();
            (keys.into_iter().collect(), rows)
        }
        scalar => return format!("{}\n", plain(scalar)),
    };
    if rows.is_empty() {
        return String::new();
    }
    let widths: Vec<usize> = (0..titles.len())
        .map(|at| {
            let cells = rows.iter().map(|row| row[at].chars().count());
            let title = if style.header { titles[at].chars().count() } else { 0 };
            cells.chain([title]).max().unwrap_or(0)
        })
        .collect();
    draw(&titles, &rows, &widths, style)
}

fn draw(titles: &[String], rows: &[Vec<String>], widths: &[usize], style: Table) -> String {
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        if style.border {
            format!("| {} |\n", padded.join(" | "))
        } else {
            format!("{}\n", padded.join(" ").trim_end())
        }
    };
    let rule = |dash: &str| {
        let parts: Vec<String> = widths.iter().map(|width| dash.repeat(width + 2)).collect();
        if style.border { format!("+{}+\n", parts.join("+")) } else { String::new() }
    };
    let mut out = rule("-");
    if style.header {
        out.push_str(&line(titles));
        out.push_str(&rule("="));
    }
    for row in rows {
        out.push_str(&line(row));
        out.push_str(&rule("-"));
    }
    out
}
