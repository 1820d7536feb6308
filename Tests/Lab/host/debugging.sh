# shellcheck shell=bash
# What "scripts/lab --debug" adds to the guest: an archive that is unpacked over the base initramfs.
# SPDX-License-Identifier: Apache-2.0

readonly debugging_packages=(gdb-minimal tcpdump)

debugging_stamp() { recipe_hash "$lab_dir"/host/{debian,image,addition,debugging}.sh "$cache/image/release"; }

fill_debugging() {
    local folder=$1
    unpack_packages "$folder/tree" "${debugging_packages[@]}"
    pack_packages "$folder"
}

debugging_is_whole() { artefact_is_whole debugging "$(debugging_stamp)"; }

# Call with the exclusive lock held.
ensure_debugging() {
    if debugging_is_whole; then return; fi
    ensure_image
    say "fetching ${debugging_packages[*]}"
    make_artefact debugging "$(debugging_stamp)" fill_debugging
}
