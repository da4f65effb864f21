#!/bin/sh
# install.sh: installs the browser in which the page of `audit -o html` is tried.
set -eu
command -v chromium >/dev/null && exit 0
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
