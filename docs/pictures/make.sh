#!/bin/sh
# Makes the pictures of the README from the real program on the sandbox: docs/pictures/make.sh [PVEKUBE]
# Needs tmux and Python; Rich (a Python library) draws what the terminal showed.
set -eu
cd "$(dirname "$0")/../.."
root=$(pwd)
pvekube=${1:-$root/target/debug/pvekube}
[ -d target/pictures ] || python3 -m venv target/pictures
target/pictures/bin/pip install --quiet --disable-pip-version-check rich==14.1.0

work=$(mktemp -d)
socket=pvekube-pictures-$$
trap 'tmux -L "$socket" kill-server 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/desk"
ln -s "$pvekube" "$work/bin/pvekube"

# A terminal with nothing in it but what is typed here.
tmux -L "$socket" -f /dev/null new-session -d -x 100 -y 44 -c "$work/desk" \
    env -i HOME="$work/desk" PATH="$work/bin:$PATH" TERM=screen-256color PS1='$ ' sh
type_in() { tmux -L "$socket" send-keys "$1" Enter; }
seen() { tmux -L "$socket" capture-pane -p | grep -q -- "$1"; }
picture() { # NAME TITLE FIRST-LINE
    tmux -L "$socket" capture-pane -ep | sed -n "/$3/,\$p" >"$work/$1.ansi"
    target/pictures/bin/python docs/pictures/svg.py "$2" <"$work/$1.ansi" >"docs/pictures/$1.svg"
}
await() { until seen "$1"; do sleep 0.1; done; }

type_in 'clear; pvekube plan --sandbox -q'
await 'Plan: 6 to add'
picture plan 'pvekube plan' 'pvekube will'
type_in 'clear; pvekube apply --sandbox --auto-approve >/dev/null'
await 'k8s-worker.*cloning'
picture apply 'pvekube apply, half-way' Applying
# Twice: it leaves at once, and lets go of the folder.
tmux -L "$socket" send-keys C-c C-c
await '^\$ '
