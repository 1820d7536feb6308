# shellcheck shell=bash
# The cache: each artefact is a directory, made under a temporary name and renamed when complete. Its STAMP is the hash
# of its recipe, and its MANIFEST has the checksums of its contents.
# SPDX-License-Identifier: Apache-2.0

# with_cache_lock shared|exclusive FUNCTION...: runs the function under the cache's lock, to read or to change the cache.
# The function runs in a subshell, which holds the lock.
with_cache_lock() {
    local hold=$1
    shift
    mkdir -p "$cache" || die "cannot make the cache folder $cache; set DEVMEMTCP_CACHE to another"
    (
        flock "--$hold" 9
        "$@" 9>&-
    ) 9>>"$cache/lock"
}

# artefact_is_whole NAME STAMP: whether the artefact exists, is undamaged, and is of this recipe.
artefact_is_whole() {
    local folder=$cache/$1
    [[ -f $folder/STAMP && -f $folder/MANIFEST && $(<"$folder/STAMP") == "$2" ]] &&
        (cd "$folder" && sha256sum --status --strict -c MANIFEST 2>/dev/null)
}

# make_artefact NAME STAMP FUNCTION [ARGUMENT...]: makes an artefact. The function fills its first argument, an empty
# directory, and writes MANIFEST there. The caller holds the exclusive lock.
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

# A tree of many files is checked by a listing of names, sizes and links. That is fast, and shows a file that is missing
# or truncated.
tree_listing() {
    (cd "$1" && find . -xdev \( -path ./dev -o -path ./proc -o -path ./sys -o -path ./tmp \) -prune \
        -o -type f -printf 'f %s %p\n' -o -type l -printf 'l %l %p\n' | LC_ALL=C sort)
}
