//! Schema and reader agree: what the reader takes is valid, and what it refuses for its shape is not.

use pvekube::input::{self, InputFile, Problem, ProblemId, Where};
use serde_json::Value;

use super::case::{files, parse};

/// What a schema can see: keys, and types, bounds and letters of single values.
fn is_shape(problem: &Problem) -> bool {
    matches!(
        problem.id,
        ProblemId::UnknownKey
            | ProblemId::MissingKey
            | ProblemId::EmptyValue
            | ProblemId::WrongType
            | ProblemId::OutOfRange
            | ProblemId::BadValue
            | ProblemId::Numbers
    )
}

/// What no schema sees: to JSON `2.0` is `2`, and `1e1` is `10`.
const UNSEEN: [&str; 2] = ["whole float", "exponent as a factor"];

#[test]
fn the_schema_refuses_what_the_reader_refuses_for_its_shape_and_nothing_that_it_takes() {
    let config = jsonschema::validator_for(&input::schema_config()).unwrap();
    let manifest = jsonschema::validator_for(&input::schema_manifest()).unwrap();
    let (mut wrong, mut refused) = (Vec::new(), 0);
    for case in super::tables().into_iter().flat_map(|(_, cases)| cases) {
        let (config_text, manifest_text) = files(&case);
        let problems = parse(config_text.clone(), manifest_text.clone()).err();
        for (file, schema, text) in
            [(InputFile::Config, &config, config_text), (InputFile::Manifest, &manifest, manifest_text)]
        {
            // As an editor's check reads it; what is no YAML has no shape.
            let Ok(value) = serde_yaml::from_str::<Value>(&text) else { continue };
            let here = |problem: &&Problem| matches!(&problem.place, Where::File(span) if span.file == file);
            let found: Vec<&Problem> = problems.iter().flat_map(|problems| &problems.list).filter(here).collect();
            let errors: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
            if found.is_empty() && !errors.is_empty() {
                wrong.push(format!("{}: the reader takes it, the schema not: {errors:?}", case.name));
            }
            if found.iter().any(|problem| is_shape(problem)) {
                refused += 1;
                if errors.is_empty() && !UNSEEN.contains(&case.name) {
                    let messages: Vec<&str> = found.iter().map(|problem| problem.message.as_str()).collect();
                    wrong.push(format!("{}: the schema takes it, the reader not: {messages:?}", case.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused > 80, "only {refused} cases have a wrong shape");
}
