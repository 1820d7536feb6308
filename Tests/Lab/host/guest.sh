# shellcheck shell=bash
# One boot: starts QEMU, follows the guest's reports, and ends the machine.
#
# The guest's stdout and stderr go through virtio ports to regular files, which are followed. At the end the guest
# reports how many bytes it wrote to each. The machine is ended only when all have arrived, as the bytes still in a port
# are lost with it.
# SPDX-License-Identifier: Apache-2.0

machine_pid=
follower_pids=()
# The process that runs the other guest of a pair.
partner=

reset_channels() {
    rm -f "$work"/{status,stdout,stderr,console}
    : >"$work/status"
    : >"$work/stdout"
    : >"$work/stderr"
    : >"$work/console"
}

# QEMU dies with this script, even if the script is killed.
start_machine() {
    if [[ $mode == shell ]]; then
        setpriv --pdeathsig KILL -- "${machine[@]}" <&0 2>"$work/qemu.log" &
    else
        setpriv --pdeathsig KILL -- "${machine[@]}" </dev/null >"$work/qemu.log" 2>&1 &
    fi
    machine_pid=$!
}

machine_runs() { [[ -n $machine_pid ]] && kill -0 "$machine_pid" 2>/dev/null; }

stop_machine() {
    [[ -n $machine_pid ]] || return 0
    kill -TERM "$machine_pid" 2>/dev/null || true
    timeout 5 tail --follow --sleep-interval=0.1 --pid="$machine_pid" /dev/null || true
    kill -KILL "$machine_pid" 2>/dev/null || true
    wait "$machine_pid" 2>/dev/null || true
    machine_pid=
}

follow() { exec tail --follow --sleep-interval=0.1 --pid="$machine_pid" --bytes=+1 -- "$1" 2>/dev/null; }

start_followers() {
    follow "$work/stdout" &
    follower_pids=($!)
    follow "$work/stderr" >&2 &
    follower_pids+=($!)
}

# The followers end by themselves when the machine does.
finish_followers() {
    local pid
    for pid in "${follower_pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    follower_pids=()
}

# Whether the reader of our stdout has gone away.
reader_is_gone() { ((${#follower_pids[@]})) && ! kill -0 "${follower_pids[0]}" 2>/dev/null; }

# Whether the process that runs the other guest of a pair has ended.
partner_is_gone() { [[ -n $partner ]] && ! kill -0 "$partner" 2>/dev/null; }

# Follows the guest's reports until it ends, dies or reaches a time limit. Sets
#   outcome        ended, died, failed (it could not be set up), limit, boot-limit, no-reader or no-partner
#   reached        1 once the command has started
#   guest_status   the command's exit status
#   complaints     errors in the kernel's log, or of unloading a driver
follow_guest() {
    local line='' part='' status report deadline=$((SECONDS + boot_limit))
    outcome=died reached=0 guest_status='' complaints=()
    exec {report}< <(follow "$work/status")
    while :; do
        if ((SECONDS >= deadline)); then
            if ((reached)); then outcome=limit; else outcome=boot-limit; fi
            break
        fi
        if reader_is_gone; then
            outcome=no-reader
            break
        fi
        if partner_is_gone; then
            outcome=no-partner
            break
        fi
        status=0
        IFS= read -r -t 1 -u "$report" part || status=$?
        line+=$part
        if ((status > 128)); then continue; fi
        if ((status)); then break; fi
        case $line in
        payload)
            reached=1
            deadline=$((SECONDS + limit))
            if [[ $mode == shell ]]; then deadline=$((SECONDS + 10 ** 9)); fi
            ;;
        'exit '*) guest_status=${line#exit } ;;
        'bad '*) complaints+=("${line#bad }") ;;
        'failed '*)
            outcome=failed
            complaints+=("${line#failed }")
            ;;
        'end '*)
            [[ $outcome == failed ]] || outcome=ended
            wait_for_bytes "${line#end }"
            break
            ;;
        esac
        line=
    done
    exec {report}<&-
}

wait_for_bytes() {
    local expected_out expected_err deadline=$((SECONDS + 10))
    read -r expected_out expected_err <<<"$1"
    while ((SECONDS < deadline)); do
        if (($(stat -c %s "$work/stdout") >= expected_out && $(stat -c %s "$work/stderr") >= expected_err)); then
            return
        fi
        sleep 0.02
    done
    complaints+=("the guest's output is incomplete")
}
