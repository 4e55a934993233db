use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};

use proptest::prelude::*;

use super::*;

/// Runs a program by the local `sh`, framed as on a node, with a root folder of its own; stdin stays open.
fn local(root: &Path, text: &str, length: usize, parameters: &[&str]) -> Child {
    let words = command(false, "0f", length, parameters);
    let mut child = std::process::Command::new(&words[0])
        .args(&words[1..])
        .env("PVEKUBE_ROOT", root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    child
}

fn whole(root: &Path, program: Program, parameters: &[&str]) -> Child {
    let text = program.text();
    local(root, &text, text.len(), parameters)
}

/// The first line after the frame's begin.
fn first_line(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "@@0f begin");
    lines.next().unwrap().unwrap()
}

#[test]
fn program_that_comes_in_part_does_nothing() {
    let root = tempfile::tempdir().unwrap();
    let text = format!("touch \"$PVEKUBE_ROOT/touched\"\n# {}{LAST_LINE}", "x".repeat(5000));
    for length in [0, 1, 30, 40, 5000, text.len() - 1] {
        let child = local(root.path(), &text[..length], text.len(), &[]);
        let output = child.wait_with_output().unwrap();
        assert_eq!(unframe("0f", &output.stdout, &output.stderr), Framed::NotRun, "{length}");
        assert!(!root.path().join("touched").exists(), "{length}");
    }
    local(root.path(), &text, text.len(), &[]).wait_with_output().unwrap();
    assert!(root.path().join("touched").exists());
}

#[test]
fn program_leaves_its_input_untouched() {
    let root = tempfile::tempdir().unwrap();
    let text = format!("cat{LAST_LINE}");
    let mut child = local(root.path(), &text, text.len(), &[]);
    let input: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    let mut stdin = child.stdin.take().unwrap();
    let (sent, output) = std::thread::scope(|scope| {
        let sent = scope.spawn(|| {
            stdin.write_all(&input).unwrap();
            drop(stdin);
        });
        (sent.join(), child.wait_with_output().unwrap())
    });
    sent.unwrap();
    let Framed::Whole(answer) = unframe("0f", &output.stdout, &output.stderr) else { panic!("cut") };
    assert!(answer.stdout == input);
}

/// sshd hands the words to root's login shell as one line, quoted by `openssh` as here.
#[test]
fn every_login_shell_runs_a_program() {
    let quoted = |word: &String| format!("'{}'", word.replace('\'', r"'\''").replace('!', r"'\!'"));
    let text = format!("printf '%s|' \"$@\"; cat; exit 7{LAST_LINE}");
    let words = command(false, "0f", text.len(), &["", "a 'b' $HOME;", "*!c"]);
    let line = words.iter().map(quoted).collect::<Vec<_>>().join(" ");
    assert!(!line.contains('\n'), "no csh takes this: {line}");
    let installed = |shell: &&str| ["/bin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(shell).exists());
    let shells: Vec<&str> = ["sh", "bash", "zsh", "fish", "tcsh", "csh"].into_iter().filter(installed).collect();
    assert!(shells.len() > 1, "{shells:?}");
    for shell in shells {
        let mut child = std::process::Command::new(shell)
            .args(["-c", &line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(format!("{text}input").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let Framed::Whole(answer) = unframe("0f", &output.stdout, &output.stderr) else {
            panic!("{shell}: {output:?}")
        };
        assert_eq!((answer.exit, answer.stdout.as_slice()), (7, &b"|a 'b' $HOME;|*!c|input"[..]), "{shell}");
    }
}

/// A node's root with a `qm` that writes down its last argument each time it runs.
fn root_with_qm() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let qm = root.path().join("usr/sbin/qm");
    std::fs::create_dir_all(qm.parent().unwrap()).unwrap();
    std::fs::write(&qm, "#!/bin/sh\nfor last; do :; done\necho \"$last\" >>\"$ROOT/ran\"\n").unwrap();
    std::fs::set_permissions(&qm, std::fs::Permissions::from_mode(0o755)).unwrap();
    root
}

fn start(root: &Path, name: &str) -> Child {
    let runner = OPERATION.text();
    let argv = encode_argv(["qm", "start", name]).unwrap();
    let lengths = [runner.len().to_string(), argv.len().to_string()];
    let mut child = whole(root, START, &[name, &lengths[0], &lengths[1]]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&[runner.as_bytes(), &argv].concat()).unwrap();
    child
}

fn answer(child: Child) -> Answer {
    let output = child.wait_with_output().unwrap();
    match unframe("0f", &output.stdout, &output.stderr) {
        Framed::Whole(answer) => answer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn starts_and_forgets_at_once_do_each_operation_once() {
    let root = root_with_qm();
    let names = ["k8s-1-set-a", "k8s-2-set-a", "k8s-3-set-a"];
    let started: Vec<_> = (0..12).map(|n| start(root.path(), names[n % 3])).collect();
    for child in started {
        assert_eq!(answer(child), Answer::default());
    }
    for name in names {
        while !root.path().join("run/pvekube/ops").join(name).join("rc").exists() {
            std::thread::yield_now();
        }
    }
    let mut ran: Vec<_> =
        std::fs::read_to_string(root.path().join("ran")).unwrap().lines().map(str::to_owned).collect();
    ran.sort();
    assert_eq!(ran, names);
    let forgotten: Vec<_> = (0..12).map(|n| whole(root.path(), FORGET, &[names[n % 3]])).collect();
    for child in forgotten {
        assert_eq!(answer(child), Answer::default());
    }
    assert_eq!(std::fs::read_dir(root.path().join("run/pvekube/ops")).unwrap().count(), 0);
}

#[test]
fn request_that_comes_in_part_starts_nothing() {
    let root = root_with_qm();
    let runner = OPERATION.text();
    let lengths = [runner.len().to_string(), "100".to_owned()];
    let mut child = whole(root.path(), START, &["k8s-1-set-a", &lengths[0], &lengths[1]]);
    child.stdin.take().unwrap().write_all(runner.as_bytes()).unwrap();
    assert_eq!(answer(child).exit, 74);
    assert_eq!(std::fs::read_dir(root.path().join("run/pvekube/ops")).unwrap().count(), 0);
}

#[test]
fn lock_of_a_silent_client_is_free_after_its_patience() {
    let root = tempfile::tempdir().unwrap();
    let mut silent = whole(root.path(), LOCK, &["k8s", "aa", "silent", "1", "1"]);
    assert_eq!(first_line(&mut silent), "held ");
    // Its stdin stays open: the client is there, but its network is not.
    let mut next = whole(root.path(), LOCK, &["k8s", "bb", "next", "60", "60"]);
    assert_eq!(first_line(&mut next), "held aa");
    assert!(silent.wait().unwrap().success());
    drop(next.stdin.take());
    assert!(next.wait().unwrap().success());
}

#[test]
fn lock_is_kept_by_beats_and_freed_by_the_end_of_input() {
    let root = tempfile::tempdir().unwrap();
    let mut holder = whole(root.path(), LOCK, &["k8s", "aa", "holder", "1", "60"]);
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    assert_eq!((line().as_str(), line().as_str()), ("@@0f begin", "held "));
    for beat in ["1", "2", "3"] {
        writeln!(holder.stdin.as_mut().unwrap(), "{beat}").unwrap();
        assert_eq!(line(), format!("beat {beat}"));
    }
    let mut other = whole(root.path(), LOCK, &["k8s", "bb", "other", "1", "60"]);
    assert_eq!(first_line(&mut other), "busy holder ");
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    other.wait().unwrap();
}

#[test]
fn follower_of_a_silent_client_ends_and_cleans_up() {
    let root = tempfile::tempdir().unwrap();
    let mut follower = whole(root.path(), FOLLOW, &["0.05", "1"]);
    let mut said = String::new();
    follower.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(follower.wait().unwrap().success(), "{said}");
    assert!(said.ends_with("@@0f rc=0\n"), "{said}");
    assert_eq!(std::fs::read_dir(root.path().join("run/pvekube")).unwrap().count(), 0);
}

fn framed(noise: &[u8], body: &[u8], code: &str) -> Vec<u8> {
    [noise, b"@@0f begin\n", body, b"\n@@0f rc=", code.as_bytes(), b"\n"].concat()
}

#[test]
fn answer_is_what_stands_between_the_marks() {
    let stdout = framed(b"welcome to pve1", b"one\ntwo\n", "3");
    let stderr = b"bash: warning\n@@0f begin\noops\n\n@@0f end\n";
    assert_eq!(
        unframe("0f", &stdout, stderr),
        Framed::Whole(Answer { exit: 3, stdout: b"one\ntwo\n".to_vec(), stderr: b"oops\n".to_vec() })
    );
}

#[test]
fn missing_trailer_is_never_an_answer() {
    let whole = framed(b"", b"done", "0");
    for length in 0..whole.len() {
        let cut = unframe("0f", &whole[..length], b"");
        assert!(matches!(cut, Framed::Cut | Framed::NoFrame), "{length}: {cut:?}");
    }
}

#[test]
fn program_that_came_in_half_was_not_run() {
    assert_eq!(unframe("0f", &framed(b"", b"", "incomplete"), b""), Framed::NotRun);
}

#[test]
fn programs_are_posix_shell() {
    for program in ALL {
        let checked = std::process::Command::new("sh").args(["-n", "-c", &program.text()]).output().unwrap();
        assert!(checked.status.success(), "{}: {}", program.name, String::from_utf8_lossy(&checked.stderr));
        assert!(program.text().ends_with("# end of program"), "{}", program.name);
    }
}

#[test]
fn nul_in_an_argument_is_refused() {
    assert_eq!(encode_argv(["a\0b"]), None);
}

proptest! {
    #[test]
    fn any_output_comes_back(noise: Vec<u8>, body: Vec<u8>, stderr: Vec<u8>, code in 0..256i32) {
        prop_assume!(find(&noise, b"@@0f").is_none());
        let answer = unframe("0f", &framed(&noise, &body, &code.to_string()), &stderr);
        let Framed::Whole(answer) = answer else { return Err(TestCaseError::fail("not whole")) };
        prop_assert_eq!((answer.exit, answer.stdout), (code, body));
    }
}
