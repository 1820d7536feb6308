# shellcheck shell=bash
# Our kernel modules, each built in the build root when its sources or the kernel change: labnic is a software NIC and
# its driver; labdevices are software devices for the kernel's own drivers.
# SPDX-License-Identifier: Apache-2.0

# The directory of each module's sources, and its name in the cache. A module from another directory has another name.
declare -A module_dirs=([labnic]=$lab_dir/driver [labdevices]=$lab_dir/devices)
declare -A module_artefacts=([labnic]=driver [labdevices]=devices)
if [[ -n ${DEVMEMTCP_LAB_DRIVER:-} ]]; then
    module_dirs[labnic]=$DEVMEMTCP_LAB_DRIVER module_artefacts[labnic]=driver-other
fi
if [[ -n ${DEVMEMTCP_LAB_DEVICES:-} ]]; then
    module_dirs[labdevices]=$DEVMEMTCP_LAB_DEVICES module_artefacts[labdevices]=devices-other
fi

# module_sources MODULE: prints its source files, relative to its directory.
module_sources() {
    (cd "${module_dirs[$1]}" && find . -type f \
        \( -name '*.[ch]' ! -name '*.mod.c' -o -name Kbuild -o -name Makefile \) | LC_ALL=C sort)
}

module_stamp() {
    local module=$1 sources
    mapfile -t sources < <(module_sources "$module")
    ((${#sources[@]})) || die "there are no sources of $module in ${module_dirs[$module]}"
    {
        recipe_hash "$lab_dir/host/modules.sh" "$cache/image/release"
        cd "${module_dirs[$module]}" && sha256sum "${sources[@]}"
    } | sha256sum | cut -d' ' -f1
}

fill_module() {
    local folder=$1 module=$2 release sources
    release=$(<"$cache/image/release")
    mapfile -t sources < <(module_sources "$module")
    mkdir "$folder/build"
    (cd "${module_dirs[$module]}" && cp --parents -- "${sources[@]}" "$folder/build/")
    quietly "building $module" "$folder/build.log" \
        in_buildroot "$folder/build" make -s -C "/lib/modules/$release/build" M=/build -j2 modules
    [[ -s $folder/build/$module.ko ]] || die "the build made no $module.ko in $folder/build"
    # The developer of the module must see warnings.
    cat "$folder/build.log" >&2
    cp "$folder/build/$module.ko" "$folder/"
    rm -rf "$folder/build" "$folder/build.log"
    (cd "$folder" && sha256sum "$module.ko" >MANIFEST)
}

module_is_whole() { artefact_is_whole "${module_artefacts[$1]}" "$(module_stamp "$1")"; }

# ensure_module MODULE: the caller holds the exclusive lock.
ensure_module() {
    if module_is_whole "$1"; then return; fi
    ((EUID == 0)) || die "building $1 needs root; run it as root once"
    ensure_buildroot
    ensure_image
    say "building $1"
    make_artefact "${module_artefacts[$1]}" "$(module_stamp "$1")" fill_module "$1"
}
