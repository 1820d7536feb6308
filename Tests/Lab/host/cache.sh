# shellcheck shell=bash
# The cache: each artefact is a folder, made under a temporary name and renamed when whole.
# STAMP in it says which recipe made it, MANIFEST holds the checksums of what it must contain.
# SPDX-License-Identifier: Apache-2.0

# Runs a function while holding the cache's lock: "shared" to read, "exclusive" to change.
# The function runs in a subshell, so that the lock goes with it.
with_cache_lock() {
    local hold=$1
    shift
    mkdir -p "$cache" || die "cannot make the cache folder $cache; set DEVMEMTCP_CACHE to another"
    (
        flock "--$hold" 9
        "$@" 9>&-
    ) 9>>"$cache/lock"
}

# artefact_is_whole NAME STAMP: says whether the artefact is there, unbroken and of this recipe.
artefact_is_whole() {
    local folder=$cache/$1
    [[ -f $folder/STAMP && -f $folder/MANIFEST && $(<"$folder/STAMP") == "$2" ]] &&
        (cd "$folder" && sha256sum --status --strict -c MANIFEST 2>/dev/null)
}

# Makes an artefact: make_artefact NAME STAMP FUNCTION [ARGUMENT...]. The function fills its first
# argument, an empty folder, and writes MANIFEST there. Call with the exclusive lock held.
make_artefact() {
    local name=$1 stamp=$2 fill=$3
    shift 3
    local making=$cache/$name.making
    rm -rf "$making"
    mkdir -p "$making"
    "$fill" "$making" "$@"
    [[ -s $making/MANIFEST ]] || die "$name was made without a manifest"
    printf '%s\n' "$stamp" >"$making/STAMP"
    rm -rf "${cache:?}/$name"
    mv "$making" "$cache/$name"
}

# A tree of many files is checked by one listing of names, sizes and links: fast, and enough to
# notice a file that is missing or cut short.
tree_listing() {
    (cd "$1" && find . -xdev \( -path ./dev -o -path ./proc -o -path ./sys -o -path ./tmp \) -prune \
        -o -type f -printf 'f %s %p\n' -o -type l -printf 'l %l %p\n' | LC_ALL=C sort)
}
