# shellcheck shell=bash
# The tests' programs: each C file in Tests/Lab/programs becomes a static binary, built in the build root when one of
# them changes.
# SPDX-License-Identifier: Apache-2.0

programs_dir=$lab_dir/programs

programs_stamp() {
    {
        buildroot_stamp
        recipe_hash "$lab_dir/host/programs.sh"
        cd "$programs_dir" && sha256sum -- *.c
    } | sha256sum | cut -d' ' -f1
}

fill_programs() {
    local folder=$1
    mkdir "$folder/build" "$folder/bin"
    cp -- "$programs_dir"/*.c "$folder/build/"
    quietly "building the tests' programs" "$folder/build.log" \
        in_buildroot "$folder/build" sh -euc '
            cd /build
            for source in *.c; do
                gcc-14 -O2 -Wall -Wextra -Werror -static -s -o "${source%.c}" "$source"
            done'
    rm -- "$folder"/build/*.c
    mv -- "$folder"/build/* "$folder/bin/"
    rm -rf "$folder/build" "$folder/build.log"
    (cd "$folder" && sha256sum bin/* >MANIFEST)
}

programs_are_whole() { artefact_is_whole programs "$(programs_stamp)"; }

# The caller holds the exclusive lock.
ensure_programs() {
    if programs_are_whole; then return; fi
    ((EUID == 0)) || die "building the tests' programs needs root; run it as root once"
    ensure_buildroot
    say "building the tests' programs"
    make_artefact programs "$(programs_stamp)" fill_programs
}
