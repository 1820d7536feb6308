# shellcheck shell=bash
# Checks the C files of our modules with the kernel's checkpatch.pl. The other C files are ordinary programs.
# SPDX-License-Identifier: Apache-2.0

# The checks that do not apply here:
readonly checkpatch_ignored=(
    # Tables of operations are completed once the manners are known.
    CONST_STRUCT
    # A module outside the kernel tests for the version that it needs.
    LINUX_VERSION_CODE CONSTANT_COMPARISON
    # An assertion on the size of a structure follows it directly.
    LINE_SPACING
    # Macros use the name of a field twice, which has no side effects.
    MACRO_ARG_REUSE
    # A message is one string, so that grep finds it.
    LONG_LINE_STRING
)

# checkpatch COLUMNS FILE...: checks the files on all processors, as it is slow.
checkpatch() {
    local columns=$1
    shift
    printf '%s\0' "$@" | xargs -0 -n 4 -P "$(nproc)" perl "$cache/peers/scripts/checkpatch.pl" --no-tree --terse \
        --show-types --no-summary --strict --max-line-length="$columns" \
        --ignore="$(IFS=,; echo "${checkpatch_ignored[*]}")" --file >&2
}

# The files are not checked again after they passed; the record covers everything that the check depends on.
check_style() {
    local record=$cache/style stamp drivers devices
    need_commands perl flock sha256sum
    with_cache_lock shared peers_are_whole || with_cache_lock exclusive ensure_peers
    cd "$repository" || return
    drivers=(Tests/Lab/driver/*.[ch]) devices=(Tests/Lab/devices/*/*.[ch])
    stamp=$(sha256sum "${BASH_SOURCE[0]}" "$cache/peers/MANIFEST" "${drivers[@]}" "${devices[@]}" | sha256sum)
    if [[ -e $record && $(<"$record") == "$stamp" ]]; then return; fi
    # The driver has 80 columns. The devices need more for the long names of the vendors' registers.
    if ! checkpatch 80 "${drivers[@]}" || ! checkpatch 100 "${devices[@]}"; then
        die "the lines above are not in the kernel's style"
    fi
    printf '%s\n' "$stamp" >"$record"
}
