use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter as _;

use super::*;

/// A stream that keeps what is written, or fails.
#[derive(Clone, Default)]
struct Paper {
    text: Arc<Mutex<Vec<u8>>>,
    fails: Option<io::ErrorKind>,
}

impl Paper {
    fn read(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(kind) = self.fails {
            return Err(kind.into());
        }
        self.text.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn ui(out: &Paper, err: &Paper) -> Ui {
    Ui::to(Box::new(out.clone()), Box::new(err.clone()), Look::PLAIN)
}

#[test]
fn data_and_talk_have_a_stream_each() {
    let (out, err) = (Paper::default(), Paper::default());
    let ui = ui(&out, &err);
    ui.data("plan\n").unwrap();
    ui.talk("3 nodes answered");
    assert_eq!((out.read(), err.read()), ("plan\n".to_owned(), "3 nodes answered\n".to_owned()));
}

#[test]
fn quiet_hides_talk_but_no_warning() {
    let (out, err) = (Paper::default(), Paper::default());
    let mut ui = ui(&out, &err);
    ui.quiet = true;
    ui.talk("talk");
    ui.warn("warning");
    assert_eq!(err.read(), "warning\n");
}

#[test]
fn a_reader_that_went_away_is_no_error_but_a_full_disk_is() {
    let gone = Paper { fails: Some(io::ErrorKind::BrokenPipe), ..Paper::default() };
    let full = Paper { fails: Some(io::ErrorKind::StorageFull), ..Paper::default() };
    assert_eq!(ui(&gone, &Paper::default()).data("x"), Ok(()));
    assert_eq!(ui(&full, &Paper::default()).data("x").unwrap_err().id, "output");
}

#[test]
fn talk_and_log_go_above_the_picture() {
    let (out, err) = (Paper::default(), Paper::default());
    let ui = ui(&out, &err);
    ui.lock().draw("one\ntwo\n".to_owned());
    ui.warn("notice");
    ui.log_writer().make_writer().write_all(b"log\n").unwrap();
    ui.lock().draw(String::new());
    ui.warn("after");
    let up = "\u{1b}[2A\r\u{1b}[J";
    assert_eq!(err.read(), format!("one\ntwo\n{up}notice\none\ntwo\n{up}log\none\ntwo\n{up}after\n"));
}
