# shellcheck shell=bash
# The build root: a Debian tree with the newest backported cloud kernel, its headers and its compiler, and what a static
# program needs. apt resolves kernel and headers together, so they always match.
# SPDX-License-Identifier: Apache-2.0

readonly buildroot_packages=(
    bash coreutils dash diffutils findutils gcc-14 grep kmod libc6-dev make mawk sed xz-utils
    "linux-image-cloud-amd64/$debian_release-backports"
    "linux-headers-cloud-amd64/$debian_release-backports"
)

buildroot_stamp() { recipe_hash "$lab_dir"/host/{debian,buildroot}.sh; }

# MANIFEST covers the listing. The tree is compared with the listing before use.
fill_buildroot() {
    local folder=$1 release
    unpack_packages "$folder/tree" "${buildroot_packages[@]}"
    ln -sf mawk "$folder/tree/usr/bin/awk"
    mkdir -p "$folder/tree/build"
    release=$(basename "$folder"/tree/usr/lib/modules/*)
    [[ -e $folder/tree/usr/lib/modules/$release/build/Makefile ]] ||
        [[ -e $folder/tree/usr/src/linux-headers-$release/Makefile ]] ||
        die "the packages hold no headers for kernel $release"
    # Otherwise a package script makes the index of modules.
    depmod --basedir "$folder/tree" "$release"
    printf '%s\n' "$release" >"$folder/release"
    tree_listing "$folder/tree" >"$folder/listing"
    (cd "$folder" && sha256sum release listing >MANIFEST)
}

buildroot_is_whole() {
    artefact_is_whole buildroot "$(buildroot_stamp)" &&
        tree_listing "$cache/buildroot/tree" | cmp -s - "$cache/buildroot/listing"
}

# The caller holds the exclusive lock.
ensure_buildroot() {
    if buildroot_is_whole; then return; fi
    say "making the build root: kernel, headers and compiler from Debian packages (about a minute)"
    make_artefact buildroot "$(buildroot_stamp)" fill_buildroot
}

# in_buildroot FOLDER COMMAND...: runs a command of the build root, with the folder as /build. Its tools need their own
# glibc and /proc, hence the chroot. The mounts end with a private mount namespace.
in_buildroot() {
    unshare --mount --propagation private bash -euc '
        root=$1
        mount --bind "$2" "$root/build"
        mount -t proc proc "$root/proc"
        mount -t tmpfs tmpfs "$root/tmp"
        shift 2
        chroot "$root" /usr/bin/env -i PATH=/usr/bin:/usr/sbin HOME=/tmp LC_ALL=C.UTF-8 "$@"
    ' in_buildroot "$cache/buildroot/tree" "$@"
}
