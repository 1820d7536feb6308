# shellcheck shell=bash
# What each guest of "scripts/lab pair" has besides: ssh, and the driver of the NIC that QEMU emulates. An archive that is
# unpacked over the base initramfs.
# SPDX-License-Identifier: Apache-2.0

# sshd depends on systemd, or on this small part of it.
readonly pairing_packages=(openssh-client openssh-server systemd-standalone-sysusers)
readonly pairing_modules=(virtio_net)

pairing_stamp() { recipe_hash "$lab_dir"/host/{debian,image,addition,pairing}.sh "$cache/image/release"; }

fill_pairing() {
    local folder=$1
    unpack_packages "$folder/tree" "${pairing_packages[@]}"
    add_modules "$folder/tree" "${pairing_modules[@]}"
    pack_packages "$folder"
}

pairing_is_whole() { artefact_is_whole pairing "$(pairing_stamp)"; }

# Call with the exclusive lock held.
ensure_pairing() {
    if pairing_is_whole; then return; fi
    # The modules come from the build root.
    ensure_buildroot
    ensure_image
    say "fetching ${pairing_packages[*]}"
    make_artefact pairing "$(pairing_stamp)" fill_pairing
}
