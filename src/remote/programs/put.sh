# Writes a file atomically: PATH MODE LENGTH ALGORITHM HEX (the last two `-` when there is nothing to check); stdin: content.
own_path "$1"
part="$file.part"
(umask 022 && mkdir -p "${file%/*}") || exit 73

# Where a client has vanished, sshd and with it the sender of its file may wait for hours: one that has brought nothing for
# a minute is ended.
end_idle_sender() {
  last=$(stat -c %Y "$part" 2>/dev/null) && [ $(($(date +%s) - last)) -ge 60 ] || return 0
  { read -r pid born <"$lock"; } 2>/dev/null && start_of "$pid" && [ "$start" = "$born" ] && kill "$pid"
}
open_lock "$1"
until flock -w 5 8; do end_idle_sender; done
# This program runs in a subshell, whose number `$$` is not.
read -r self _ </proc/self/stat && start_of "$self" && printf '%s %s\n' "$self" "$start" >"$lock"

rm -f "$part"
# Not holding the lock: it outlives a shell that is killed until sshd closes its input.
head -c "$3" >"$part" 8>&- || { rm -f "$part"; exit 73; }
# All is here: checking it may take longer than a minute.
: >"$lock"
if [ "$(stat -c %s "$part")" != "$3" ]; then
  rm -f "$part"
  fail 74 "the content came incomplete"
fi
if [ "$4" != - ] && ! has_digest "$part" "$4" "$5"; then
  rm -f "$part"
  fail 65 "wrong digest: expected $5, got ${digest%% *}"
fi
chmod "$2" "$part" && sync "$part" && mv -f "$part" "$file" || { rm -f "$part"; exit 73; }
