#!/bin/sh
# rootfs.sh: makes the root file system of all images, and prints the path of its tar file. It is Debian with the tools
# of the gateway's images. Made once (a minute), until this script changes. No image registry is used.
#
#   FLOWGEN_TEST_CACHE   the cache folder; it goes to images/ there (default ~/.cache/flowgen-gateway-webhook)
set -eu
folder=${FLOWGEN_TEST_CACHE:-$HOME/.cache/flowgen-gateway-webhook}/images
stamp=$(cksum <"$0")
echo "$folder/rootfs.tar"
if [ -e "$folder/rootfs.tar" ] && [ "$(cat "$folder/rootfs.stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

echo "making the root file system of the test's images …" >&2
mkdir -p "$folder"
rm -rf "$folder/rootfs" "$folder/rootfs.tar"
# The sources of this machine's own packages.
# shellcheck disable=SC2016 # the format is apt's
mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -n 1)
release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
packages=iproute2,iptables,procps,socat,wireguard-tools,wireguard-go,bind9-dnsutils,postgresql-client
# In a mount namespace of its own, because it mounts a /proc in there.
if ! unshare --mount nice -n 10 debootstrap --variant=minbase --include="$packages" "$release" "$folder/rootfs" "$mirror" \
  >"$folder/debootstrap.log" 2>&1; then
  tail -n 20 "$folder/debootstrap.log" >&2
  exit 1
fi
cd "$folder/rootfs"
rm -rf etc/resolv.conf var/cache/apt/archives/*.deb var/lib/apt/lists/* usr/share/doc usr/share/man usr/share/locale usr/share/info
tar --exclude='./dev/*' -cf "$folder/rootfs.new" .
rm -rf "$folder/rootfs"
mv "$folder/rootfs.new" "$folder/rootfs.tar"
echo "$stamp" >"$folder/rootfs.stamp"
