//! The bake's document as its readers read it: PyYAML takes it for the same data as JSON, and cloud-init's own validator
//! finds nothing to complain about. `tests/run` puts both under `target/`; cloud-init is unpacked there, never installed.

#![allow(clippy::unwrap_used, reason = "a test that can't run Python has failed")]

use std::path::Path;
use std::process::{Command, Output};

use pvekube::input::{Env, SourceFile, example_config, example_manifest, parse};
use pvekube::pve::cloud_init;

fn document(bake: &str) -> String {
    let example = example_config();
    let text = example.text.replace("  base_disk_gb: 16\n", &format!("  base_disk_gb: 16\n  bake: {bake}\n"));
    assert_ne!(text, example.text);
    let config = SourceFile { name: example.name, text };
    let loaded = parse(&config, &example_manifest(), &Env::current()).unwrap();
    cloud_init::document(&loaded.desired.template.bake.unwrap())
}

/// Documents with nothing extra, with what docs/kubernetes.md bakes, and with text that YAML 1.1 reads as something else.
fn documents() -> Vec<String> {
    vec![
        document("{enabled: true}"),
        document("{packages: [containerd], commands: ['modprobe br_netfilter', 'swapoff -a']}"),
        document(r#"{packages: ["no", "1e3"], commands: ["echo 'yes: no' | cat", "true # &x *y", "echo \"ü\""]}"#),
    ]
}

fn python(arguments: &[&str], document: &str) -> Output {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vendor.yaml");
    std::fs::write(&file, document).unwrap();
    Command::new(target.join("venv/bin/python"))
        .args(arguments)
        .arg(&file)
        .env("PYTHONPATH", target.join("cloud-init/usr/lib/python3/dist-packages"))
        .output()
        .expect("target/venv is made by tests/run")
}

#[test]
fn pyyaml_reads_the_same_data() {
    for document in documents() {
        let program = "import json,sys,yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1], encoding='utf-8'))))";
        let output = python(&["-c", program], &document);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let (header, json) = document.split_once('\n').unwrap();
        assert_eq!(header, "#cloud-config");
        assert_eq!(read, serde_json::from_str::<serde_json::Value>(json).unwrap());
    }
}

#[test]
fn cloud_init_finds_it_valid() {
    let validate = ["-m", "cloudinit.cmd.main", "schema", "--config-file"];
    for document in documents() {
        let output = python(&validate, &document);
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("Valid cloud-config"), "{said}\n{document}");
    }
    // The validator does validate.
    assert!(!python(&validate, "#cloud-config\n{\"runcmd\": 5}\n").status.success());
}
