# shellcheck shell=bash
# However a session ends, it restores the NIC.
# SPDX-License-Identifier: Apache-2.0

# keep_sending: sends from the far end until the connection ends; $sender is its pid. It does not send at full speed, as
# the guest's memory must hold what is received.
keep_sending() {
    while head -c 1000000 /dev/zero; do :; done 2>/dev/null | send "$near4" 5201 &
    sender=$!
}

# await_bytes BYTES: waits until the file ./got is that large.
await_bytes() { while_runs=$server await has_bytes "$1"; }

has_bytes() { [[ -e got ]] && (($(stat -c %s got) >= $1)); }

# expect_stop SIGNAL NUMBER: ends a session with the signal while payload flows.
expect_stop() {
    start_serve --listen "$near4:5201" --output got
    keep_sending
    await_bytes 3000000
    kill "-$1" "$server"
    end_serve
    expect_equal 'exit status' $((128 + $2)) "$status"
    expect_line out 'device memory'
    wait "$sender" || true
}

test_sigint_while_payload_flows() { expect_stop INT 2; }

test_sigterm_while_payload_flows() { expect_stop TERM 15; }

test_sighup_while_payload_flows() { expect_stop HUP 1; }

test_sigterm_while_it_waits_for_a_connection() {
    start_serve --listen "$near4:5201" --output got
    kill "$server"
    end_serve
    expect_equal 'exit status' 143 "$status"
    [[ ! -e got ]] || fail 'it left the output file behind'
}

# Each message of -v marks a step of a session. A signal arrives right after each of them in turn.
test_sigint_after_each_step_of_the_setup() {
    local step steps=0 line before
    before=$(nic_settings eth1)
    for ((step = 1; step < 50; step++)); do
        launch devmemtcp serve --verbose --listen "$near4:5201" --discard
        steps=0
        while ((steps < step)) && IFS= read -r line <&"$message_pipe"; do
            printf '%s\n' "$line" >>messages
            steps=$((steps + 1))
            [[ $line != *'listening on'* ]] || break
        done
        kill -INT "$server"
        drain_messages
        end_serve
        expect_equal "exit status after step $steps" 130 "$status"
        expect_equal "settings after step $steps" "$before" "$(nic_settings eth1)"
        [[ $line != *'listening on'* ]] || break
    done
    ((steps >= 4)) || fail "only $steps steps were seen"
}

test_reader_of_standard_output_goes_away() {
    # The reader ends early, and the server must report it.
    start_command bash -c "devmemtcp serve --listen $near4:5201 | head -c 1000 >/dev/null; exit \${PIPESTATUS[0]}"
    keep_sending
    end_serve
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'write to standard output: Broken pipe'
    wait "$sender" || true
}

test_signal_while_standard_output_is_full() {
    mkfifo full
    exec {reader}<>full
    start_command bash -c "exec devmemtcp serve --listen $near4:5201 >full"
    keep_sending
    # The first byte shows that the pipe fills up; nobody reads the others.
    head -c 1 <&"$reader" >/dev/null
    kill "$server"
    end_serve
    expect_equal 'exit status' 143 "$status"
    exec {reader}<&-
    wait "$sender" || true
}

test_peer_resets_the_connection() {
    start_serve --listen "$near4:5201" --output got --json
    # The kernel sends a reset for a process that dies with a linger time of zero.
    mkfifo feed
    in_peer socat -u - "TCP:$near4:5201,linger=0" <feed &
    sender=$!
    head -c 3000000 /dev/zero >feed &
    exec {held}>feed
    await_bytes 3000000
    pkill -KILL -x socat
    exec {held}>&-
    end_serve
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'Connection reset by peer'
    ((10#$(jq .counts.device_bytes out) >= 3000000)) || fail "$(cat out)"
    wait "$sender" || true
}

test_settings_of_a_user_come_back() {
    allow_rules
    ethtool -X eth1 weight 1 2 3 4 1 1 1 1
    ethtool -N eth1 flow-type tcp4 dst-port 99 action 1 loc 40
    ! nic_has lasting-rules || ethtool -K eth1 ntuple off
    local before
    before=$(nic_settings eth1)
    start_serve --listen "$near4:5201" --queues 3,7 --validate 7 --json
    [[ $(nic_settings eth1) != "$before" ]] || fail 'nothing changed while it ran'
    pattern 300000 | send "$near4" 5201
    serve_ok
    expect_equal settings "$before" "$(nic_settings eth1)"
    ! nic_has lasting-rules || ethtool -K eth1 ntuple on
    ethtool -N eth1 delete 40
    ethtool -X eth1 default
}

# ethtool 6.14 cannot show hds-thresh, but the next session logs what it finds.
test_split_threshold_comes_back() {
    needs threshold
    local round
    for round in 1 2; do
        start_serve --verbose --listen "$near4:5201" --discard --json
        expect_line messages 'set hds-thresh 0 (before: 256)'
        # Shorter than the default threshold, so it is split only with a threshold of zero.
        printf 'few bytes' | send "$near4" 5201
        serve_ok
        expect_equal "bytes in device memory, round $round" 9 "$(report .counts.device_bytes)"
    done
}

test_no_descriptor_or_binding_is_left() {
    local round
    # The queue can be bound again at once, so nothing of the last session holds it.
    for round in 1 2 3 4 5; do
        start_serve --listen "$near4:5201" --discard --json
        pattern 100000 | send "$near4" 5201
        serve_ok
        expect_equal "bytes of round $round" 100000 "$(report .counts.device_bytes)"
    done
}

# The exit status of a signal does not show that a setting could not be restored, so a message must.
test_a_signal_does_not_hide_a_setting_that_stays() {
    local before
    before=$(nic_settings eth1)
    start_serve --listen "$near4:5201" --discard
    refuse rule-delete 99
    kill "$server"
    end_serve
    refuse rule-delete 0
    expect_equal 'exit status' 143 "$status"
    expect_line messages 'devmemtcp steer restore eth1 tries again'
    devmemtcp steer restore eth1 >out
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}
