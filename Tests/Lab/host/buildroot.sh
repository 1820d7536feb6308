# shellcheck shell=bash
# The build root: a Debian tree with a cloud kernel, its headers and its compiler, and what a static program needs. apt
# resolves kernel and headers together, so they always match.
# SPDX-License-Identifier: Apache-2.0

readonly buildroot_packages=(
    bash binutils coreutils dash diffutils findutils grep kmod libc6-dev make mawk sed xz-utils
)

buildroot_stamp() { recipe_hash "$lab_dir"/host/{kernel,debian,buildroot}.sh; }

# Sets `compiler` to the newest compiler in a tree. The headers bring the one that the kernel was built with.
find_compiler() {
    local found
    mapfile -t found < <(cd "$1/usr/bin" && printf '%s\n' x86_64-linux-gnu-gcc-[0-9]* | sort -V)
    compiler=${found[-1]}
    [[ -x $1/usr/bin/$compiler ]] || die "the packages hold no compiler for the kernel's headers"
}

# MANIFEST covers the listing. The tree is compared with the listing before use.
fill_buildroot() {
    local folder=$1 release compiler
    unpack_release "$kernel_release" "$folder/tree" "${buildroot_packages[@]}" \
        linux-{image,headers}-cloud-amd64/"$kernel_suite"
    ln -sf mawk "$folder/tree/usr/bin/awk"
    find_compiler "$folder/tree"
    ln -sf "$compiler" "$folder/tree/usr/bin/cc"
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
