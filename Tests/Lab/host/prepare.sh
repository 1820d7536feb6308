# shellcheck shell=bash
# Makes the artefacts that a boot needs. Uses the network only if something is missing.
# SPDX-License-Identifier: Apache-2.0

. "$lab_dir/host/programs.sh"
. "$lab_dir/host/peers.sh"
. "$lab_dir/host/addition.sh"
. "$lab_dir/host/selftests.sh"
. "$lab_dir/host/debugging.sh"
. "$lab_dir/host/pairing.sh"

# The modules to build; scripts/lab selects those of the requested NICs.
modules=(labnic labdevices)

modules_are_whole() {
    local module
    for module in "${modules[@]}"; do module_is_whole "$module" || return; done
}

ensure_modules() {
    local module
    for module in "${modules[@]}"; do ensure_module "$module"; done
}

# The peers and the kernel's selftests need a large download, so they are made only if they are used.
everything_is_whole() {
    image_is_whole && modules_are_whole && programs_are_whole && { ((!peers)) || peers_are_whole; } &&
        { ((!selftests)) || selftests_are_whole; } && { ((!debug)) || debugging_is_whole; } &&
        { [[ -z $link ]] || pairing_is_whole; }
}

ensure_everything() {
    ensure_image
    ensure_modules
    ensure_programs
    if ((peers)); then ensure_peers; fi
    if ((selftests)); then ensure_selftests; fi
    if ((debug)); then ensure_debugging; fi
    if [[ -n $link ]]; then ensure_pairing; fi
}

# Newer packages replace the old ones only once they are unpacked.
refresh_everything() {
    say "fetching the newest packages"
    make_artefact buildroot "$(buildroot_stamp)" fill_buildroot
    make_artefact image "$(image_stamp)" fill_image
    ensure_everything
}

prepare() {
    need_commands cpio zstd depmod modprobe flock sha256sum tar xz
    if with_cache_lock shared everything_is_whole; then return; fi
    with_cache_lock exclusive ensure_everything
}

prepare_again() {
    need_commands cpio zstd depmod modprobe flock sha256sum tar xz
    with_cache_lock exclusive refresh_everything
}

clean_cache() {
    for kernel in 6.12 sid newest; do
        choose_kernel
        clean_kernel
    done
}

# Removes the artefacts of $kernel.
clean_kernel() {
    [[ -d $cache ]] || return 0
    # Do not delete a directory that another program made.
    [[ -e $cache/lock ]] || die "$cache does not look like the lab's cache; remove it by hand"
    with_cache_lock exclusive rm -rf "$cache"/{buildroot,image,{driver,devices}{,-other},programs,peers,selftests,debugging,pairing}{,.making} "$cache"/{accel-*,style}
    rm -f "$cache/lock"
    rmdir "$cache" 2>/dev/null || true
}
