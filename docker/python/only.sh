#!/bin/sh
# Prints one package of a lock file, with its hashes:  only.sh NAME < requirements.txt
exec awk -v name="$1==" 'index($0, name) == 1 { inside = 1 } inside { print } inside && !/\\$/ { exit }'
