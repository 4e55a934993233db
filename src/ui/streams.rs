//! stdout and stderr, and the picture at the end of stderr.

use std::io::{ErrorKind, Write};

use crate::error::Fault;

pub(super) struct Streams {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// Nobody reads stdout any more.
    out_closed: bool,
    picture: Picture,
}

/// What stands at the end of stderr and is drawn anew.
#[derive(Default)]
struct Picture {
    text: String,
    /// Lines that it takes on the screen.
    lines: usize,
}

impl Streams {
    pub(super) fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self { out, err, out_closed: false, picture: Picture::default() }
    }

    pub(super) fn data(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.out_closed {
            return Ok(());
        }
        match self.out.write_all(bytes).and_then(|()| self.out.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.out_closed = true;
                Ok(())
            }
            Err(error) => Err(Fault::new(
                "output",
                format!("can't write to stdout: {error}"),
                "look at where the output goes (disk full?), then run it again",
            )),
        }
    }

    /// Writes to stderr, above the picture. Nothing can be said about a stderr that can't be written.
    pub(super) fn above(&mut self, bytes: &[u8]) {
        let whole = [self.erase().as_bytes(), bytes, self.picture.text.as_bytes()].concat();
        self.write(&whole);
    }

    /// Puts `text` (whole lines) in place of the picture; empty: removes it.
    pub(super) fn draw(&mut self, text: String) {
        let whole = [self.erase().as_bytes(), text.as_bytes()].concat();
        self.picture = Picture { lines: text.lines().count(), text };
        self.write(&whole);
    }

    /// In one piece, so that nothing flickers.
    fn write(&mut self, bytes: &[u8]) {
        let _ = self.err.write_all(bytes).and_then(|()| self.err.flush());
    }

    /// Cursor to the picture's first line, everything below cleared.
    fn erase(&self) -> String {
        if self.picture.lines == 0 { String::new() } else { format!("\u{1b}[{}A\r\u{1b}[J", self.picture.lines) }
    }
}
