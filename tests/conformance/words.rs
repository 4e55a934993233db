//! Scripts as words and operators.

use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A word and the quote that it was in (a space: none).
    Word(String, char),
    Operator(String),
}

impl Token {
    pub fn word(text: &str) -> Self {
        Token::Word(text.to_owned(), ' ')
    }
}

/// Words and operators. `None` for what this shell does not have (substitutions, subshells).
pub fn tokenise(script: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut word: Option<(String, char)> = None;
    let mut chars = script.chars().peekable();
    let flush = |word: &mut Option<(String, char)>, tokens: &mut Vec<Token>| {
        if let Some((text, quote)) = word.take() {
            tokens.push(Token::Word(text, quote));
        }
    };
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => flush(&mut word, &mut tokens),
            '\'' | '"' => {
                let (text, quote) = word.get_or_insert((String::new(), c));
                *quote = c;
                loop {
                    match chars.next()? {
                        end if end == c => break,
                        '\\' if c == '"' => text.push(chars.next()?),
                        inner => text.push(inner),
                    }
                }
            }
            '\\' => word.get_or_insert((String::new(), ' ')).0.push(chars.next()?),
            ';' | '|' | '\n' | '&' | '>' | '<' => {
                let mut operator = c.to_string();
                if c == '&' && chars.peek() == Some(&'&') {
                    chars.next();
                    operator = "&&".into();
                } else if c == '>' && word.as_ref().is_some_and(|(text, _)| text == "2") {
                    word = None;
                    if chars.next()? != '&' || chars.next()? != '1' {
                        return None;
                    }
                    operator = "2>&1".into();
                } else if matches!(c, '&' | '<') {
                    return None;
                }
                flush(&mut word, &mut tokens);
                tokens.push(Token::Operator(operator));
            }
            '(' | ')' | '`' => return None,
            '$' if chars.peek() == Some(&'(') => return None,
            other => word.get_or_insert((String::new(), ' ')).0.push(other),
        }
    }
    flush(&mut word, &mut tokens);
    Some(tokens)
}

pub fn expand(word: &str, variables: &BTreeMap<String, String>) -> Option<String> {
    let mut text = word.to_owned();
    for (name, value) in variables {
        text = text.replace(&format!("${name}"), value);
    }
    (!text.contains('$')).then_some(text)
}
