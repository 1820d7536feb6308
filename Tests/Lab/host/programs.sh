# shellcheck shell=bash
# The tests' programs: each C file in Tests/Lab/programs becomes a static binary, and Tests/Lab/cuda becomes libcuda.so.1
# in cuda and, with functions missing, in cuda-old and cuda-broken, and libamdhip64.so.6 in rocm. They are built in the
# build root when one of them changes.
# SPDX-License-Identifier: Apache-2.0

programs_dir=$lab_dir/programs
cuda_sources=("$lab_dir"/cuda/*.[ch] "$lab_dir"/cuda/include/*.h
    "$repository"/Sources/CDevmem/include/cdm_{cuda,rocm}.h)

programs_stamp() {
    {
        buildroot_stamp
        recipe_hash "$lab_dir/host/programs.sh"
        sha256sum -- "${cuda_sources[@]}" | cut -d' ' -f1
        cd "$programs_dir" && sha256sum -- *.[ch]
    } | sha256sum | cut -d' ' -f1
}

fill_programs() {
    local folder=$1
    mkdir -p "$folder"/build/library "$folder/bin"
    cp -- "$programs_dir"/*.[ch] "$folder/build/"
    cp -- "${cuda_sources[@]}" "$folder/build/library/"
    quietly "building the tests' programs" "$folder/build.log" \
        in_buildroot "$folder/build" sh -euc '
            cd /build
            for source in *.c; do
                cc -O2 -Wall -Wextra -Werror -static -s -o "${source%.c}" "$source"
            done
            library() {
                folder=$1
                shift
                mkdir "$folder"
                cc -std=gnu23 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -shared -fPIC -s -Ilibrary "$@" \
                    library/cuda-*.c library/ptx-*.c -o "$folder/$name"
            }
            name=libcuda.so.1
            library cuda
            library cuda-old -DcuMemGetHandleForAddressRange=absent
            library cuda-broken -DcuMemAlloc_v2=absent
            name=libamdhip64.so.6
            library rocm library/rocm-stand-in.c'
    rm -r -- "$folder"/build/*.[ch] "$folder/build/library"
    mv -- "$folder"/build/* "$folder/bin/"
    rm -rf "$folder/build" "$folder/build.log"
    (cd "$folder" && find bin -type f -exec sha256sum {} + >MANIFEST)
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
