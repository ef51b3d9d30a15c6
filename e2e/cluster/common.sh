# shellcheck shell=bash disable=SC2034
# Sourced by the scripts of this folder: where the test cluster is.

repository=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../..
cluster=${PILOTLIGHT_CLUSTER:-$repository/../shared/cluster}
state=${PILOTLIGHT_CLUSTER_STATE:-/var/lib/${PILOTLIGHT_CLUSTER_NAME:-pilotlight}-cluster}
components=(queue-proxy activator autoscaler operator)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$repository/pyproject.toml")

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

[[ -x $cluster/up ]] || fail "no test cluster at $cluster; name one by PILOTLIGHT_CLUSTER"

in_cluster() {
    "$cluster/in-cluster" "$@"
}
