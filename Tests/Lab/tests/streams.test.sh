# shellcheck shell=bash
# How streams end, and how much memory all connections together may hold.
# SPDX-License-Identifier: Apache-2.0

# send_numbered COUNT FIRST: starts COUNT peers. Each sends a line with its number, FIRST, FIRST+1..., and random bytes.
send_numbered() {
    local number
    for ((number = $2; number < $2 + $1; number++)); do
        { printf 'peer %04d\n' "$number" && head -c 300000 /dev/urandom; } >"sent-$number"
        send "$near4" 5201 <"sent-$number" &
        peers+=("$!")
    done
}
peers=()

# await_standstill: waits until no connection to the server moves.
await_standstill() { await stands_still; }

stands_still() {
    local before
    before=$(ss -Htn 'sport = :5201' | sort)
    pause 0.5
    [[ -n $before && $before == "$(ss -Htn 'sport = :5201' | sort)" ]]
}

# expect_all_received COUNT: each peer's bytes must be in a file of their own, all of them.
expect_all_received() {
    local file number
    expect_equal 'files' "$1" "$(find . -name 'got-*' | wc -l)"
    for file in got-*; do
        number=$(head -n 1 "$file" | sed -n 's/^peer 0*\([1-9][0-9]*\)$/\1/p')
        cmp "$file" "sent-$number"
        rm "sent-$number"
    done
}

# Connections that are not accepted yet must not hold all the memory that the accepted one needs.
test_forty_waiting_peers_do_not_starve_the_served_one() {
    local peer
    # The first connection's output is read only once all the others have sent what they can.
    mkfifo got-1
    exec {first}<>got-1
    start_serve --verbose --listen "$near4:5201" --connections 1 --keep-open --memory 4M --output 'got-%n'
    send_numbered 1 1
    await_text messages 'connection 1 from'
    send_numbered 39 2
    await_standstill
    # The pipe has no end of file, as the server has it open too.
    head -c "$(stat -c %s sent-1)" got-1 >read-1 &
    peers+=("$!")
    for peer in "${peers[@]}"; do wait "$peer" || fail "a peer ended with $?"; done
    kill "$server"
    end_serve
    mv read-1 got-1
    expect_equal 'exit status' 143 "$status"
    expect_line messages 'may wait to be accepted'
    expect_all_received 40
}

# Accepted connections whose output nobody reads hold no more than their share.
test_slow_outputs_do_not_starve_the_others() {
    local peer number
    for number in 1 2; do mkfifo "got-$number"; done
    # Both pipes are open, and nobody reads them.
    exec {first}<>got-1 {second}<>got-2
    start_serve --listen "$near4:5201" --connections 3 --keep-open --memory 8M --output 'got-%n'
    for number in 1 2; do
        head -c 20000000 /dev/zero | send "$near4" 5201 2>/dev/null &
        peers+=("$!")
    done
    await_text messages 'connection 2 from'
    await_standstill
    local slow=("${peers[@]}")
    peers=()
    send_numbered 10 1
    for peer in "${peers[@]}"; do wait "$peer" || fail "a peer ended with $?"; done
    # A sender ends when the kernel has accepted its bytes, before they arrive.
    while_runs=$server await has_lines 10 out
    kill "$server"
    end_serve
    exec {first}<&- {second}<&-
    rm got-1 got-2
    for peer in "${slow[@]}"; do wait "$peer" || true; done
    expect_all_received 10
}

# serve listens on all addresses of a name of both families, and accepts all addresses of a peer.
test_names_stand_for_all_their_addresses() {
    local address
    keep /etc/hosts
    printf '%s nearby\n' "$near4" "$near6" >>/etc/hosts
    printf '%s faraway\n' "$far4" "$far6" >>/etc/hosts
    start_serve --listen nearby:5201 --from faraway --keep-open --validate 7 --json
    for address in "$near4" "$near6"; do pattern 500000 | send "$address" 5201; done
    await has_lines 2 out
    kill "$server"
    end_serve
    expect_equal 'all in device memory' '["device","device"]' \
        "$(head -n 2 out | jq -sc 'map(.placement.verdict)')"
    expect_equal 'bytes checked' 1000000 "$(head -n 2 out | jq -s 'map(.validation.checked_bytes) | add')"
}

has_lines() { (($(wc -l <"$2") == $1)); }

test_connections_of_one_peer_get_files_of_their_own() {
    local number
    start_serve --listen "$near4:5201" --keep-open --output 'got-%a'
    for number in 1 2 3; do
        echo "payload $number" | send "$near4" 5201
    done
    kill "$server"
    end_serve
    expect_equal 'files' "got-$far4 got-$far4.2 got-$far4.3" "$(echo got-*)"
    expect_equal 'payload' 'payload 1 payload 2 payload 3' "$(cat got-* | sort | xargs)"
    expect_line messages "connection 2: an earlier one has used that file name, writing to got-$far4.2"
}

# A connection waits while no descriptor is left, and the server goes on.
test_a_lack_of_descriptors_passes() {
    local before
    start_serve --listen "$near4:5201" --keep-open --output 'got-%n'
    before=$(prlimit --pid "$server" --nofile --noheadings --output SOFT | tr -d ' ')
    prlimit --pid "$server" --nofile="$(find "/proc/$server/fd" -mindepth 1 | wc -l)"
    echo patience | send "$near4" 5201 &
    peers=("$!")
    await_text messages 'Too many open files'
    kill -0 "$server" || fail "it ended: $(cat messages)"
    prlimit --pid "$server" --nofile="$before"
    wait "${peers[0]}"
    await is_not_empty got-1
    kill "$server"
    end_serve
    expect_equal 'exit status' 143 "$status"
    expect_equal 'payload' patience "$(cat got-1)"
}

# A worker that waits for the reader of a pipe does not delay the end of the server.
test_a_pipe_without_reader_does_not_block_the_end() {
    local begun=$SECONDS
    mkfifo got-1 got-2
    start_serve --listen "$near4:5201" --connections 2 --keep-open --output 'got-%n'
    echo one | send "$near4" 5201 &
    peers=("$!")
    await_text messages 'connection 1 from'
    echo two | send "$near4" 5201 &
    peers+=("$!")
    await_text messages 'connection 2 from'
    # A late reader gets everything.
    expect_equal 'payload' two "$(cat got-2)"
    kill "$server"
    end_serve
    wait "${peers[@]}" || true
    rm got-1 got-2
    expect_equal 'exit status' 143 "$status"
    expect_line messages 'open got-1: No such device or address, the pipe has no reader; its connection waits'
    ((SECONDS - begun < 30)) || fail "it took $((SECONDS - begun)) s"
}

test_more_connections_than_descriptors_are_refused() {
    local refused=0
    (ulimit -n 64 && exec devmemtcp serve --listen "$near4:5201" --connections 100 --output 'got-%n') \
        >out 2>messages || refused=$?
    expect_equal 'exit status' 1 "$refused"
    expect_line messages 'this may need 240 descriptors, and the limit is 64'
}

# The peer vanishes: its host drops everything that it sends.
test_a_vanished_peer_times_out() {
    local begun=$SECONDS
    start_serve --listen "$near4:5201" --output got --peer-timeout 4
    { echo hello && exec sleep infinity; } | send "$near4" 5201 &
    peers=("$!")
    await is_not_empty got
    undo in_peer ip route del blackhole "$near4"
    in_peer ip route add blackhole "$near4"
    end_serve
    kill "${peers[0]}" 2>/dev/null || true
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'Connection timed out (the peer no longer answers: it or the network is down)'
    ((SECONDS - begun < 30)) || fail "it took $((SECONDS - begun)) s"
}

# A reset completes every send from device memory, whether or not the peer has the bytes.
test_connect_fails_on_a_reset() {
    local refused=0
    # The peer closes with unread bytes, which makes its kernel send a reset.
    mkfifo gate
    in_peer socat -U TCP-LISTEN:5301 EXEC:'cat gate' &
    peers=("$!")
    await_far_listener 5301
    devmemtcp connect "$far4:5301" --pattern 7 --bytes 300K --discard --json >out 2>messages &
    server=$!
    await far_end_has_unread_bytes
    : >gate
    wait "$server" || refused=$?
    wait "${peers[0]}" || true
    expect_equal 'exit status' 1 "$refused"
    expect_line messages 'of 307200 bytes'
    [[ $(jq '.counts.acknowledged_bytes < 307200' out) == true ]] || fail "$(cat out)"
}

# The peer has all bytes and closes. The memory is never free, and connect must not wait for ever.
test_connect_fails_if_completions_are_lost() {
    needs_nic labnic 'a later completion covers a lost one, or the driver resets the queue'
    local refused=0
    in_peer socat -u TCP-LISTEN:5301,reuseaddr CREATE:came &
    peers=("$!")
    await_far_listener 5301
    set_knob lose_completion_nth 3
    devmemtcp connect "$far4:5301" --pattern 7 --bytes 300K --discard >out 2>messages || refused=$?
    wait "${peers[0]}"
    expect_equal 'exit status' 1 "$refused"
    expect_line messages 'the NIC has not reported all sends as complete'
    cmp came <(pattern 307200)
}

far_end_has_unread_bytes() { (($(in_peer ss -Htn 'sport = :5301' | awk '{ print $2 + 0 }') > 0)); }

test_rings_that_need_all_memory_are_reported() {
    local size
    size=$(ethtool --json -g eth1 | jq '.[0].rx * 4096')
    start_serve --listen "$near4:5201" --discard --memory "$size"
    kill "$server"
    end_serve
    expect_line messages 'is too small for the receive rings'
}
