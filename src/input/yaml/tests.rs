use super::{Faults, InputFile, Kind, Node, parse};

/// Every scalar with the bytes that its span names.
fn scalars(text: &str) -> Vec<(String, String)> {
    fn walk(node: &Node, text: &str, out: &mut Vec<(String, String)>) {
        match &node.kind {
            Kind::Scalar { text: value, .. } => out.push((value.clone(), text[node.span.clone()].to_owned())),
            Kind::List(items) => items.iter().for_each(|item| walk(item, text, out)),
            Kind::Map(entries) => {
                for entry in entries {
                    out.push((entry.key.text.clone(), text[entry.key.span.clone()].to_owned()));
                    walk(&entry.value, text, out);
                }
            }
        }
    }
    let mut faults = Faults::default();
    let root = parse(InputFile::Config, text, &mut faults).unwrap();
    let mut out = Vec::new();
    walk(&root, text, &mut out);
    out
}

#[test]
fn spans_are_the_bytes_of_the_source() {
    let text = "\u{feff}größe: \"日\\n本\" # é\nlist: [a, 'b b']\nmap:\n  - x: 1\n    \"y z\": plain text\n";
    let wanted = [
        ("größe", "größe"),
        ("日\n本", "\"日\\n本\""),
        ("list", "list"),
        ("a", "a"),
        ("b b", "'b b'"),
        ("map", "map"),
        ("x", "x"),
        ("1", "1"),
        ("y z", "\"y z\""),
        ("plain text", "plain text"),
    ];
    let wanted: Vec<(String, String)> = wanted.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(scalars(text), wanted);
}

#[test]
fn an_alias_is_the_value_at_the_place_of_the_alias() {
    assert_eq!(scalars("a: &x one\nb: *x\n")[3], ("one".to_owned(), "*x".to_owned()));
}

#[test]
fn an_empty_value_is_null_and_a_quoted_one_is_not() {
    let root = parse(InputFile::Config, "a:\nb: \"\"\nc: ~\n", &mut Faults::default());
    let Some(Node { kind: Kind::Map(entries), .. }) = root else { panic!("no map") };
    assert_eq!(entries.iter().map(|entry| entry.value.is_null()).collect::<Vec<_>>(), [true, false, true]);
}
