#!/bin/sh
# What of curl a guest without it needs: fetch an address, or post to it, and print the answer.
while [ $# -gt 0 ]; do
  case "$1" in
    -X) shift ;;
    -d) post=$2; shift ;;
    -*) ;;
    *) address=$1 ;;
  esac
  shift
done
exec wget -q -O - ${post:+--post-data "$post"} "$address"
