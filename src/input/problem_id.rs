//! The catalogue of input problems: a stable id each, with cause and remedy for `docs/troubleshooting.md`.

use serde::Serialize;

macro_rules! catalogue {
    ($($variant:ident $id:literal: $cause:literal; $remedy:literal.)*) => {
        /// What kind of problem. The text (`unknown-key`) is printed with each problem and never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ProblemId { $($variant),* }

        impl ProblemId {
            pub const ALL: &'static [ProblemId] = &[$(ProblemId::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self { $(ProblemId::$variant => $id),* }
            }

            /// Why it comes, for the catalogue.
            pub fn cause(self) -> &'static str {
                match self { $(ProblemId::$variant => $cause),* }
            }

            /// What to do, for the catalogue.
            pub fn remedy(self) -> &'static str {
                match self { $(ProblemId::$variant => $remedy),* }
            }
        }
    };
}

catalogue! {
    // Files.
    FileMissing "file-missing": "the file is not there"; "Write it with `pvekube init`, name another with `--config` or `--manifest`, or try `--sandbox`.".
    FileUnreadable "file-unreadable": "the file can't be read: permissions, a directory, an I/O error"; "Name a readable file.".
    FileTooLarge "file-too-large": "the file is over 1 MiB"; "Check that it is the right file.".
    NotUtf8 "not-utf8": "the file has bytes that are no UTF-8 text"; "Save it as UTF-8.".
    EmptyFile "empty-file": "the file has nothing but comments and blank lines"; "Start from the example, or from `pvekube init`.".
    // YAML.
    YamlSyntax "yaml-syntax": "the text is not YAML"; "Mend the quotes, brackets or indentation at the place shown.".
    YamlTab "yaml-tab": "a tab in the indentation"; "Indent with spaces.".
    YamlTooDeep "yaml-too-deep": "values nested more than 64 deep"; "Check that it is the right file.".
    YamlAlias "yaml-alias": "an alias (`*name`) without its anchor, inside itself, or too many values by aliases"; "Write the value out.".
    YamlMergeKey "yaml-merge-key": "the merge key `<<` is not part of YAML 1.2 and is not read"; "Write the keys out, or use a size.".
    YamlTag "yaml-tag": "a tag such as `!!str` or `!secret`"; "Remove the tag; quote text that looks like a number.".
    SeveralDocuments "several-documents": "a second document after `---`"; "One file, one document.".
    DuplicateKey "duplicate-key": "a key twice in one section; YAML readers differ in which one counts"; "Keep one.".
    // Shape.
    UnknownKey "unknown-key": "a key that pvekube does not know at this place"; "Take the key that the hint names, or look it up in the reference of the file.".
    MissingKey "missing-key": "a key without a default is not given"; "Add it.".
    EmptyValue "empty-value": "a key with nothing after it"; "Give a value, or remove the key to have its default.".
    WrongType "wrong-type": "a list where a number is wanted, and the like"; "Write the kind of value that the message names.".
    AmbiguousScalar "ambiguous-scalar": "text that YAML 1.1 and 1.2 readers take for different values, such as `no`, `010`, `1e3`, `12:30`"; "Write it unambiguously: quote text, write whole numbers in digits, booleans as true or false.".
    OutOfRange "out-of-range": "a number below or above what is possible"; "Take a number in the range named.".
    BadValue "bad-value": "text that is not what the key takes"; "Follow the hint.".
    // Keys.
    SshKeyPlaceholder "ssh-key-placeholder": "the SSH public key is still the placeholder of an example"; "Put your own public key there: `cat ~/.ssh/id_ed25519.pub`.".
    SshKeyInvalid "ssh-key-invalid": "a line that is no SSH public key"; "Take the whole line of the `.pub` file.".
    SshKeyPrivate "ssh-key-private": "a private key where a public one belongs"; "Take it out of the file, put the `.pub` file's line there, and replace the key pair if the file was ever shared.".
    SshKeyFile "ssh-key-file": "`ssh_public_key_file` can't be read"; "Correct the path.".
    NoSshKey "no-ssh-key": "no public key is given, so nobody could log in to the machines"; "Give `cloud_init.ssh_public_key` or `ssh_public_key_file`.".
    BadPath "bad-path": "a path that can't be resolved: `~` without a home, or another user's home"; "Write an absolute path.".
    // Config.
    DuplicateNode "duplicate-node": "two entries of `proxmox_nodes` have one host or one name"; "Remove one, or give them different `name`s.".
    UnknownNode "unknown-node": "a node's name that is not in `proxmox_nodes`"; "Take the `name` of an entry (default: the first label of its host).".
    ImageUnverified "image-unverified": "neither `checksum_url` nor `image_digest` is given, so the image could not be checked"; "Give one of them.".
    ImageCompressed "image-compressed": "the image is an archive; Proxmox imports qcow2, raw and vmdk only"; "Take the `.img` or `.qcow2` beside it.".
    ChecksumUnprotected "checksum-unprotected": "the checksums come over plain http: who can change the image on the way can change them too"; "Use https, or pin `image_digest`.".
    PrivateKeyPublic "private-key-public": "`ssh_private_key_path` names a `.pub` file"; "Name the file without `.pub`.".
    ReadinessSettings "readiness-settings": "settings of the readiness check that contradict each other"; "Follow the hint.".
    // Manifest.
    NoMachines "no-machines": "the manifest asks for no machine"; "Add `masters`, `workers` or `pools`.".
    EvenMasters "even-masters": "an even number of masters: etcd survives no more failures than with one less"; "Take 1, 3 or 5.".
    PoolName "pool-name": "a pool's name that would make two machines share a name, or is no DNS label"; "Take lower-case letters and digits, not `master` or `worker`.".
    NameTooLong "name-too-long": "a machine's name has more than 63 characters, which no host name may have"; "Shorten `cluster` or the pool's name.".
    Numbers "numbers": "both `count` and `numbers`, neither, a number twice, or zero"; "Give `count: 3`, or `numbers: [1, 2, 4]`.".
    TooManyMachines "too-many-machines": "more machines than one manifest may have"; "Split the cluster.".
    UnknownSize "unknown-size": "a size that `vm_sizes` does not have"; "Take one that it has, or add it.".
    NoSize "no-size": "a pool has no size, and not all of cpus, memory_mb and disk_gb"; "Give `size`, or all three.".
    DiskTooSmall "disk-too-small": "`disk_gb` is below the template's `base_disk_gb`: a disk can't shrink"; "Take a larger disk, or a smaller template.".
    UnusedOverride "unused-override": "an override for a machine that is not asked for"; "Remove it, or add the number.".
    DuplicateVmid "duplicate-vmid": "an id is given to two machines, or to a machine and a template"; "Take another id.".
    VmidRange "vmid-range": "`vmid_range` is no range, or has fewer ids than there are machines"; "Widen it.".
    // Addresses.
    BadAddress "bad-address": "text that is no address with prefix length, or an address no machine can have"; "Write 10.0.0.11/24.".
    BadRange "bad-range": "an address range whose ends don't fit each other"; "Write 10.0.0.20-10.0.0.29/24.".
    AddressMissing "address-missing": "a machine's number is beyond the end of the pool's addresses"; "Add addresses: number n takes element n.".
    AddressReserved "address-reserved": "the subnet's own address or its broadcast address"; "Take one in between.".
    DuplicateAddress "duplicate-address": "two machines, or a machine and its gateway, have one address"; "Give each its own.".
    GatewayOutside "address-outside-subnet": "the gateway is not in the subnet of the machine's address"; "Correct the gateway, the address or the prefix length.".
    NetworkMode "network-mode": "addresses with `mode: dhcp`, `mode: static` without addresses, a gateway without an address"; "Make mode and addresses fit.".
    WrongFamily "wrong-family": "an IPv6 address where IPv4 belongs, or the reverse"; "IPv6 goes to `addresses6`, `gateway6`, `address6`.".
}

impl Serialize for ProblemId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
