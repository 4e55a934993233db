//! What Proxmox VE's files and tools look like, pure: grammars, and argument lists built from the plan's actions.
