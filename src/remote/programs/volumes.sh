# The volumes of a VM on a storage: STORAGE VMID. Without --content its backups would be among them.
exec pvesm list "$1" --vmid "$2" --content images </dev/null
