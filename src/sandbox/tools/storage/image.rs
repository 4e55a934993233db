//! Image files that a disk may be imported from: qcow2 headers are read, anything else is raw.

/// What an import needs to know of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    pub format: &'static str,
    /// Bytes that the guest will see.
    pub virtual_size: u64,
    /// Bytes that a copy takes on a thin storage.
    pub used: u64,
}

/// A qcow2 image is taken to be written to by this part: a cloud image of 2.2 GiB holds about 0.7.
const QCOW2_USED: u64 = 3;

/// Reads an image file's header.
pub fn inspect(bytes: &[u8]) -> Image {
    let length = bytes.len() as u64;
    let field = bytes.get(24..32).and_then(|field| field.try_into().ok()).map(u64::from_be_bytes);
    match field.filter(|_| bytes.starts_with(b"QFI\xfb")) {
        Some(virtual_size) => Image { format: "qcow2", virtual_size, used: virtual_size / QCOW2_USED },
        None => Image { format: "raw", virtual_size: length.div_ceil(512) * 512, used: length },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qcow2_header_and_raw() {
        let mut bytes = vec![0; 72];
        bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        bytes[24..32].copy_from_slice(&1_572_864_000_u64.to_be_bytes());
        assert_eq!(inspect(&bytes), Image { format: "qcow2", virtual_size: 1_572_864_000, used: 524_288_000 });
        assert_eq!(inspect(b"root:x:0:0\n"), Image { format: "raw", virtual_size: 512, used: 11 });
        assert_eq!(inspect(b"QFI\xfb").format, "raw");
    }
}
