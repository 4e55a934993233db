# Removes a file of ours, and what a broken upload left: PATH.
own_path "$1"
rm -f "$file" "$file.part"
