# The volumes of a VM on a storage: STORAGE VMID.
exec pvesm list "$1" --vmid "$2" </dev/null
