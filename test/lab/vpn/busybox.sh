#!/bin/sh
# busybox.sh: builds the busybox that the tunnel tests run the scripts under, and prints its path. Built once (a minute).
#
# The gateway's images are Alpine's, whose busybox is built on musl, and differs from Debian's: another resolver behind
# nslookup, inotifyd is there. So Debian's source is built with musl, in busybox's own default configuration.
#
#   FLOWGEN_TEST_CACHE   the cache folder (default ~/.cache/flowgen-gateway-webhook)
set -eu
busybox=${FLOWGEN_TEST_CACHE:-$HOME/.cache/flowgen-gateway-webhook}/bin/busybox-musl
echo "$busybox"
[ ! -x "$busybox" ] || exit 0

echo "building a busybox on musl …" >&2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The sources of what this machine gets its own packages from, without a change to its lists.
# shellcheck disable=SC2016 # the format is apt's
mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -n 1)
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
mkdir -p "$folder/lists/partial" "$(dirname "$busybox")"
echo "deb-src $mirror $release main" >"$folder/sources"
cd "$folder"
{
  set -- -q -o "Dir::Etc::sourcelist=$folder/sources" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$folder/lists" \
    -o APT::Sandbox::User=root
  apt-get "$@" update
  apt-get "$@" source --download-only busybox
  tar -xf busybox_*.orig.tar.bz2
  cd busybox-*/
  make defconfig
  # tc does not compile against today's kernel headers, which musl has not and Debian keeps elsewhere.
  sed -i 's/^# CONFIG_STATIC is not set/CONFIG_STATIC=y/; s/^CONFIG_TC=y/# CONFIG_TC is not set/' .config
  yes '' | make oldconfig
  make -j2 CC=musl-gcc CFLAGS="-idirafter /usr/include -idirafter /usr/include/$(gcc -print-multiarch)" busybox
  mv busybox "$busybox.new"
} >"$folder/log" 2>&1 || { tail -n 20 "$folder/log" >&2; exit 1; }
mv "$busybox.new" "$busybox"
