# shellcheck shell=bash
# How streams end, and what all connections together may hold.
# SPDX-License-Identifier: Apache-2.0

# send_numbered COUNT FIRST: that many peers at once send FIRST, FIRST+1... as a line each, and behind it random bytes.
send_numbered() {
    local number
    for ((number = $2; number < $2 + $1; number++)); do
        { printf 'peer %04d\n' "$number" && head -c 300000 /dev/urandom; } >"sent-$number"
        send "$near4" 5201 <"sent-$number" &
        peers+=("$!")
    done
}
peers=()

# expect_all_received COUNT: each peer's bytes are in a file, whole.
expect_all_received() {
    local file number
    expect_equal 'files' "$1" "$(find . -name 'got-*' | wc -l)"
    for file in got-*; do
        number=$(head -n 1 "$file" | sed -n 's/^peer 0*\([1-9][0-9]*\)$/\1/p')
        cmp "$file" "sent-$number"
        rm "sent-$number"
    done
}

# Connections that wait unaccepted must not hold all the memory that the accepted one needs.
test_forty_waiting_peers_do_not_starve_the_one_that_is_served() {
    local peer
    # The first one's output is read only once all the others have sent what they can.
    mkfifo got-1
    exec {first}<>got-1
    start_serve --verbose --listen "$near4:5201" --connections 1 --keep-open --memory 4M --output 'got-%n'
    send_numbered 1 1
    until grep -q 'connection 1 from' messages; do read -r -t 0.05 <> <(:) || true; done
    send_numbered 39 2
    read -r -t 3 <> <(:) || true
    # Not to its end: the server has it open too.
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

# Those that are accepted, and whose output nobody reads, hold no more than their share.
test_slow_outputs_do_not_starve_the_others() {
    local peer number
    for number in 1 2; do mkfifo "got-$number"; done
    # Held open at both ends, and read by nobody.
    exec {first}<>got-1 {second}<>got-2
    start_serve --listen "$near4:5201" --connections 3 --keep-open --memory 8M --output 'got-%n'
    for number in 1 2; do
        head -c 20000000 /dev/zero | send "$near4" 5201 2>/dev/null &
        peers+=("$!")
    done
    until grep -q 'connection 2 from' messages; do read -r -t 0.05 <> <(:) || true; done
    read -r -t 1 <> <(:) || true
    local slow=("${peers[@]}")
    peers=()
    send_numbered 10 1
    for peer in "${peers[@]}"; do wait "$peer" || fail "a peer ended with $?"; done
    kill "$server"
    end_serve
    exec {first}<&- {second}<&-
    rm got-1 got-2
    for peer in "${slow[@]}"; do wait "$peer" || true; done
    expect_all_received 10
}

# Of a name with addresses of both families all are listened at, and all of a peer's may come.
test_names_with_both_families_count_whole() {
    local address
    printf '%s nearby\n' "$near4" "$near6" >>/etc/hosts
    printf '%s faraway\n' "$far4" "$far6" >>/etc/hosts
    start_serve --listen nearby:5201 --from faraway --keep-open --validate 7 --json
    for address in "$near4" "$near6"; do pattern 500000 | send "$address" 5201; done
    until (($(wc -l <out) == 2)); do read -r -t 0.05 <> <(:) || true; done
    kill "$server"
    end_serve
    sed -i '/nearby$/d; /faraway$/d' /etc/hosts
    expect_equal 'all in device memory' '["device","device"]' \
        "$(head -n 2 out | jq -sc 'map(.placement.verdict)')"
    expect_equal 'bytes checked' 1000000 "$(head -n 2 out | jq -s 'map(.validation.checked_bytes) | add')"
}

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

# While no descriptor is left, a connection waits; it is not the end of the service.
test_too_few_descriptors_pass() {
    local before
    start_serve --listen "$near4:5201" --keep-open --output 'got-%n'
    before=$(prlimit --pid "$server" --nofile --noheadings --output SOFT | tr -d ' ')
    prlimit --pid "$server" --nofile="$(find "/proc/$server/fd" -mindepth 1 | wc -l)"
    echo patience | send "$near4" 5201 &
    peers=("$!")
    read -r -t 1 <> <(:) || true
    kill -0 "$server" || fail "it ended: $(cat messages)"
    prlimit --pid "$server" --nofile="$before"
    wait "${peers[0]}"
    until [[ -s got-1 ]]; do read -r -t 0.05 <> <(:) || true; done
    kill "$server"
    end_serve
    expect_equal 'exit status' 143 "$status"
    expect_equal 'payload' patience "$(cat got-1)"
    expect_line messages 'Too many open files'
}

# A worker that waits for a pipe's reader is not waited for when the server is ended.
test_a_pipe_that_nobody_reads_does_not_keep_the_server() {
    local begun=$SECONDS
    mkfifo got-1 got-2
    start_serve --listen "$near4:5201" --connections 2 --keep-open --output 'got-%n'
    echo one | send "$near4" 5201 &
    peers=("$!")
    until grep -q 'connection 1 from' messages; do read -r -t 0.05 <> <(:) || true; done
    echo two | send "$near4" 5201 &
    peers+=("$!")
    until grep -q 'connection 2 from' messages; do read -r -t 0.05 <> <(:) || true; done
    # One that comes late gets everything.
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

# A peer that vanishes without a word: nothing of it leaves its host any more.
test_a_peer_that_vanished_is_given_up() {
    local begun=$SECONDS
    start_serve --listen "$near4:5201" --output got --peer-timeout 4
    { echo hello && sleep 60; } | send "$near4" 5201 &
    peers=("$!")
    until [[ -s got ]]; do read -r -t 0.05 <> <(:) || true; done
    in_peer ip route add blackhole "$near4"
    end_serve
    in_peer ip route del blackhole "$near4"
    kill "${peers[0]}" 2>/dev/null || true
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'Connection timed out (the peer no longer answers: it or the network is down)'
    ((SECONDS - begun < 30)) || fail "it took $((SECONDS - begun)) s"
}

# A reset completes every send from device memory, whether or not the peer has the bytes.
test_a_reset_is_no_success_of_connect() {
    local refused=0
    # Ends its direction, has read nothing, and closes.
    in_peer socat -U TCP-LISTEN:5301 EXEC:'sleep 0.5' &
    peers=("$!")
    await_far_listener 5301
    devmemtcp connect "$far4:5301" --pattern 7 --bytes 300K --discard --json >out 2>messages || refused=$?
    wait "${peers[0]}" || true
    expect_equal 'exit status' 1 "$refused"
    expect_line messages 'of 307200 bytes'
    [[ $(jq '.counts.acknowledged_bytes < 307200' out) == true ]] || fail "$(cat out)"
}

test_rings_that_take_all_memory_are_told() {
    local size
    size=$(ethtool --json -g eth1 | jq '.[0].rx * 4096')
    start_serve --listen "$near4:5201" --discard --memory "$size"
    kill "$server"
    end_serve
    expect_line messages 'is too small for the receive rings'
}
