# shellcheck shell=bash
# What every host part of the lab shares: messages, places, small checks.
# SPDX-License-Identifier: Apache-2.0

# Set by scripts/lab before anything else is read.
: "${repository:?}"

lab_dir=$repository/Tests/Lab
cache=${DEVMEMTCP_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/devmemtcp}/lab

# Exit codes of the lab itself; everything else is the guest command's own.
readonly exit_usage=64 exit_limit=124 exit_lab=125

say() { printf 'lab: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit "$exit_lab"
}

usage_error() {
    say "$* (see scripts/lab --help)"
    exit "$exit_usage"
}

# Runs a long step with its output in a log, which is shown only if the step fails.
# quietly WHAT LOG COMMAND...
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

# The hash of what the named files say, comments aside: a better comment outdates no artefact.
recipe_hash() { cat -- "$@" 2>/dev/null | sed '/^ *#/d; /^ *$/d' | sha256sum | cut -d' ' -f1; }
