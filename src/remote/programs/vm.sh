# One VM, wherever its config lies now: the config, whether its QEMU runs on this node, its operations here.
# $1 nonce, $2 VMID.

section begin 1
local_link
configs "$2"
file vmlist "$ROOT/etc/pve/.vmlist"
running "$2"
operations "$2"
section end
