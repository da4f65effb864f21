#!/bin/sh
# install.sh: installs what the test of the image for arm64 needs on Debian: an emulator of that processor.
set -eu
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends qemu-user-static >/dev/null
