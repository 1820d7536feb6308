# shellcheck shell=bash
# Archives that are unpacked over the base initramfs: what one boot has besides.
# SPDX-License-Identifier: Apache-2.0

# add_modules TREE MODULE...: adds modules of the kernel to those of the base.
add_modules() {
    local tree=$1
    shift
    # depmod looks in /lib, which is a link in the guest.
    ln -s usr/lib "$tree/lib"
    copy_modules "$tree" "$(<"$cache/image/release")" "${guest_modules[@]}" "$@"
    rm "$tree/lib"
}

# pack_addition FOLDER TREE: packs the tree into the archive of an artefact.
pack_addition() {
    local folder=$1 tree=$2
    pack_initramfs "$tree" | zstd -q -T0 -10 -o "$folder/archive"
    (cd "$folder" && sha256sum archive >MANIFEST)
}

# pack_packages FOLDER: packs what unpack_packages left in FOLDER/tree, without what the guest does not need or
# has from the base.
pack_packages() {
    local folder=$1
    remove_unwanted "$folder/tree"
    drop_known_files "$folder/tree"
    pack_addition "$folder" "$folder/tree"
    rm -rf "${folder:?}/tree"
}
