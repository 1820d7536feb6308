# shellcheck shell=bash
# The io_uring engine receives what the socket engine does, and ends where it cannot.
# SPDX-License-Identifier: Apache-2.0

readonly by_ring=(--engine io_uring)

# Tests of the receive path that also run with io_uring, without "test_".
with_both_engines=(
    # receive.test.sh
    wildcard_address_receives_ipv4_and_ipv6 sizes_around_a_page packets_without_gro lost_and_late_packets_are_harmless
    one_wrong_bit_is_found direct_with_segments_of_any_length
    # ending.test.sh
    sigterm_while_payload_flows signal_while_standard_output_is_full peer_resets_the_connection
    no_descriptor_or_binding_is_left
    # streams.test.sh, duplex.test.sh
    forty_waiting_peers_do_not_starve_the_served_one slow_outputs_do_not_starve_the_others
    duplex_of_four_connections_at_once connections_one_after_another slow_connection_starves_no_other
    idle_connection_times_out
    # hold.test.sh
    a_lost_rule_is_reported_at_once
)
for name in "${with_both_engines[@]}"; do
    eval "test_engine_too_$name() { serve_engine=io_uring test_$name; }"
done
unset name

# expect_by_ring: the last report is of the io_uring engine.
expect_by_ring() { expect_equal engine io_uring "$(report .engine)"; }

test_engine_validates_over_ipv4() {
    validate_pattern "$near4" 20000003 "${by_ring[@]}"
    expect_by_ring
    expect_device_share
    expect_equal reason null "$(report .engine_reason)"
}

test_engine_validates_over_ipv6() {
    validate_pattern "$near6" 20000003 "${by_ring[@]}" --queues 6
    expect_by_ring
    expect_device_share
}

test_engine_writes_files() {
    receive_random 20000003 "${by_ring[@]}"
    grep -Eq '^engine +io_uring$' out || fail "the summary: $(cat out)"
    receive_random 20000003 "${by_ring[@]}" --direct
}

# Small segments one at a time: the coalescing of wake-ups must not hold them back.
test_engine_wakes_for_little() {
    start_serve --listen "$near4:5201" --validate 7 --json "${by_ring[@]}"
    {
        pattern 7000000
        for _ in 1 2 3; do
            pause 0.1
            pattern 700
        done
    } | send "$near4" 5201
    serve_ok
    expect_equal 'bytes checked' 7002100 "$(report .validation.checked_bytes)"
    expect_by_ring
}

test_engine_answers_from_what_it_keeps() {
    head -c 20000003 /dev/urandom >sent
    start_serve --listen "$near4:5201" --discard --duplex echo --json "${by_ring[@]}"
    in_peer devmemtcp connect "$near4:5201" --input sent --output got >answered 2>&1 || fail "$(cat answered)"
    serve_ok
    cmp sent got
    expect_equal answered 20000003 "$(report .answered_bytes)"
    expect_by_ring
}

# serve_senders COUNT BYTES: sends the pattern over that many connections at once, and waits until serve ends.
serve_senders() {
    local number senders=() failed=0
    for ((number = 0; number < $1; number++)); do
        pattern "$2" | send "$near4" 5201 2>/dev/null &
        senders+=($!)
    done
    for number in "${senders[@]}"; do wait "$number" || failed=$((failed + 1)); done
    expect_equal 'failed senders' 0 "$failed"
    serve_ok
}

# The ring of each connection holds 64 completions, so that it is full again and again.
test_engine_receives_a_hundred_connections() {
    start_serve --listen "$near4:5201" --connections 100 --memory 64M --validate 7 --json "${by_ring[@]}"
    serve_senders 100 300002
    expect_equal 'all right' '[100,0,30000200]' "$(tail -n 1 out | jq -c '[.connections, .failed, .bytes]')"
    expect_equal 'bytes wrong' 0 "$(head -n -1 out | jq -s 'map(.validation.wrong_bytes) | add')"
    expect_equal engines '["io_uring"]' "$(head -n -1 out | jq -sc 'map(.engine) | unique')"
}

test_engine_unmaps_the_ring_of_a_connection() {
    start_serve --listen "$near4:5201" --connections 4 --discard --json "${by_ring[@]}"
    local ended first
    for ended in 1 2 3; do
        pattern 100000 | send "$near4" 5201
        await have_ended "$ended"
        first=${first:-$(mapped_rings)}
    done
    ((first > 0)) || fail 'no ring is mapped, not even that of the memory'
    expect_equal 'mapped after three connections' "$first" "$(mapped_rings)"
    pattern 100000 | send "$near4" 5201
    serve_ok
}

# have_ended COUNT: whether as many connections have a report.
have_ended() { [[ $(wc -l <out) == "$1" ]]; }

mapped_rings() { grep -c io_uring "/proc/$server/maps"; }

test_engine_uses_memory_again_and_again() {
    needs_nic labnic 'the rings of other NICs fill this memory'
    validate_pattern "$near4" 40000003 "${by_ring[@]}" --memory 4M
    expect_by_ring
}

test_engine_receives_what_is_not_split() {
    needs unsplit
    needs_knobs unsplit_nth
    local every
    for every in 1 2 7 100; do
        set_knob unsplit_nth "$every"
        validate_pattern "$near4" 5000003 "${by_ring[@]}" --allow-host-memory
        expect_by_ring
        ((every < 100)) || expect_equal 'came outside' true "$(report '.counts.ordinary_bytes > 0')"
        [[ $(report .placement.reason) != *'no longer bound'* ]] || fail "reason: $(report .placement.reason)"
        expect_equal 'in all' 5000003 "$(report '.counts | .device_bytes + .ordinary_bytes')"
    done
}

# With GRO the kernel loses what is left beside headers. The bytes before it must be right.
test_engine_ends_at_payload_beside_headers() {
    needs_knobs partial_split_nth
    set_knob partial_split_nth 50
    start_serve --listen "$near4:5201" --validate 7 --json "${by_ring[@]}"
    pattern 20000003 | send "$near4" 5201 2>/dev/null || true
    end_serve
    expect_equal 'exit status' 1 "$status"
    [[ $(report .failure) == *"the NIC left payload beside a packet's headers (the socket engine receives such payload)" ]] ||
        fail "failure: $(report .failure)"
    expect_equal 'bytes wrong' 0 "$(report '.validation.wrong_bytes // 0')"
}

test_engine_is_stopped_by_a_signal() {
    start_serve --listen "$near4:5201" --discard --connections 3 --keep-open --json "${by_ring[@]}"
    keep_sending
    await_text messages 'connection 1 from'
    kill -TERM "$server"
    end_serve
    expect_equal 'exit status' 143 "$status"
    wait "$sender" || true
}

test_engine_killed_is_restored() {
    start_serve --listen "$near4:5201" --discard "${by_ring[@]}"
    keep_sending
    await_text messages 'connection from'
    kill -KILL "$server"
    end_serve
    wait "$sender" || true
    # The kernel gives the queue back in the background.
    await devmemtcp steer restore eth1 >out 2>messages
    expect_line out 'tcp-data-split'
}

test_engine_is_chosen_where_it_can_be() {
    validate_pattern "$near4" 1000003 --engine auto
    expect_by_ring
    expect_equal reason 'it costs less than the socket engine' "$(report .engine_reason)"
    validate_pattern "$near4" 1000003 --engine auto --queues 6-7
    expect_by_ring
    expect_equal reason 'it costs less than the socket engine' "$(report .engine_reason)"
}

test_engine_forbidden_by_the_administrator() {
    local allowed
    allowed=$(</proc/sys/kernel/io_uring_disabled)
    undo write_file /proc/sys/kernel/io_uring_disabled "$allowed"
    echo 2 >/proc/sys/kernel/io_uring_disabled
    validate_pattern "$near4" 1000003 --engine auto
    expect_equal engine socket "$(report .engine)"
    [[ $(report .engine_reason) == *'Operation not permitted'*'io_uring_disabled'* ]] ||
        fail "reason: $(report .engine_reason)"
    local status=0
    devmemtcp serve --listen "$near4:5201" --discard "${by_ring[@]}" 2>messages || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_equal lines 1 "$(wc -l <messages)"
    expect_line messages 'Operation not permitted'
    devmemtcp doctor --json >report || true
    expect_equal 'verdict of doctor' warning "$(jq -r '.checks[] | select(.id == "io-uring").verdict' report)"
}

# received_by QUEUE: the bytes that the queue has received.
received_by() { shown "[.queues[] | select(.type == \"rx\")][$1].counters[\"rx-bytes\"]"; }

# Each queue has a dma-buf and an instance of its own.
test_engine_receives_from_several_queues() {
    local before6 before7
    before6=$(received_by 6) before7=$(received_by 7)
    start_serve --listen "$near4:5201" --connections 16 --queues 6-7 --spread rss --validate 7 --json "${by_ring[@]}"
    serve_senders 16 1000003
    expect_equal 'in all' '[16,0,16000048]' "$(tail -n 1 out | jq -c '[.connections, .failed, .bytes]')"
    expect_equal 'each one' '["io_uring",0,0]' "$(head -n -1 out | jq -sc 'map([.engine, .validation.wrong_bytes,
        .counts.ordinary_bytes]) | unique | if length == 1 then .[0] else . end')"
    (($(received_by 6) > before6 + 1000000)) || fail 'queue 6 received nothing'
    (($(received_by 7) > before7 + 1000000)) || fail 'queue 7 received nothing'
}

# Fragments go back to the ring of the queue that they came from.
test_engine_uses_memory_of_several_queues_again() {
    needs_nic labnic 'the rings of other NICs fill this memory'
    start_serve --listen "$near4:5201" --connections 8 --queues 6-7 --spread rss --memory 8M --validate 7 --json \
        "${by_ring[@]}"
    serve_senders 8 8000003
    expect_equal 'in all' '[8,0,64000024]' "$(tail -n 1 out | jq -c '[.connections, .failed, .bytes]')"
    expect_equal 'outside' '[0,0]' "$(head -n -1 out | jq -sc 'map([.validation.wrong_bytes,
        .counts.ordinary_bytes]) | unique | if length == 1 then .[0] else . end')"
}

# A rule that is changed under a connection: what comes from the other queue is received with its own ring. Each change
# is made while payload flows, and more follows it. The pieces are whole periods of the pattern.
test_engine_follows_a_connection_to_another_queue() {
    local rule action before7 piece=14000000
    mkfifo written go
    exec {written}<>written {go}<>go
    start_serve --listen "$near4:5201" --queues 6-7 --validate 7 --allow-host-memory --json "${by_ring[@]}"
    rule=$(flow_rules)
    before7=$(received_by 7)
    {
        for _ in 1 2; do
            pattern "$piece"
            echo >&"$written"
            pattern "$piece"
            read -r <&"$go"
        done
        pattern "$piece"
    } | send "$near4" 5201 &
    sender=$!
    for action in 7 6; do
        read -r -t 60 <&"$written" || fail 'the sender is stuck'
        ethtool -N eth1 delete "$rule"
        ethtool -N eth1 flow-type tcp4 dst-ip "$near4" dst-port 5201 action "$action" loc "$rule"
        echo >&"$go"
    done
    wait "$sender"
    serve_ok
    expect_equal 'bytes checked' $((5 * piece)) "$(report .validation.checked_bytes)"
    expect_equal 'bytes wrong' 0 "$(report .validation.wrong_bytes)"
    expect_by_ring
    (($(received_by 7) > before7 + 1000000)) || fail 'queue 7 received nothing'
}

test_engine_of_a_benchmark() {
    in_peer devmemtcp bench serve --quiet --listen "$far4:5201" &
    local peer=$!
    await_far_listener 5201
    devmemtcp bench run "$far4" --quiet --json --rx device --tx device --peer-rx device --bytes 16M \
        --flows 4 --threads 2 --validate "${by_ring[@]}" >out
    expect_equal engines '["io_uring","io_uring"]' "$(jq -c '[.near.engine, .far.engine]' out)"
    expect_equal received '[16777216,16777216]' \
        "$(jq -c '[.inbound.device_bytes, .outbound.device_bytes]' out)"
    kill "$peer"
    wait "$peer" || true
}

# Large buffers of the NIC, with either engine: huge pages are needed, and without them single pages do.
test_large_buffers_where_they_can_be() {
    needs page-size
    local engine
    # Enough for all four, as the kernel may free the memory of an ended one later.
    reserve_huge_pages 70
    for engine in socket io_uring; do
        validate_pattern "$near4" 5000003 --engine "$engine" --rx-page-size auto --memory 32M
        expect_device_share
        expect_equal "buffers, $engine" 'true null' "$(report '"\(.rx_page_bytes >= 16384) \(.rx_page_reason)"')"
        validate_pattern "$near4" 5000003 --engine "$engine" --rx-page-size 16K --memory 32M
        expect_equal "buffers, $engine" 16384 "$(report .rx_page_bytes)"
        [[ $lab_nic == mlx5 ]] || continue
        # The driver has a limit of its own, and says only that a number is out of range.
        status=0
        devmemtcp serve --listen "$near4:5201" --discard --engine "$engine" --rx-page-size 2M --memory 32M 2>messages ||
            status=$?
        expect_equal "exit status with 2M, $engine" 1 "$status"
        expect_line messages 'the driver may not fill buffers of 2M: choose a smaller size, or leave it out'
    done
    echo 0 >/proc/sys/vm/nr_hugepages
    hide "$heap"
    for engine in socket io_uring; do
        validate_pattern "$near4" 5000003 --engine "$engine" --rx-page-size auto --provider udmabuf
        expect_device_share
        expect_equal "buffers, $engine" null "$(report .rx_page_bytes)"
        [[ $(report .rx_page_reason) == *'vm.nr_hugepages'* ]] || fail "reason: $(report .rx_page_reason)"
    done
}

# pages_in_flight: those of all pools of eth1, with those that a pool has at hand.
pages_in_flight() { devmemtcp show eth1 --json | jq '[.. | objects | .in_flight? // empty] | add'; }

# What a connection holds when its output fails goes back to the NIC, although it is not closed by the kernel.
test_engine_takes_back_what_a_failed_connection_holds() {
    local number ring
    ring=$(ethtool --json -g eth1 | jq '.[].rx')
    undo ethtool -G eth1 rx "$ring"
    ethtool -G eth1 rx 64
    mkdir full
    undo umount full
    mount -t tmpfs -o size=64k none full
    start_serve --listen "$near4:5201" --connections 1 --keep-open --output 'full/got-%n' --json "${by_ring[@]}"
    for ((number = 1; number <= 12; number++)); do
        pattern 409600 | send "$near4" 5201 2>/dev/null || true
        while_runs=$server await has_lines "$number" out
        rm "full/got-$number"
    done
    expect_equal failures 12 "$(jq -s 'map(select(.failure | test("No space left"))) | length' out)"
    # An idle pool has as many at hand as the ring has places and 128 more (net/core/page_pool.c), and takes what the
    # last connection returned, at most 100, when it next needs some (io_uring/zcrx.c).
    receive_on_each_processor
    await eval '(($(pages_in_flight) <= 64 + 128 + 100))'
    kill -TERM "$server"
    end_serve
}
