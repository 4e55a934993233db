//! `Plan` and the rest as text, JSON and markdown: pure functions to strings.
