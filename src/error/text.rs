//! Text from files, nodes and guests, made fit for a terminal: nothing of it may act there.

/// Text with every character that acts on a terminal escaped as Rust writes it.
pub fn printable(text: &str) -> String {
    if !text.chars().any(acts) {
        return text.to_owned();
    }
    text.chars().map(|c| if acts(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// As [`printable`], but every byte stays where it is, and line breaks and tabs stay: for text that places point into.
pub fn printable_in_place(text: &str) -> String {
    let still = |c: char| match c {
        '\n' | '\t' => c,
        c if !acts(c) => c,
        // As many bytes as the character that it stands for.
        c => match c.len_utf8() {
            1 => ' ',
            2 => '·',
            _ => '\u{fffd}',
        },
    };
    text.chars().map(still).collect()
}

/// Control characters, and the Unicode ones that change direction or can't be seen. None lies beyond U+FFFF.
pub fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_and_in_place_nothing_moves() {
        let text = "a\u{1b}[2J\u{9b}b\u{202e}c\u{feff}\té日\n";
        assert_eq!(printable(text), "a\\u{1b}[2J\\u{9b}b\\u{202e}c\\u{feff}\\té日\\n");
        let still = printable_in_place(text);
        assert_eq!(still, "a [2J·b\u{fffd}c\u{fffd}\té日\n");
        assert_eq!(still.len(), text.len());
    }
}
