#!/usr/bin/env bash
# Builds the programs of a Kubernetes cluster, Helm and private servers from the Go modules pinned in build/, and prints their folder.
#
# The first build takes some 6 minutes on 2 cores (300 MB of downloads, 5 GB in Go's own caches). A program whose stamp
# still fits is not built again, which takes no time and needs no Go. Progress goes to stderr.
#
#   build.sh [PROGRAM…]  default: the control plane, etcd kube-apiserver kube-controller-manager kube-scheduler kubectl;
#                        further ones: helm; promtool; a node's, kubelet kube-proxy coredns (some 90 s more);
#                        servers to dial, ferretdb nats-server (some 90 s more)
#
#   FLOWGEN_TEST_CACHE   the cache folder; the programs go to its bin/ (default ~/.cache/flowgen-gateway-webhook)
#   KUBEBUILDER_ASSETS   a folder that has the programs already (as `setup-envtest use -p path` prints): nothing is built
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=${FLOWGEN_TEST_CACHE:-$HOME/.cache/flowgen-gateway-webhook}/bin

say() { printf '%s\n' "$*" >&2; }

# version_of MODULE FOLDER: the version that the folder's go.mod requires.
version_of() {
  awk -v module="$1" '{ sub(/^require /, "") } $1 == module && $2 ~ /^v/ { print $2; exit }' "$here/build/$2/go.mod"
}

# The server's version for clients, which would be v0.0.0 otherwise.
kubernetes_version_flags() {
  local variables=k8s.io/component-base/version version major minor _
  version=$(version_of k8s.io/kubernetes kubernetes)
  IFS=. read -r major minor _ <<<"${version#v}"
  printf -- '-X %s.gitVersion=%s ' "$variables" "$version"
  printf -- '-X %s.gitMajor=%s -X %s.gitMinor=%s ' "$variables" "$major" "$variables" "$minor"
  printf -- '-X %s.gitTreeState=clean -X %s.buildDate=2026-01-01T00:00:00Z' "$variables" "$variables"
}

# Its own version, and the Kubernetes version that `helm template` assumes: that of the libraries in it; without it, 1.20.
helm_version_flags() {
  local package=helm.sh/helm/v3 minor variables
  minor=$(version_of k8s.io/client-go helm) && minor=${minor#v0.}
  printf -- '-X %s/internal/version.version=%s' "$package" "$(version_of "$package" helm)"
  for variables in pkg/chartutil pkg/lint/rules; do
    printf -- ' -X %s/%s.k8sVersionMajor=1 -X %s/%s.k8sVersionMinor=%s' \
      "$package" "$variables" "$package" "$variables" "${minor%%.*}"
  done
}

# stamp_of FOLDER FLAGS: all that decides what a program is built from.
stamp_of() {
  printf '%s %s %s' "$(cat "$here/build/$1"/*.go "$here/build/$1"/go.{mod,sum} 2>/dev/null | cksum)" "$(uname -sm)" "$2"
}

need_go() {
  command -v go >/dev/null && return
  say "The control plane's programs are not in $bin, and building them needs Go, which is not in PATH."
  say "Either install Go $(awk '$1 == "go" { print $2 }' "$here/build/etcd/go.mod") or newer (https://go.dev/doc/install),"
  say "or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl."
  exit 1
}

is_built() { [ -x "$bin/$1" ] && [ "$(cat "$bin/.$1.stamp" 2>/dev/null)" = "$2" ]; }

# Two builds at once would do the same work twice: the second waits, then finds it done.
lock() {
  if [ -z "${locked:-}" ] && command -v flock >/dev/null; then
    exec 9>"$bin/.lock"
    flock 9
  fi
  locked=yes
}

# build PROGRAM FOLDER PACKAGE [LINKER FLAGS] [TAGS]
build() {
  local program=$1 folder=$2 package=$3 flags="-s -w ${4:-}" tags=${5:-} stamp started=$SECONDS
  stamp=$(stamp_of "$folder" "$flags$tags")
  is_built "$program" "$stamp" && return
  need_go
  mkdir -p "$bin"
  lock
  is_built "$program" "$stamp" && return
  say "building $program …"
  # Without cgo there is one set of compiled packages for all programs, and no C compiler is needed.
  (cd "$here/build/$folder" && CGO_ENABLED=0 GOFLAGS='' GOWORK=off nice -n 10 \
    go build -mod=readonly -trimpath -buildvcs=false -tags "$tags" -ldflags "$flags" -o "$bin/.$program.new" "$package")
  mv "$bin/.$program.new" "$bin/$program"
  printf '%s' "$stamp" >"$bin/.$program.stamp"
  say "built $program in $((SECONDS - started)) s"
}

build_by_name() {
  case $1 in
    etcd) build etcd etcd go.etcd.io/etcd/server/v3 ;;
    kube-apiserver | kube-controller-manager | kube-scheduler | kubectl | kubelet | kube-proxy)
      build "$1" kubernetes "k8s.io/kubernetes/cmd/$1" "$(kubernetes_version_flags)" ;;
    helm) build helm helm helm.sh/helm/v3/cmd/helm "$(helm_version_flags)" ;;
    coredns) build coredns coredns . ;;
    ferretdb) build ferretdb ferretdb . ;;
    nats-server) build nats-server nats-server github.com/nats-io/nats-server/v2 ;;
    # Without the service discovery, whose dependencies (the SDKs of the clouds) are most of it.
    promtool) build promtool promtool github.com/prometheus/prometheus/cmd/promtool '' remove_all_sd ;;
    *) say "build.sh: $1 is none of: ${all[*]} helm promtool kubelet kube-proxy coredns ferretdb nats-server" && exit 2 ;;
  esac
}

need_asset() {
  [ -x "$KUBEBUILDER_ASSETS/$1" ] && return
  say "KUBEBUILDER_ASSETS is $KUBEBUILDER_ASSETS, which has no $1: put it there, or unset the variable to build from source."
  exit 1
}

all=(etcd kube-apiserver kube-controller-manager kube-scheduler kubectl)
if [ $# -eq 0 ]; then set -- "${all[@]}"; fi
if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  for program in "$@"; do need_asset "$program"; done
  printf '%s\n' "$KUBEBUILDER_ASSETS"
else
  for program in "$@"; do build_by_name "$program"; done
  printf '%s\n' "$bin"
fi
