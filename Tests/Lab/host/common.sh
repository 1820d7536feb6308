# shellcheck shell=bash
# Helpers for the host's parts of the lab: messages, paths, small checks.
# SPDX-License-Identifier: Apache-2.0

# Set by scripts/lab before anything else is read.
: "${repository:?}"

lab_dir=$repository/Tests/Lab
cache=${DEVMEMTCP_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/devmemtcp}/lab

# The exit statuses of the lab itself. Any other is the status of the guest's command.
readonly exit_usage=64 exit_emulator=123 exit_limit=124 exit_lab=125

say() { printf 'lab: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit "$exit_lab"
}

usage_error() {
    say "$* (see scripts/lab --help)"
    exit "$exit_usage"
}

# quietly WHAT LOG COMMAND...: runs a long command with its output in a log, which is shown only if the command fails.
quietly() {
    local what=$1 log=$2 status=0
    shift 2
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if ((status)); then
        tail -n 60 "$log" >&2
        die "$what failed with status $status; the lines above are the end of its log"
    fi
}

need_commands() {
    local command missing=()
    for command; do
        command -v "$command" >/dev/null || missing+=("$command")
    done
    if ((${#missing[@]})); then
        die "this machine lacks ${missing[*]}; run scripts/setup as root"
    fi
}

is_number() { [[ $1 =~ ^[0-9]+$ ]]; }

# recipe_hash FILE...: the hash of the files without comments, so that a new comment does not outdate an artefact.
recipe_hash() { cat -- "$@" 2>/dev/null | sed '/^ *#/d; /^ *$/d' | sha256sum | cut -d' ' -f1; }
