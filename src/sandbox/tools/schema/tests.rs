use super::*;

fn problem(option: &str, value: &str) -> String {
    check(option, &schema()[option], value).unwrap_err()
}

/// [c-set-and-errors]
#[test]
fn refusals_read_as_recorded() {
    assert_eq!(problem("name", "bad_name"), "invalid format - value does not look like a valid DNS name\n");
    assert_eq!(
        problem("memory", "lots"),
        "invalid format - format error\nmemory.current: type check ('integer') failed - got 'lots'\n"
    );
    assert_eq!(
        problem("ipconfig0", "gw=10.0.0.1"),
        "invalid format - format error\nipconfig0.ip: missing property required by 'ipconfig0.gw'\n"
    );
    assert_eq!(
        problem("ipconfig0", "foo"),
        "invalid format - value without key, but schema does not define a default key\n"
    );
    assert_eq!(problem("cores", "0"), "value must have a minimum value of 1");
    assert!(problem("net0", "virtio=ZZ:00,bridge=vmbr0").contains("net0.macaddr: invalid format - value does not"));
    assert!(check("net0", &schema()["net0"], "model=virtio,macaddr=bc:24:11:00:00:01,bridge=vmbr0").is_ok());
}

#[test]
fn abbreviations_and_bare_booleans() {
    let options = Options::new("vmid text:vmid;full bool;name text:dns-name;newid text:vmid", &["vmid", "newid"]);
    let argv = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let parsed = parse(&options, &argv("9000 101 --full --na web-1")).unwrap();
    assert_eq!((parsed.values["full"].as_str(), parsed.values["name"].as_str()), ("1", "web-1"));
    assert_eq!(parse(&options, &argv("--full 9000 101")), Err(Refusal::Arguments("not enough arguments")));
    assert_eq!(parse(&options, &argv("9000 101 --n x")).unwrap().values["name"], "x");
    assert_eq!(parse(&options, &argv("1 2 --frob")), Err(Refusal::Option(vec!["Unknown option: frob".into()])));
}
