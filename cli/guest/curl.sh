#!/bin/sh
# What of curl a guest without it needs: fetch an address and print it.
for word; do case "$word" in -*) ;; *) address=$word ;; esac; done
exec wget -q -O - "$address"
