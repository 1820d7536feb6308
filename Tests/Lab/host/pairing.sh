# shellcheck shell=bash
# What each guest of "scripts/lab pair" has besides: ssh, and the driver of the NIC that QEMU emulates. An archive that is
# unpacked over the base initramfs.
# SPDX-License-Identifier: Apache-2.0

# sshd depends on systemd, or on this small part of it.
readonly pairing_packages=(openssh-client openssh-server systemd-standalone-sysusers)
readonly pairing_modules=(virtio_net)

pairing_stamp() { recipe_hash "$lab_dir"/host/{debian,image,pairing}.sh "$cache/image/release"; }

fill_pairing() {
    local folder=$1
    unpack_packages "$folder/tree" "${pairing_packages[@]}"
    remove_unwanted "$folder/tree"
    # depmod looks in /lib, which is a link in the guest.
    ln -s usr/lib "$folder/tree/lib"
    copy_modules "$folder/tree" "$(<"$cache/image/release")" "${guest_modules[@]}" "${pairing_modules[@]}"
    rm "$folder/tree/lib"
    drop_known_files "$folder/tree"
    pack_initramfs "$folder/tree" | zstd -q -T0 -10 -o "$folder/archive"
    rm -rf "${folder:?}/tree"
    (cd "$folder" && sha256sum archive >MANIFEST)
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
