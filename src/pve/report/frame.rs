//! The sections of an answer: splitting one, and writing one.

use super::ReportError;

/// The format's version, said by `begin`.
pub const VERSION: &str = "1";

/// One section: the words of its header, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    pub name: String,
    pub args: Vec<String>,
    pub content: &'a [u8],
}

impl Section<'_> {
    /// Content as lines of text, empty ones left out; bytes that are not UTF-8 become U+FFFD.
    pub fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(self.content);
        text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
    }
}

/// Splits an answer. It must begin with a known version and end with `end`.
pub fn split<'a>(nonce: &str, bytes: &'a [u8]) -> Result<Vec<Section<'a>>, ReportError> {
    let marker = format!("\n@@{nonce} ").into_bytes();
    let starts = positions(bytes, &marker);
    let mut sections = Vec::new();
    for (index, start) in starts.iter().enumerate() {
        let header_at = start + marker.len();
        let stop = starts.get(index + 1).copied().unwrap_or(bytes.len());
        let Some(length) = bytes[header_at..stop].iter().position(|byte| *byte == b'\n') else {
            return Err(ReportError::Incomplete("it breaks off in a header".to_owned()));
        };
        let header = String::from_utf8_lossy(&bytes[header_at..header_at + length]).into_owned();
        let mut words = header.split(' ').map(str::to_owned);
        sections.push(Section {
            name: words.next().unwrap_or_default(),
            args: words.collect(),
            content: &bytes[header_at + length + 1..stop],
        });
    }
    check(sections)
}

fn check(sections: Vec<Section<'_>>) -> Result<Vec<Section<'_>>, ReportError> {
    let Some(first) = sections.first() else {
        return Err(ReportError::Incomplete("nothing of it arrived".to_owned()));
    };
    if first.name != "begin" || first.args != [VERSION] {
        return Err(ReportError::Odd(format!("it begins with `{} {}`", first.name, first.args.join(" "))));
    }
    match sections.last() {
        Some(last) if last.name == "end" => Ok(sections),
        Some(last) => Err(ReportError::Incomplete(format!("it breaks off in `{}`", last.name))),
        None => Err(ReportError::Incomplete("nothing of it arrived".to_owned())),
    }
}

fn positions(bytes: &[u8], marker: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(newline) = bytes[at..].iter().position(|byte| *byte == b'\n') {
        at += newline;
        if bytes[at..].starts_with(marker) {
            found.push(at);
            at += marker.len();
        } else {
            at += 1;
        }
    }
    found
}

/// Writes an answer, byte for byte as the shell programs do.
#[derive(Clone, Debug)]
pub struct Writer {
    nonce: String,
    out: Vec<u8>,
}

impl Writer {
    /// Starts with `begin`.
    pub fn new(nonce: &str) -> Self {
        let mut writer = Self { nonce: nonce.to_owned(), out: Vec::new() };
        writer.section(&["begin", VERSION], b"");
        writer
    }

    /// A section: the words of its header, then content as it is.
    pub fn section(&mut self, header: &[&str], content: &[u8]) {
        self.out.extend_from_slice(format!("\n@@{} {}\n", self.nonce, header.join(" ")).as_bytes());
        self.out.extend_from_slice(content);
    }

    /// A section with one line for each item.
    pub fn lines<I: IntoIterator<Item = S>, S: std::fmt::Display>(&mut self, header: &[&str], lines: I) {
        let text: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
        self.section(header, text.as_bytes());
    }

    /// `file NAME` with its bytes, or `absent NAME`.
    pub fn file(&mut self, name: &str, content: Option<&[u8]>) {
        match content {
            Some(content) => self.section(&["file", name], content),
            None => self.section(&["absent", name], b""),
        }
    }

    /// `configs`: pairs of path (`NODE/qemu-server/VMID.conf`) and bytes, in the order of their paths' bytes.
    pub fn configs(&mut self, files: &[(String, Vec<u8>)]) {
        let mut files: Vec<_> = files.iter().collect();
        files.sort();
        let mut content = Vec::new();
        for (path, bytes) in &files {
            content.extend_from_slice(format!("{} {path}\n", bytes.len()).as_bytes());
        }
        if !files.is_empty() {
            content.push(b'\n');
        }
        for (_, bytes) in &files {
            content.extend_from_slice(bytes);
        }
        self.section(&["configs"], &content);
    }

    /// Ends with `end`.
    pub fn finish(mut self) -> Vec<u8> {
        self.section(&["end"], b"");
        self.out
    }
}
