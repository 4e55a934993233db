use proptest::prelude::*;

use super::*;

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
