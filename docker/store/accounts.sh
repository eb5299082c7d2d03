#!/bin/sh
# Makes the store's users; one that is there gets the password of now.  accounts USER…
set -eu
store() { versitygw admin --access root --secret "$(cat /run/secrets/s3_root)" --endpoint-url http://store:7070 "$@"; }
there=$(store list-users)
for user; do
  if echo "$there" | awk '{ print $1 }' | grep -qx "$user"; then
    store update-user --access "$user" --secret "$(cat "/run/secrets/s3_$user")" > /dev/null
  else
    store create-user --access "$user" --secret "$(cat "/run/secrets/s3_$user")" --role user > /dev/null
  fi
  echo "Ready: $user"
done
