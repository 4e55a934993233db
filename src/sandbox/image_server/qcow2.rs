//! The smallest qcow2 (version 3) file that is right in every field: an empty disk, with a line of ours in the space
//! that the header leaves in its cluster (the guest model reads it).

const CLUSTER_BITS: u32 = 12;
const CLUSTER: usize = 1 << CLUSTER_BITS;
/// Behind the header and its (empty) list of extensions.
const GUEST_AT: u64 = 512;

/// `guest` is what the guest model knows of the disk (it must fit the rest of the cluster).
pub(super) fn file(virtual_bytes: u64, guest: &[u8]) -> Vec<u8> {
    let per_l2 = (CLUSTER as u64 / 8) << CLUSTER_BITS;
    let l1_entries = virtual_bytes.div_ceil(per_l2);
    let l1_clusters = (l1_entries * 8).div_ceil(CLUSTER as u64);
    let (refcount_table, refcount_block, l1) = (1_u64, 2_u64, 3_u64);
    let clusters = l1 + l1_clusters;
    let offset = |cluster: u64| cluster << CLUSTER_BITS;
    let mut file = vec![0_u8; offset(clusters) as usize];
    let mut put = |at: u64, bytes: &[u8]| file[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);

    put(0, b"QFI\xfb");
    put(4, &3_u32.to_be_bytes());
    put(20, &CLUSTER_BITS.to_be_bytes());
    put(24, &virtual_bytes.to_be_bytes());
    put(36, &u32::try_from(l1_entries).unwrap_or(u32::MAX).to_be_bytes());
    put(40, &offset(l1).to_be_bytes());
    put(48, &offset(refcount_table).to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    // Refcounts of 16 bits (1 << 4), a header of 104 bytes.
    put(96, &4_u32.to_be_bytes());
    put(100, &104_u32.to_be_bytes());

    put(offset(refcount_table), &offset(refcount_block).to_be_bytes());
    for cluster in 0..clusters {
        put(offset(refcount_block) + cluster * 2, &1_u16.to_be_bytes());
    }
    put(GUEST_AT, &guest[..guest.len().min(CLUSTER - GUEST_AT as usize)]);
    file
}
