# shellcheck shell=bash
# Debian packages, from the mirror that the host's apt uses.
# SPDX-License-Identifier: Apache-2.0

readonly debian_release=trixie

# The address of the Debian mirror, from the environment or from apt's configuration.
debian_mirror() {
    if [[ -n ${DEVMEMTCP_DEBIAN_MIRROR:-} ]]; then
        printf '%s\n' "$DEVMEMTCP_DEBIAN_MIRROR"
        return
    fi
    # apt expands these variables.
    # Origin and label are unknown until the first "apt-get update", so the path decides.
    apt-get indextargets --format '$(CREATED_BY) $(SITE)' 2>/dev/null |
        awk '$1 == "Packages" && $2 ~ /\/debian\/?$/ { print $2; exit }'
}

debian_keyring() {
    local keyring
    for keyring in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
        if [[ -e $keyring ]]; then
            printf '%s\n' "$keyring"
            return
        fi
    done
    die "no Debian archive keyring; run scripts/setup as root"
}

# The settings of the host's apt that mmdebstrap does not read: of a proxy, and of a mirror that is no longer updated.
debian_apt_options() {
    apt-config dump 2>/dev/null |
        sed -n 's/^\(Acquire::\(https\?::\(.*::\)\?Proxy\|Check-Valid-Until\) "..*";\)$/--aptopt=\1/p'
}

# The first error in a log of mmdebstrap, which causes the others.
unpacking_error() { sed -n 's/^E: *//p' "$1" | head -n 1 | tr -s ' '; }

# debian_sources MIRROR RELEASE: prints the lines for apt. Only a stable release has updates and backports.
debian_sources() {
    printf 'deb %s %s main\n' "$1" "$2"
    [[ $2 != "$debian_release" ]] || printf 'deb %s %s main\n' "$1" "$2-updates" "$1" "$2-backports"
}

# unpack_packages FOLDER PACKAGE...: unpacks packages and their dependencies. Their scripts do not run, which is faster,
# and kernel packages need no boot loader then.
unpack_packages() { unpack_release "$debian_release" "$@"; }

# unpack_release RELEASE FOLDER PACKAGE...: the same for another release of Debian.
unpack_release() {
    local release=$1 folder=$2 mirror keyring options
    shift 2
    ((EUID == 0)) || die "preparing the lab unpacks a Debian tree, which needs root; run it as root once"
    need_commands mmdebstrap apt-get apt-config
    mirror=$(debian_mirror)
    [[ -n $mirror ]] || die "apt's configuration names no Debian mirror; set DEVMEMTCP_DEBIAN_MIRROR to one"
    keyring=$(debian_keyring)
    mapfile -t options < <(debian_apt_options)
    debian_sources "$mirror" "$release" >"$folder.list"
    mmdebstrap --variant=extract --architectures=amd64 --keyring="$keyring" \
        "${options[@]}" --aptopt='Acquire::Retries "3"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --include="$*" "$release" "$folder" "$folder.list" >"$folder.log" 2>&1 </dev/null ||
        die "cannot get packages from $mirror: $(unpacking_error "$folder.log"); is there a network?"
    rm -f "$folder.list" "$folder.log"
}
