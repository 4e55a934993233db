//! Machines as other tools want them: Ansible, ssh_config, /etc/hosts, JSON. Pure.
