# Writes a file atomically: PATH MODE LENGTH ALGORITHM HEX (the last two `-` when there is nothing to check); stdin: content.
own_path "$1"
lock_file "$1"
part="$file.part"
(umask 022 && mkdir -p "${file%/*}") || exit 73
head -c "$3" >"$part" || { rm -f "$part"; exit 73; }
if [ "$(stat -c %s "$part")" != "$3" ]; then
  rm -f "$part"
  fail 74 "the content came incomplete"
fi
if [ "$4" != - ] && ! has_digest "$part" "$4" "$5"; then
  rm -f "$part"
  fail 65 "wrong digest: expected $5, got ${digest%% *}"
fi
chmod "$2" "$part" && sync "$part" && mv -f "$part" "$file" || { rm -f "$part"; exit 73; }
