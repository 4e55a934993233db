//! PVE's section grammar (`storage.cfg`, `ha/resources.cfg`): `TYPE: ID`, then indented `key value` lines (SectionConfig.pm).

use std::collections::BTreeMap;

/// One section. A key without a value is `1`, as PVE reads booleans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub kind: String,
    pub id: String,
    pub keys: BTreeMap<String, String>,
}

/// Reads all sections. Lines that fit nowhere are skipped, as PVE skips them with a warning.
pub fn parse(bytes: &[u8]) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut open = false;
    for line in String::from_utf8_lossy(bytes).lines() {
        let text = line.trim();
        if text.is_empty() {
            open = false;
        } else if text.starts_with('#') {
            continue;
        } else if line.starts_with(char::is_whitespace) {
            if let (true, Some(section)) = (open, sections.last_mut()) {
                let (key, value) = text.split_once(char::is_whitespace).unwrap_or((text, "1"));
                section.keys.insert(key.to_owned(), value.trim().to_owned());
            }
        } else {
            let header = text.split_once(':').map(|(kind, id)| (kind, id.trim()));
            open = false;
            if let Some((kind, id)) = header.filter(|(kind, id)| !kind.is_empty() && is_word(kind) && is_word(id)) {
                sections.push(Section { kind: kind.to_owned(), id: id.to_owned(), keys: BTreeMap::new() });
                open = true;
            }
        }
    }
    sections
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace)
}
