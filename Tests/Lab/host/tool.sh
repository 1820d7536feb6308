# shellcheck shell=bash
# The command under test: built with this machine's Swift, run in the guest.
# SPDX-License-Identifier: Apache-2.0

# The commit for --version; empty outside git.
DEVMEMTCP_COMMIT=$(git -C "${BASH_SOURCE[0]%/*}" describe --always --dirty --exclude='*' 2>/dev/null) || true
export DEVMEMTCP_COMMIT

# The options of the build; scripts/test builds it in advance. Nothing that it needs lies beside it.
readonly tool_options=(-c release --static-swift-stdlib --disable-local-rpath -Xlinker -s --product devmemtcp)
# The options of the programs that embed the library; scripts/test builds them.
# Cached build plans miss files that were added to the library, which is another package here.
readonly embedding_options=(--package-path Tests/Embedding --scratch-path .build/embedding
    --disable-build-manifest-caching --static-swift-stdlib -Xlinker -s)

# find_tool BUILD(0|1) GIVEN: sets `tool` to the binary, or to nothing if there is none.
find_tool() {
    local build=$1 given=$2 log=$work/swift-build.log
    tool=
    if [[ -n $given ]]; then
        [[ -x $given && -f $given ]] || die "--binary $given is not an executable file"
        tool=$given
    elif [[ -e $repository/Package.swift ]] && ((build)); then
        command -v swift >/dev/null ||
            die "swift is not in PATH; add it, or use --no-build or --binary PATH"
        quietly "swift build" "$log" swift build --package-path "$repository" "${tool_options[@]}"
        tool=$repository/.build/release/devmemtcp
    elif [[ -x $repository/.build/release/devmemtcp ]]; then
        tool=$repository/.build/release/devmemtcp
    fi
}
