# shellcheck shell=bash
# A signal or a failing call never leaves a NIC steered.
# SPDX-License-Identifier: Apache-2.0

# One signal of each class that ends a process by default (signal(7)): from a terminal, from a service manager, after a
# failed system call, without a name here, and the first and the last real-time signal. Unit tests cover all.
test_every_class_of_signals_ends_bind_cleanly() {
    local before signal
    before=$(nic_settings eth1)
    for signal in 2 15 31 16 34 64; do
        start_bind eth1 --rx 7 --flow "$near4:5201"
        kill "-$signal" "$server"
        end_bind
        expect_equal "exit status of signal $signal" $((128 + signal)) "$status"
        expect_equal "settings after signal $signal" "$before" "$(nic_settings eth1)"
    done
}

# end_by SIGNAL COMMAND...: sends the command the signal once it has begun to steer. It must restore the settings.
end_by() {
    local signal=$1 before line
    shift
    before=$(nic_settings eth1)
    launch "$@"
    while IFS= read -r line <&"$message_pipe"; do
        printf '%s\n' "$line" >>messages
        [[ $line != *'RSS table entries'* && $line != *'listening on'* ]] || break
    done
    kill "-$signal" "$server"
    drain_messages
    end_serve
    # A signal that arrives after the last change does not interrupt anything.
    if [[ "$2 $3" == 'steer apply' && $status == 0 ]]; then
        devmemtcp steer restore eth1 >restored
    else
        expect_equal "exit status of $2 after $signal" $((128 + $(kill -l "$signal"))) "$status"
    fi
    expect_equal "settings after $* and $signal" "$before" "$(nic_settings eth1)"
}

test_signals_end_every_command_cleanly() {
    end_by USR1 devmemtcp serve -v --listen "$near4:5201" --discard
    end_by RTMIN+3 devmemtcp serve -v --listen "$near4:5201" --discard --connections 3 --keep-open
    end_by XCPU devmemtcp steer apply -v eth1 --queues 7 --flow "$near4:5201"
    end_by ALRM devmemtcp bind -v eth1 --rx 7
    end_by USR1 devmemtcp doctor eth1 --probe --yes -v
    end_by RTMIN+3 devmemtcp bench run -v --remote netns:peer --interface eth1 --time 1000
    end_by XCPU devmemtcp validate -v eth1 --remote netns:peer
}

# The journal restores what SIGKILL or a fault leaves.
test_settings_left_by_a_fault_are_restored() {
    local before signal
    before=$(nic_settings eth1)
    for signal in SEGV ILL KILL; do
        start_bind eth1 --rx 7 --flow "$near4:5201"
        kill "-$signal" "$server"
        end_bind
        devmemtcp steer restore eth1 >out
        expect_line out 'flow rule'
        expect_equal "settings after $signal" "$before" "$(nic_settings eth1)"
    done
}

test_signals_ignored_by_nohup_stay_ignored() {
    launch env --ignore-signal=HUP devmemtcp serve --listen "$near4:5201" --discard
    await_message 'listening on'
    drain_messages
    kill -HUP "$server"
    kill -TERM "$server"
    end_serve
    expect_equal 'exit status' 143 "$status"
}

test_the_file_size_limit_is_an_error() {
    local before
    before=$(nic_settings eth1)
    start_command bash -c "ulimit -f 64; exec devmemtcp serve --listen $near4:5201 --output got"
    keep_sending
    end_serve
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'File too large'
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
    wait "$sender" || true
}

# without_reader DESCRIPTOR COMMAND...: runs the command with a pipe that nobody reads as that descriptor.
without_reader() {
    local descriptor=$1
    shift
    bash -c 'descriptor=$1; shift; mkfifo gone; exec {both}<>gone; eval "exec $descriptor>gone"
        exec {both}>&-; rm gone; exec "$@"' bash "$descriptor" "$@"
}

test_nothing_is_left_if_the_reader_of_messages_goes_away() {
    local before status=0
    before=$(nic_settings eth1)
    without_reader 2 devmemtcp doctor eth1 --probe --yes -v >out || status=$?
    ((status < 128)) || fail "doctor ended with $status"
    expect_equal 'settings after doctor' "$before" "$(nic_settings eth1)"
    status=0
    without_reader 2 devmemtcp steer apply eth1 --queues 7 -v >out || status=$?
    expect_equal 'exit status of steer apply' 0 "$status"
    devmemtcp steer restore eth1 >out
    expect_equal 'settings after steer apply' "$before" "$(nic_settings eth1)"
    status=0
    without_reader 1 timeout 3 devmemtcp bind eth1 --rx 7 || status=$?
    ((status == 1 || status == 124)) || fail "bind ended with $status"
    expect_equal 'settings after bind' "$before" "$(nic_settings eth1)"
}

test_bind_runs_the_command_without_standard_error() {
    local status=0
    devmemtcp bind eth1 --rx 7 -- bash -c ': >ran; exit 5' 2>&- || status=$?
    expect_equal 'exit status' 5 "$status"
    [[ -e ran ]] || fail 'the command did not run'
}

test_a_failed_report_does_not_hide_a_steered_nic() {
    local before status=0
    before=$(nic_settings eth1)
    devmemtcp steer apply eth1 --queues 7 >/dev/full 2>messages || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'eth1 is steered; devmemtcp steer restore eth1 restores it'
    devmemtcp steer restore eth1 >out
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

test_children_are_waited_for_while_sigchld_is_ignored() {
    local status=0
    env --ignore-signal=CHLD devmemtcp bind eth1 --rx 7 -- bash -c 'exit 5' 2>messages || status=$?
    expect_equal 'exit status' 5 "$status"
}

# poll(2) fails if the limit of descriptors is less than the number of descriptors to poll.
test_a_session_whose_poll_fails_ends_its_connections_first() {
    local before
    before=$(nic_settings eth1)
    start_serve --listen "$near4:5201" --discard --connections 2 --keep-open
    keep_sending
    await_text messages 'connection 1 from'
    prlimit --pid "$server" --nofile=3:
    # The watch of the NIC wakes the session.
    end_serve
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'wait: Invalid argument'
    expect_line out 'connection 1 from'
    wait "$sender" || true
    # The session could no longer write its journal.
    devmemtcp steer restore --all >out || true
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}
