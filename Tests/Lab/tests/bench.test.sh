# shellcheck shell=bash
# bench in both directions, with all kinds of memory and many flows. It reports what fails and leaves nothing behind.
# SPDX-License-Identifier: Apache-2.0

# bench ARGUMENTS...: runs bench with the namespace as its peer. The report goes to ./out, and $status is the exit
# status.
bench() {
    status=0
    timeout $((limit - 30)) devmemtcp bench run --remote netns:peer --interface eth1 --json "$@" >out \
        2>messages || status=$?
}

bench_ok() {
    bench "$@"
    expect_equal "exit status ($(cat messages))" 0 "$status"
    expect_equal 'failure' null "$(report .failure)"
}

# expect_true WHAT EXPRESSION: of the report.
expect_true() { expect_equal "$1: $2" true "$(report "$2")"; }

# await_no_far_end: waits until all remote processes of bench have ended.
await_no_far_end() { await no_far_end; }

no_far_end() { ! pgrep -f 'far-end --netns' >/dev/null; }

test_bench_receives_into_device_memory_from_plain_tcp() {
    bench_ok --time 1 --validate
    expect_true 'all in device memory' '.inbound.bytes > 0 and .inbound.elsewhere_bytes == 0'
    expect_true 'device bytes' '.inbound.device_bytes == .inbound.bytes'
    expect_true 'every byte is right' \
        '.inbound.wrong_bytes == 0 and .near.flows[0].validation.checked_bytes >= .inbound.bytes'
    expect_true 'plain at the far end' \
        '.inbound.memory == {"sender":"host","receiver":"device"} and .far.bound_queues == []'
    expect_true 'calls' '.near.flows[0].received | .recvmsg_calls > 0 and .token_ranges > 0'
    expect_true 'time' '.inbound.seconds > 0.5 and .inbound.seconds < 3'
    expect_true 'processor' '.near_cost.system_seconds_per_gib > 0 and .far.cpu_system_seconds > 0'
    expect_true 'pools' '[.near.page_pools[].id] | length == 1'
    expect_true 'queues' '[.near.queues[] | select(.type == "rx" and .id == 7) | .counters["rx-bytes"]] | length == 1'
    expect_true 'intervals' '.intervals | length >= 1'
    expect_equal 'messages' 'devmemtcp: eth1 with netns:peer' "$(cat messages)"
    expect_equal 'hosts and kernels' "$(hostname) $(uname -r) $(hostname) $(uname -r)" \
        "$(jq -r '"\(.near.host) \(.near.kernel) \(.far.host) \(.far.kernel)"' out)"
    expect_true 'when' '(.time | sub("[.][0-9]+Z$"; "Z") | fromdate) as $t | now - $t >= 1 and now - $t < 120'
}

test_bench_sends_from_device_memory() {
    bench_ok --bytes 30000001 --tx device --validate
    expect_true 'bytes' '.outbound.bytes == 30000001 and .inbound == null'
    expect_true 'sends' '.near.flows[0].sent | .sent_bytes == 30000001 and .completions > 0'
    expect_true 'compared' '.far.flows[0].validation.checked_bytes == 30000001'
    expect_true 'from device memory' '.outbound | .sent_bytes == 30000001 and .memory.sender == "device"'
    # The text for people names the direction and the memory of each end.
    devmemtcp bench run --remote netns:peer --interface eth1 --bytes 30000001 --tx device >text 2>messages ||
        fail "$(cat messages)"
    expect_line text '30000001 bytes from device memory of this host'
    expect_line text '30000001 bytes in host memory of the peer'
}

# Each queue has one port, and nothing arrives at another port.
test_bench_uses_the_named_ports() {
    launch_bench --queues 'auto 2' --flows 4 --port 5301 --json
    local ports
    ports=$(ss -Htn state established '( sport = :5301 or sport = :5302 )' |
        awk '{ sub(/.*:/, "", $3); print $3 }' | sort | uniq -c | awk '{ print $1 "x" $2 }' | tr '\n' ' ')
    expect_equal 'ports' '2x5301 2x5302 ' "$ports"
    kill -INT "$server"
    end_serve
    expect_true 'report' '.inbound.device_bytes > 0 and .inbound.elsewhere_bytes == 0 and .failure == null'
    await_no_far_end
}

# Another process connects to the port all the time, and sends data.
test_bench_closes_foreign_connections() {
    needs_knobs delay_us
    # The port stays open until the far end has connected, long enough for a foreign process to connect.
    set_knob delay_us 200000
    ip netns exec peer timeout 120 bash -c \
        'trap "" PIPE; while :; do echo junk 2>/dev/null >"/dev/tcp/$0/5301"; done' \
        "$near4" 2>/dev/null &
    local foreign=$! round
    for ((round = 0; round < 10; round++)); do
        bench_ok --bytes 2000000 --flows 3 --port 5301 --validate
        expect_true 'bytes' '.inbound.device_bytes == 2000000 and .inbound.wrong_bytes == 0'
        expect_true 'nothing foreign' '.inbound.elsewhere_bytes == 0'
        ! grep -q 'closed a connection from' messages || break
    done
    kill "$foreign" || true
    wait "$foreign" || true
    set_knob delay_us 0
    expect_line messages 'closed a connection from'
}

test_bench_device_memory_at_both_ends_both_ways() {
    local before
    before=$(in_peer ethtool -x eth1)
    bench_ok --bytes 20000000 --rx device --tx device --peer-rx device --peer-tx device --validate
    local way
    for way in inbound outbound; do
        expect_true "$way" ".$way.device_bytes == 20000000 and .$way.wrong_bytes == 0"
    done
    expect_equal 'the far NIC' "$before" "$(in_peer ethtool -x eth1)"
    expect_equal 'rules of the far NIC' 0 "$(in_peer ethtool -n eth1 | grep -c '^Filter' || true)"
}

# At each end each flow has a rule with all four fields.
test_bench_flows_from_named_ports() {
    bench_ok --bytes 20000000 --flows 3 --rx device --tx device --peer-rx device --queues 'auto 2' \
        --from "$far4:21000" --validate
    expect_true 'near' '.inbound.device_bytes == 20000000 and .inbound.wrong_bytes == 0'
    expect_true 'far' '.outbound.device_bytes == 20000000 and .outbound.wrong_bytes == 0'
    expect_true 'plan' '.plan.from == {"address":"192.0.2.2","port":21000}'
}

test_bench_of_plain_tcp_changes_no_setting() {
    bench_ok --time 1 --rx host --verbose
    expect_true 'plain' '.inbound.device_bytes == 0 and .inbound.elsewhere_bytes > 0'
    expect_equal 'messages' 'devmemtcp: eth1 with netns:peer' "$(cat messages)"
}

# The main case: the receiver uses device memory, plain TCP goes back, and flows share threads.
test_bench_duplex_of_four_flows_on_two_threads() {
    bench_ok --time 2 --warm-up 0.5 --duplex --flows 4 --threads 2 --queues 'auto 2' --validate \
        --csv intervals.csv --plot plot.svg
    local way
    for way in inbound outbound; do
        expect_true "flows $way" "[.$way.flows[].flow] == [1, 2, 3, 4]"
        expect_true "each $way" "[.$way.flows[].bytes] | min > 0"
        expect_true "sum $way" ".$way.bytes == ([.$way.flows[].bytes] | add)"
        expect_true "rate $way" \
            "(.$way.bytes_per_second - ([.$way.flows[].bytes_per_second] | add)) | fabs < 1"
        expect_true "retransmits $way" ".$way.retransmits == ([.$way.flows[].retransmits] | add)"
    done
    expect_true 'received' \
        '.inbound.device_bytes == ([.near.flows[].received.device_bytes] | add)'
    expect_true 'queues' '.near.bound_queues | length == 2'
    expect_true 'no warm-up in it' \
        '[.near.flows[] | .validation.checked_bytes] | add > 0'
    expect_true 'measured' '.inbound.seconds > 1 and .inbound.seconds < 4'
    expect_equal 'columns' 10 "$(head -n 1 intervals.csv | tr , '\n' | wc -l)"
    expect_equal 'rows' "$((4 * $(report '.intervals | length')))" "$(tail -n +2 intervals.csv | wc -l)"
    expect_line plot.svg 'prefers-color-scheme: dark'
    expect_equal 'curves' 13 "$(grep -c '<polyline' plot.svg)"
}

test_bench_over_ipv6_with_tuned_connections() {
    start_far_end
    devmemtcp bench run "$far6" --time 1 --mss 1400 --congestion reno --pace 80M --cpus 0,1 \
        --peer-cpus 1 --threads 2 --flows 2 --message 64K --json >out 2>messages ||
        fail "$(cat messages)"
    # Two flows of at most 80 Mbit/s each, with some allowance for bursts.
    expect_true 'paced' '.inbound.bytes_per_second > 1e6 and .inbound.bytes_per_second < 25e6'
    expect_true 'queues' '.near.bound_queues | length == 1'
    end_far_end
}

test_bench_request_and_response() {
    bench_ok --time 1 --request-response 4K --validate
    expect_true 'count' '.latency.count > 5'
    expect_true 'order' \
        '.latency | [.min_us, .p50_us, .p90_us, .p99_us, .p999_us, .max_us] | . == sort and .[0] > 0'
    expect_true 'bytes' '.inbound.bytes >= .latency.count * 4096 - 8192'
    expect_true 'right' '.inbound.wrong_bytes == 0 and .outbound.wrong_bytes == 0'
}

# busy_polled: prints how many packets busy polling has received.
busy_polled() {
    awk '$1 == "TcpExt:" && !n { n = split($0, name) ; next }
        $1 == "TcpExt:" { for (i = 2; i <= n; i++) if (name[i] == "BusyPollRxPackets") print $i }' /proc/net/netstat
}

test_bench_polls_busily() {
    local before
    before=$(busy_polled)
    bench_ok --time 1 --request-response 4K --busy-poll 2000
    expect_true 'count' '.latency.count > 5 and .plan.busy_poll_us == 2000'
    (($(busy_polled) > before)) || fail 'no packet came by busy polling'
}

test_bench_with_large_pages() {
    needs page-size
    reserve_huge_pages 32
    bench_ok --bytes 20000000 --rx-page-size 64K --validate
    expect_true 'bytes' '.inbound.device_bytes == 20000000 and .inbound.wrong_bytes == 0'
}

test_bench_finds_a_corrupted_byte() {
    set_knob corrupt_nth 20
    bench --bytes 20000000 --validate
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'devmemtcp: payload of flow 1 to this host is wrong from offset'
    expect_true 'wrong' '.inbound.wrong_bytes > 0'
    # Without --validate nobody notices.
    bench --bytes 20000000
    expect_equal 'exit status' 0 "$status"
}

# launch_bench ARGUMENTS...: starts a bench that runs until it is ended, and returns once payload flows.
launch_bench() {
    launch devmemtcp bench run --remote netns:peer --interface eth1 --interval --time 1000 "$@"
    await_message ' Gbit/s' || fail "no payload flows: $(cat messages)"
    drain_messages
}

test_bench_ended_by_a_signal_reports_so_far() {
    local before
    before=$(nic_settings eth1)
    launch_bench --validate --json
    kill -INT "$server"
    end_serve
    expect_equal 'exit status' 130 "$status"
    expect_true 'report' '.stopped_by_signal == 2 and .inbound.bytes > 0 and .failure == null'
    expect_equal settings "$before" "$(nic_settings eth1)"
    await_no_far_end
}

# The peer restores its own NIC, and steer restore the near one.
test_steer_restore_after_a_killed_bench() {
    local before far_before
    before=$(nic_settings eth1)
    far_before=$(in_peer ethtool -x eth1)
    launch_bench --duplex --peer-rx device
    kill -KILL "$server"
    end_serve
    expect_equal 'exit status' 137 "$status"
    await_no_far_end
    expect_equal 'the far NIC' "$far_before" "$(in_peer ethtool -x eth1)"
    [[ $(nic_settings eth1) != "$before" ]] || fail 'nothing was left to restore'
    devmemtcp steer restore --all >restored
    expect_line restored eth1
    expect_equal settings "$before" "$(nic_settings eth1)"
}

# start_far_end: starts bench serve at the far end. Without in_peer, so that $server is its pid and not a shell's.
start_far_end() { start_command ip netns exec peer devmemtcp bench serve; }

end_far_end() {
    kill -TERM "$server"
    end_serve
    expect_equal "exit status of the far end ($(cat messages))" 143 "$status"
}

test_bench_far_end_is_stopped() {
    start_far_end
    local status=0
    mkfifo seen
    devmemtcp bench run "$far4" --time 1000 --interval >report 2>seen &
    local near=$!
    grep -q -m 1 Gbit/s seen
    cat seen >rest &
    kill -INT "$server"
    wait "$near" || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_line report 'payload in'
    end_serve
    expect_equal 'exit status of the far end' 130 "$status"
}

# bench serve survives the death of a near end.
test_bench_near_end_dies() {
    local before
    before=$(in_peer ethtool -x eth1)
    start_far_end
    mkfifo seen
    devmemtcp bench run "$far4" --time 1000 --tx device --peer-rx device --interval >report 2>seen &
    local near=$!
    grep -q -m 1 Gbit/s seen
    kill -KILL "$near"
    wait "$near" || true
    devmemtcp bench run "$far4" --bytes 1000000 --json >out 2>told || fail "$(cat told)"
    expect_true 'bytes' '.inbound.bytes == 1000000'
    expect_equal 'the far NIC' "$before" "$(in_peer ethtool -x eth1)"
    end_far_end
}

test_bench_refusals() {
    expect_refusal 'Connection refused (nothing listens there)' devmemtcp bench run "$far4"
    expect_refusal 'find interface eth9: No such device' \
        devmemtcp bench run --remote netns:peer --interface eth9
    expect_refusal 'run as root or with CAP_NET_ADMIN' setpriv --bounding-set=-net_admin \
        devmemtcp bench run --remote netns:peer --interface eth1 --quiet
    expect_refusal 'set congestion control nosuch: No such file or directory' \
        devmemtcp bench run --remote netns:peer --interface eth1 --quiet --congestion nosuch
    expect_refusal 'nproc shows how many there are' \
        devmemtcp bench run --remote netns:peer --interface eth1 --quiet --cpus 99
    local status=0
    devmemtcp bench run --remote netns:nowhere --interface eth1 >out 2>messages || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'open /run/netns/nowhere: No such file or directory'
    expect_line messages 'it is gone (its messages, if any, are above)'
    start_far_end
    # Another directory, as the far end writes its messages here.
    mkdir near
    cd near || return
    expect_refusal 'another process has the port' ip netns exec peer devmemtcp bench serve
    expect_refusal 'it is the loopback interface' devmemtcp bench run "$far4" --interface lo
    cd .. || return
    end_far_end
}

test_bench_versions_differ() {
    # A peer that greets and then sends nothing until the near side ends.
    printf '%s\n' '#!/bin/bash' "echo '{\"hello\":{\"version\":99}}'" 'exec cat >/dev/null' >far-end
    chmod +x far-end
    in_peer socat TCP-LISTEN:5201,reuseaddr EXEC:./far-end &
    local peer=$!
    await_far_listener 5201
    expect_refusal 'it speaks version 99, this program 3 (run the same devmemtcp at both ends)' \
        devmemtcp bench run "$far4"
    wait "$peer" || true
}
