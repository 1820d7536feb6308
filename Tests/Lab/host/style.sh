# shellcheck shell=bash
# The kernel's style: its checkpatch.pl reads the C files of our modules. What else is C here is a
# program, which has no need of it.
# SPDX-License-Identifier: Apache-2.0

# What it says that does not hold here:
readonly checkpatch_ignored=(
    # Tables of operations are completed once the manners are known.
    CONST_STRUCT
    # A module outside the kernel says which kernel it needs.
    LINUX_VERSION_CODE CONSTANT_COMPARISON
    # An assertion of a structure's size belongs to the structure above it.
    LINE_SPACING
    # Macros that name fields of a structure twice; names have no side effects.
    MACRO_ARG_REUSE
    # A message is one string, so that grep finds it.
    LONG_LINE_STRING
)

# checkpatch COLUMNS FILE...: takes a while, so all processors share the files.
checkpatch() {
    local columns=$1
    shift
    printf '%s\0' "$@" | xargs -0 -n 4 -P "$(nproc)" perl "$cache/peers/scripts/checkpatch.pl" --no-tree --terse \
        --show-types --no-summary --strict --max-line-length="$columns" \
        --ignore="$(IFS=,; echo "${checkpatch_ignored[*]}")" --file >&2
}

# Files that passed are not read again: the record covers everything that the check depends on.
check_style() {
    local record=$cache/style stamp drivers devices
    need_commands perl flock sha256sum
    with_cache_lock shared peers_are_whole || with_cache_lock exclusive ensure_peers
    cd "$repository" || return
    drivers=(Tests/Lab/driver/*.[ch]) devices=(Tests/Lab/devices/*/*.[ch])
    stamp=$(sha256sum "${BASH_SOURCE[0]}" "$cache/peers/MANIFEST" "${drivers[@]}" "${devices[@]}" | sha256sum)
    if [[ -e $record && $(<"$record") == "$stamp" ]]; then return; fi
    # Drivers have 80 columns; names of the vendors' registers are long.
    if ! checkpatch 80 "${drivers[@]}" || ! checkpatch 100 "${devices[@]}"; then
        die "the lines above are not in the kernel's style"
    fi
    printf '%s\n' "$stamp" >"$record"
}
