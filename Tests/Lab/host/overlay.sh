# shellcheck shell=bash
# The archive that one run appends to the base initramfs: our modules, the guest's scripts, the tests, their programs and
# peers, the binary under test, the caller's files and the command.
# SPDX-License-Identifier: Apache-2.0

# add_file SPEC ROOT: SPEC is HOST or HOST:GUEST.
add_file() {
    local spec=$1 root=$2 host guest
    if [[ -e $spec ]]; then
        host=$spec guest=/root/$(basename "$spec")
    else
        host=${spec%:*} guest=${spec##*:}
        [[ $spec == *:* && -e $host ]] || usage_error "--file $spec: there is no ${host}"
        [[ $guest == /* ]] || guest=/root/$guest
        [[ $guest != */ ]] || guest+=$(basename "$host")
    fi
    mkdir -p "$root$(dirname "$guest")"
    if [[ -d $host ]]; then
        mkdir -p "$root$guest"
        cp -a -- "$host/." "$root$guest/"
    else
        cp -pL -- "$host" "$root$guest"
    fi
}

# Writes assignments, quoted for bash, which the guest's init reads.
write_settings() {
    local name
    for name in mode link nic far manners wires queues mtu limit unload rows columns terminal; do
        printf 'lab_%s=%q\n' "$name" "${!name}"
    done
    printf 'lab_environment=('
    ((${#environment[@]} == 0)) || printf ' %q' "${environment[@]}"
    printf ' )\nlab_device_options=('
    ((${#device_options[@]} == 0)) || printf ' %q' "${device_options[@]}"
    printf ' )\nlab_command=('
    ((${#command_line[@]} == 0)) || printf ' %q' "${command_line[@]}"
    printf ' )\n'
}

# make_initramfs OUTPUT: writes base, selftests if requested, and overlay to one file. The caller holds the cache's lock.
make_initramfs() {
    local output=$1 root=$work/overlay module spec
    mkdir -p "$root/lab" "$root/usr/local/bin"
    cp -a "$lab_dir/guest" "$root/lab/guest"
    [[ ! -d $lab_dir/tests ]] || cp -a "$lab_dir/tests" "$root/lab/tests"
    for module in "${modules[@]}"; do cp "$cache/${module_artefacts[$module]}/$module.ko" "$root/lab/"; done
    cp -a "$cache/programs/bin" "$root/lab/programs"
    if ((peers)); then cp -a "$cache/peers/bin" "$root/lab/peers"; fi
    [[ -z $tool ]] || cp -L "$tool" "$root/usr/local/bin/devmemtcp"
    if [[ -d $repository/.build/embedding/debug ]]; then
        mkdir "$root/lab/embedding"
        cp -L "$repository"/.build/embedding/debug/{receive,handover} "$root/lab/embedding/"
    fi
    # Whose examples the tests run.
    mkdir "$root/lab/documents"
    cp "$repository/README.md" "$repository"/man/* "$root/lab/documents/"
    for spec in "${files[@]}"; do add_file "$spec" "$root"; done
    write_settings >"$root/lab/settings"
    # Equal input must make an equal archive, as --icount depends on it.
    find "$root" -exec touch --no-dereference --date=@0 {} +
    cp "$cache/image/vmlinuz" "$work/vmlinuz"
    # Uncompressed, as an emulated machine unpacks much more slowly than this one.
    {
        zstd -q -d -c "$cache/image/initramfs"
        if ((selftests)); then zstd -q -d -c "$cache/selftests/archive"; fi
        if ((debug)); then zstd -q -d -c "$cache/debugging/archive"; fi
        if [[ -n $link ]]; then zstd -q -d -c "$cache/pairing/archive"; fi
        pack_initramfs "$root"
    } >"$output"
    rm -rf "$root"
}
