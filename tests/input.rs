//! The two files of the operator: the documented starting points, the original plan's config, and every default.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use pvekube::input::{self, Env, Loaded, Problems, SourceFile};

const ORIGINAL: &str = include_str!("fixtures/original/config.yaml");
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcWOvYHchBXg8fz813/6jN/NwnCbSEGwIkM0JQSEWIj a@b";

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.to_owned() }
}

fn parse(config: &str, manifest: &str) -> Result<Loaded, Box<Problems>> {
    let read_file = |path: &Path| match path.to_str() {
        Some("/home/op/.ssh/id.pub") => Ok(format!("{KEY}\n")),
        _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
    };
    let env = Env { home: Some(PathBuf::from("/home/op")), read_file: &read_file };
    input::parse(&file("config.yaml", config), &file("cluster.yaml", manifest), &env)
}

fn fine(config: &str, manifest: &str) -> Loaded {
    parse(config, manifest).unwrap_or_else(|problems| panic!("{}", problems.render(false, 100)))
}

#[test]
fn the_examples_are_fine() {
    let loaded = fine(&input::example_config().text, &input::example_manifest().text);
    assert_eq!(loaded.warnings, []);
    insta::assert_snapshot!(serde_json::to_string_pretty(&loaded.desired).unwrap());
}

#[test]
fn the_original_config_has_one_problem_its_placeholder_key() {
    let problems = parse(ORIGINAL, &input::example_manifest().text).unwrap_err();
    insta::assert_snapshot!(problems.render(false, 100));
}
