//! Coloured or not: `--color`, then `NO_COLOR`, then `CLICOLOR_FORCE`, then the terminal.

/// `--color`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorChoice {
    Auto,
    Always,
    Never,
}

/// What the environment says of terminals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `NO_COLOR`, not empty.
    pub no_color: bool,
    /// `CLICOLOR_FORCE`, not empty and not `0`.
    pub force: bool,
    /// `TERM=dumb`: no colour, no picture.
    pub dumb: bool,
    /// `COLUMNS`, at least 40.
    pub columns: Option<usize>,
}

impl Environment {
    pub fn read() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self {
            no_color: filled("NO_COLOR").is_some(),
            force: filled("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb: filled("TERM").is_some_and(|value| value == "dumb"),
            columns: filled("COLUMNS").and_then(|value| value.parse().ok()).filter(|columns| *columns >= 40),
        }
    }

    /// `NO_COLOR` wins over `CLICOLOR_FORCE`, `--color` over both.
    pub fn colored(&self, choice: ColorChoice, terminal: bool) -> bool {
        match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => !self.no_color && (self.force || terminal && !self.dumb),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn colored(variables: &[(&str, &str)], choice: ColorChoice, terminal: bool) -> bool {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Environment::from_variables(get).colored(choice, terminal)
    }

    #[test]
    fn the_terminal_decides_when_nobody_says_otherwise() {
        assert!(colored(&[], ColorChoice::Auto, true));
        assert!(!colored(&[], ColorChoice::Auto, false));
        assert!(!colored(&[("TERM", "dumb")], ColorChoice::Auto, true));
    }

    #[test]
    fn no_color_wins_over_force_and_the_flag_over_both() {
        let both = [("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")];
        assert!(!colored(&both, ColorChoice::Auto, true));
        assert!(colored(&both, ColorChoice::Always, false));
        assert!(!colored(&[("CLICOLOR_FORCE", "1")], ColorChoice::Never, true));
    }

    #[test]
    fn empty_and_zero_say_nothing() {
        assert!(colored(&[("NO_COLOR", "")], ColorChoice::Auto, true));
        assert!(!colored(&[("CLICOLOR_FORCE", "0")], ColorChoice::Auto, false));
        assert!(colored(&[("CLICOLOR_FORCE", "1")], ColorChoice::Auto, false));
    }
}
