# shellcheck shell=bash
# The software NIC's kernel module, built in the build root whenever its sources or the kernel
# change.
# SPDX-License-Identifier: Apache-2.0

# A driver tried out from elsewhere has its own place in the cache.
driver_dir=${DEVMEMTCP_LAB_DRIVER:-$lab_dir/driver}
driver_artefact=driver${DEVMEMTCP_LAB_DRIVER:+-other}

driver_sources() {
    find "$driver_dir" -maxdepth 1 -type f \
        \( -name '*.[ch]' ! -name '*.mod.c' -o -name Kbuild -o -name Makefile \) | LC_ALL=C sort
}

driver_stamp() {
    local sources
    mapfile -t sources < <(driver_sources)
    ((${#sources[@]})) || die "no driver sources in $driver_dir"
    {
        cat "$lab_dir/host/driver.sh" "$cache/image/release"
        cd "$driver_dir" && sha256sum "${sources[@]##*/}"
    } | sha256sum | cut -d' ' -f1
}

fill_driver() {
    local folder=$1 release sources
    release=$(<"$cache/image/release")
    mapfile -t sources < <(driver_sources)
    mkdir "$folder/build"
    cp -- "${sources[@]}" "$folder/build/"
    quietly "building the driver" "$folder/build.log" \
        in_buildroot "$folder/build" make -s -C "/lib/modules/$release/build" M=/build -j2 modules
    [[ -s $folder/build/labnic.ko ]] || die "the driver's build made no labnic.ko in $folder/build"
    # Warnings are the driver developer's business, so they are not swallowed.
    cat "$folder/build.log" >&2
    cp "$folder/build/labnic.ko" "$folder/"
    rm -rf "$folder/build" "$folder/build.log"
    (cd "$folder" && sha256sum labnic.ko >MANIFEST)
}

driver_is_whole() { artefact_is_whole "$driver_artefact" "$(driver_stamp)"; }

# Call with the exclusive lock held.
ensure_driver() {
    if driver_is_whole; then return; fi
    ((EUID == 0)) || die "building the driver needs root; run it as root once"
    ensure_buildroot
    ensure_image
    say "building the driver"
    make_artefact "$driver_artefact" "$(driver_stamp)" fill_driver
}
