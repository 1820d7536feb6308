# shellcheck shell=bash
# "scripts/lab pair": two guests whose software NICs are joined by a link between the two QEMUs. The command runs in the
# near guest. The far guest boots first, and serves ssh until the near one has ended.
#
# A process of its own runs the far guest, with the same functions. The far guest makes the keys and writes them to its
# standard output, so that the near guest can have them when it boots.
# SPDX-License-Identifier: Apache-2.0

far_pid=
# The seconds that the far guest has to end.
readonly far_end_limit=60

# Runs the far guest and exits with its status. The standard output of its command is that of this process.
run_far_guest() {
    trap 'on_signal 15' TERM
    guest='the far guest' command_name='its sshd' partner=$$ work=$work/far link=far kernel=$far_kernel peers=0 selftests=0
    choose_kernel
    [[ -z $console_file ]] || console_file+=.far
    # Until the near guest has ended.
    limit=$((limit + boot_attempts * boot_limit + 2 * far_end_limit))
    command_line=(/lab/guest/far-host)
    run_guest
    conclude
    exit
}

# Starts the far guest, and returns when it serves ssh: false if it ends before that. Fills $work/ssh.
start_far_guest() {
    local line
    mkdir -p "$work/far" "$work/ssh"
    mkfifo "$work/far/control.in" "$work/far/control.out"
    exec {far_control}<>"$work/far/control.in"
    mkfifo "$work/far/output"
    run_far_guest >"$work/far/output" &
    far_pid=$!
    exec {far_output}<"$work/far/output"
    (umask 077 && : >"$work/ssh/id_ed25519")
    while IFS= read -r line <&"$far_output"; do
        case $line in
        ready) return ;;
        far,*) printf '%s\n' "$line" >"$work/ssh/known_hosts" ;;
        *) printf '%s\n' "$line" >>"$work/ssh/id_ed25519" ;;
        esac
    done
    return 1
}

# Tells the far guest to end, and returns its status.
end_far_guest() {
    local pid=$far_pid
    echo end >&"$far_control"
    if ! timeout "$far_end_limit" tail --follow --sleep-interval=0.1 --pid="$pid" /dev/null; then
        say "the far guest did not end within $far_end_limit s"
        kill -TERM "$pid" 2>/dev/null || true
    fi
    far_pid=
    wait "$pid"
}

stop_far_guest() {
    [[ -n $far_pid ]] || return 0
    kill -TERM "$far_pid" 2>/dev/null || true
    wait "$far_pid" 2>/dev/null || true
    far_pid=
}

# The artefacts of the other kernel.
prepare_far_guest() {
    kernel=$far_kernel peers=0 selftests=0
    choose_kernel
    prepare
}

run_pair() {
    local tool='' status=0 far_status=0 far_control far_output
    begin_run
    [[ $far_kernel == "$kernel" ]] || (prepare_far_guest)
    link_socket=$work/link
    if start_far_guest; then
        partner=$far_pid
        files+=("$work/ssh:/root/.ssh")
        run_guest
        conclude || status=$?
    fi
    end_far_guest || far_status=$?
    # Whatever the command's status, the kernels of both guests must be clean.
    if ((far_status)); then status=$far_status; fi
    exit "$status"
}
