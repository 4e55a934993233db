//! PVE's percent-encoding of description lines (pve-common ParseUtils.pm `encode_text`, `decode_text`).

/// Escapes what PVE escapes: every byte outside 0x20–0x7e, and `%` and `:`.
pub fn encode_text(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for byte in line.bytes() {
        if (0x20..=0x7e).contains(&byte) && byte != b'%' && byte != b':' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Undoes `%XX`; anything else stays. Bytes that are not UTF-8 become U+FFFD, as in PVE.
pub fn decode_text(line: &str) -> String {
    percent_encoding::percent_decode_str(line).decode_utf8_lossy().into_owned()
}
