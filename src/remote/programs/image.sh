# An image file: PATH ALGORITHM HEX. Prints `ok SIZE`, `wrong SIZE` or `absent`.
own_path "$1"
if [ ! -f "$file" ]; then
  printf 'absent\n'
elif has_digest "$file" "$2" "$3"; then
  printf 'ok %s\n' "$(stat -c %s "$file")"
else
  printf 'wrong %s\n' "$(stat -c %s "$file")"
fi
