# shellcheck shell=bash
# Which kernel the guest has. Each kernel but the newest has its artefacts in a directory of its own in the cache.
# SPDX-License-Identifier: Apache-2.0

# The lab's kernels, the default first.
readonly kernels=(newest 6.12 sid)
readonly cache_root=$cache
kernel=newest

# choose_kernel: sets what depends on $kernel:
#   cache           the directory of its artefacts
#   kernel_release  the Debian release that the build root is of
#   kernel_suite    the suite that has the kernel
choose_kernel() {
    cache=$cache_root/$kernel kernel_release=$debian_release
    case $kernel in
    newest) cache=$cache_root kernel_suite=$debian_release-backports ;;
    6.12) kernel_suite=$debian_release ;;
    sid) kernel_release=sid kernel_suite=sid ;;
    *) usage_error "--kernel takes $(comma_list "${kernels[@]}"), not '$kernel'" ;;
    esac
}

# comma_list WORD...: "a, b or c".
comma_list() {
    local text=$1
    shift
    while (($# > 1)); do
        text+=", $1"
        shift
    done
    printf '%s or %s\n' "$text" "$1"
}
