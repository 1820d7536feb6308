# shellcheck shell=bash
# Both directions at once, many connections, and time limits.
# SPDX-License-Identifier: Apache-2.0

# The bytes of the pattern that each connection sends and gets back.
duplex_bytes=${duplex_bytes:-16000000}

test_duplex_of_four_connections_at_once() {
    start_serve --listen "$near4:5201" --connections 4 --validate 7 --duplex echo --json
    local number senders=()
    for number in 1 2 3 4; do
        # The far end also sends from device memory.
        in_peer devmemtcp connect "$near4:5201" --pattern 7 --bytes "$duplex_bytes" --validate 7 \
            --json >"sent.$number" 2>"told.$number" &
        senders+=($!)
    done
    local failed=0
    for number in 1 2 3 4; do
        wait "${senders[number - 1]}" || failed=$((failed + 1))
    done
    ((failed == 0)) || fail "$failed senders failed: $(cat told.*)"
    serve_ok
    expect_equal 'connections' 4 "$(tail -n 1 out | jq .connections)"
    expect_equal 'bytes' $((4 * duplex_bytes)) "$(tail -n 1 out | jq .bytes)"
    expect_equal 'answered' $((4 * duplex_bytes)) \
        "$(head -n 4 out | jq -s 'map(.answered_bytes) | add')"
    for number in 1 2 3 4; do
        expect_equal "checked by $number" "$duplex_bytes" \
            "$(jq .validation.checked_bytes "sent.$number")"
        expect_equal "interface of $number" eth1 "$(jq -r .interface "sent.$number")"
    done
}

test_duplex_answers_with_a_file() {
    head -c 3000001 /dev/urandom >answer
    start_serve --listen "$near4:5201" --output got --duplex file:answer
    head -c 2000001 /dev/urandom >question
    in_peer socat - "TCP:$near4:5201" <question >came
    serve_ok
    cmp question got
    cmp answer came
}

has_memory_of_answers() { grep -q '^0*8388608' /sys/kernel/debug/dma_buf/bufinfo; }

# The answer is not sent from the memory that another program made and that payload is received into.
test_duplex_with_memory_of_another_program() {
    local writer peer
    head -c 3000001 /dev/urandom >answer
    head -c 2000001 /dev/urandom >question
    start_command devmemtcp bind eth1 --tx --quiet -- devmemtcp serve --listen "$near4:5201" --output got \
        --duplex file:answer --provider fd:3
    mkfifo asking
    in_peer socat - "TCP:$near4:5201" <asking >came &
    peer=$!
    exec {writer}>asking
    # As long as the connection lasts.
    await has_memory_of_answers
    cat question >&"$writer"
    exec {writer}>&-
    wait "$peer"
    serve_ok
    cmp question got
    cmp answer came
}

test_connections_one_after_another() {
    local number
    start_serve --listen "$near4:5201" --keep-open --output 'got-%n'
    for number in 1 2 3; do
        head -c $((number * 100000)) /dev/urandom >"sent-$number"
        send "$near4" 5201 <"sent-$number"
    done
    # A sender ends when the kernel has accepted its bytes, before they arrive.
    for number in 1 2 3; do while_runs=$server await cmp -s "sent-$number" "got-$number"; done
    kill -INT "$server"
    end_serve
    expect_equal 'exit status' 130 "$status"
    for number in 1 2 3; do cmp "sent-$number" "got-$number"; done
    # Not "0.000 % in device memory".
    expect_equal 'summaries' 3 "$(grep -Ec '[1-9][0-9.]* % in device memory' out)"
}

# A connection whose output nobody reads must not delay the others.
test_slow_connection_starves_no_other() {
    local number
    mkfifo got-1
    exec {reader}<>got-1
    start_serve --listen "$near4:5201" --connections 3 --memory 4M --output 'got-%n' --json
    { head -c 30000000 /dev/zero | send "$near4" 5201; } 2>slow.messages &
    local slow=$!
    # The first byte shows that payload has arrived.
    head -c 1 <&"$reader" >/dev/null
    for number in 2 3; do
        head -c 8000000 /dev/urandom >"sent-$number"
        send "$near4" 5201 <"sent-$number"
        await cmp -s "sent-$number" "got-$number"
    done
    kill -0 "$slow" || fail 'the slow one has ended'
    kill "$server"
    end_serve
    expect_equal 'exit status' 143 "$status"
    exec {reader}<&-
    wait "$slow" || true
}

test_idle_connection_times_out() {
    start_serve --listen "$near4:5201" --discard --idle 0.5
    mkfifo silence
    exec {silence}<>silence
    in_peer socat -u OPEN:silence "TCP:$near4:5201" &
    local sender=$!
    end_serve
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'nothing came for 0.5 s'
    kill "$sender"
    wait "$sender" || true
    exec {silence}<&-
}

test_time_limit_ends_everything() {
    start_serve --listen "$near4:5201" --discard --time-limit 1
    end_serve
    expect_equal 'exit status' 142 "$status"
}

test_one_failed_connection_fails_the_session() {
    start_serve --listen "$near4:5201" --connections 2 --validate 7
    pattern 1000 | send "$near4" 5201
    head -c 1000 /dev/zero | send "$near4" 5201
    end_serve
    expect_equal 'exit status' 1 "$status"
    expect_line messages '1 of 2 connections failed, the first: payload is wrong from offset 0'
}

test_connect_refusals() {
    expect_refusal 'Connection refused (nothing listens there)' \
        devmemtcp connect "$far4:5201" --discard
    expect_refusal 'find interface eth9: No such device' \
        devmemtcp connect "$far4:5201" --interface eth9
    expect_refusal 'open /nonexistent: No such file or directory' \
        devmemtcp connect "$far4:5201" --input /nonexistent
}

# The route leads through an interface other than the named one.
test_connect_route_leads_elsewhere() {
    socat -u TCP-LISTEN:7001,reuseaddr - >/dev/null &
    local listener=$!
    await_port 7001
    expect_refusal 'the route leads through lo, from 127.0.0.1' \
        devmemtcp connect --interface eth1 127.0.0.1:7001
    wait "$listener"
}

test_connect_while_the_peer_goes_away() {
    in_peer bash -c 'socat -u TCP-LISTEN:7002,reuseaddr,linger=0 - | head -c 100000 >/dev/null' &
    local receiver=$!
    await_far_listener 7002
    local status=0
    head -c 200000000 /dev/zero | devmemtcp connect "$far4:7002" --discard >out 2>messages || status=$?
    expect_equal 'exit status' 1 "$status"
    grep -Eq 'Connection reset by peer|Broken pipe' messages || fail "$(cat messages)"
    wait "$receiver" || true
}

test_connect_stopped_by_a_signal() {
    in_peer bash -c 'socat -u TCP-LISTEN:7003,reuseaddr - | wc -c' >counted &
    local receiver=$!
    await_far_listener 7003
    launch devmemtcp connect "$far4:7003" --pattern 7 --bytes 1T --discard
    await_message 'connected from' || fail 'it did not connect'
    drain_messages
    kill -INT "$server"
    end_serve
    expect_equal 'exit status' 130 "$status"
    wait "$receiver"
    ((10#$(<counted) > 0)) || fail 'nothing came'
}

# With little memory for completions, sends wait for earlier ones.
test_connect_with_little_memory_for_completions() {
    lower_mtu
    keep /proc/sys/net/core/optmem_max
    echo 1024 >/proc/sys/net/core/optmem_max
    in_peer bash -c 'socat -u TCP-LISTEN:7004,reuseaddr - | sha256sum' >received &
    local receiver=$! status=0
    await_far_listener 7004
    devmemtcp connect "$far4:7004" --pattern 7 --bytes 2M --chunk 1000 --discard --json >out \
        2>messages || status=$?
    wait "$receiver"
    expect_equal "exit status ($(cat messages))" 0 "$status"
    expect_equal 'checksum' "$(pattern $((2 << 20)) | sha256sum)" "$(cat received)"
    ((10#$(jq .counts.buffer_waits out) > 0)) || fail "it never waited: $(cat out)"
}

# both_ways PROVIDER: sends three megabytes from and to the provider's memory, and back.
both_ways() {
    start_serve --listen "$near4:5201" --provider "$1" --validate 7 --duplex echo --json
    in_peer devmemtcp connect "$near4:5201" --provider "$1" --pattern 7 --bytes 3000001 \
        --validate 7 --json >sent 2>told
    serve_ok
    expect_equal "bytes in device memory of $1" 3000001 "$(report .counts.device_bytes)"
    expect_equal "checked with $1" 3000001 "$(jq .validation.checked_bytes sent)"
}

# The provider "auto" uses whichever of the two exists.
test_providers_in_both_directions() {
    both_ways heap:system
    both_ways udmabuf
    hide "$udmabuf"
    both_ways auto
    unhide "$udmabuf"
    hide "$heap"
    both_ways auto
    unhide "$heap"
    expect_refusal 'open /dev/dma_heap/nosuch: No such file or directory (ls /dev/dma_heap shows the heaps)' \
        devmemtcp connect "$far4:5201" --provider heap:nosuch
    start_bind eth1 --rx 7 --provider heap:system --memory 4M
    kill "$server"
    end_bind
    expect_equal 'exit status' 143 "$status"
}

# If nobody listens at the first address of a name, connect tries the next one.
test_connect_tries_every_address_of_a_name() {
    keep /etc/hosts
    printf '%s both.test\n' "$far6" "$far4" >>/etc/hosts
    in_peer socat -u "TCP4-LISTEN:7005,reuseaddr,bind=$far4" - >got &
    local receiver=$! status=0
    await_far_listener 7005
    echo hello | devmemtcp connect both.test:7005 --discard >out 2>messages || status=$?
    expect_equal "exit status ($(cat messages))" 0 "$status"
    wait "$receiver"
    expect_equal 'what came' hello "$(cat got)"
}

test_peer_that_reads_late_does_not_keep_the_sender_busy() {
    # More than the pipe to the reader holds.
    head -c 120000 /dev/urandom >answer
    start_command strace -f -c -o calls devmemtcp serve --listen "$near4:5201" --output got \
        --duplex file:answer
    # The peer ends its own direction at once, and has small buffers. It reads once nothing moves any more.
    : | in_peer socat -b 4096 -t 60 - "TCP:$near4:5201,rcvbuf=4096" | { await_standstill && cat >came; }
    serve_ok
    cmp answer came
    local polls
    polls=$(awk '$NF == "ppoll" { print $4 }' calls)
    ((polls > 0 && polls < 300)) || fail "$polls calls of ppoll: $(cat calls)"
}
