# shellcheck shell=bash
# Under the name ncdevmem the command replaces the kernel's selftest in the kernel's test harness (devmem_lib.py of
# tools/testing/selftests/drivers/net/hw). The tests run every command line of the harness against socat at the far end,
# within the harness's limits of time and output.
# SPDX-License-Identifier: Apache-2.0

readonly dropin=/run/dropin/ncdevmem
# The program under test: $dropin, or the kernel's own for comparison.
program=$dropin
# The command that enters the program's namespace; by default it runs here.
place=()
# The harness's limits are meant for real machines; an emulated one on a busy host is this many times slower.
readonly dropin_slowness=${dropin_slowness:-10}

link_dropin() {
    mkdir -p "${dropin%/*}"
    ln -sf "$(command -v devmemtcp)" "$dropin"
}

# is_listening PORT: as the harness checks.
is_listening() {
    "${place[@]}" grep -Eqs "$(printf ':%04X .* 0A ' "$1")" /proc/net/tcp /proc/net/tcp6
}

# start_program ARGUMENTS...: runs the program where the harness would. The harness allows 20 s.
start_program() {
    "${place[@]}" timeout $((20 * dropin_slowness)) "$program" "$@" >out 2>messages </dev/null &
    server=$!
}

# await_listen PORT: waits until the program listens. The harness allows 5 s.
await_listen() { within=$((5 * dropin_slowness)) while_runs=$server await is_listening "$1"; }

# end_program: waits for the program to end, and sets $status. The harness reads the pipes of the program only after its
# end, and a pipe holds 64 KiB. Payload that it does not validate is shorter.
end_program() {
    status=0
    wait "$server" || status=$?
    ((status != 124)) || fail "it does not end: $(tail -n 5 messages)"
    local size
    size=$(wc -c <messages)
    ((size < 65536 - 8192)) || [[ $program != "$dropin" ]] || fail "it wrote $size bytes"
}

# send_bound FAR NEAR PORT [ADDRESS-OPTIONS [OPTION...]]: sends standard input from the port of the same number, as the
# harness does. Without a rule for that port the data would not reach the queue.
send_bound() {
    local far=$1 near=$2 port=$3 more=${4:-} family=4
    shift $(($# < 4 ? 3 : 4))
    [[ $near != *:* ]] || family=6 far="[$far]" near="[$near]"
    in_peer timeout $((20 * dropin_slowness)) socat "$@" -u - "TCP$family:$near:$port,bind=$far:$port$more"
}

# next_port: sets $port to one that no test has used, as one end of a closed connection stays in TIME-WAIT.
next_port() {
    mkdir -p /run/dropin
    port=$(cat /run/dropin/port 2>/dev/null || echo 5300)
    port=$((port + 1))
    echo "$port" >/run/dropin/port
}

# receive BYTES SEGMENT FAR NEAR OPTION...: sends the pattern, or if SEGMENT is not 0, zeros in segments of that size.
# Sets $status. The sender may fail if the program gives up.
receive() {
    next_port
    receive_at_port "$@"
}

receive_at_port() {
    local bytes=$1 segment=$2 far=$3 near=$4
    shift 4
    start_program -l -s "$near" -p "$port" "$@"
    await_listen "$port"
    if ((segment)); then
        head -c "$bytes" /dev/zero | send_bound "$far" "$near" "$port" ,nodelay -b "$segment"
    else
        pattern "$bytes" | send_bound "$far" "$near" "$port"
    fi || true
    end_program
}

# receive_ok ...: as receive; the status must be 0.
receive_ok() {
    receive "$@"
    ((status == 0)) || fail "receive $*: it ended with $status: $(tail -n 5 messages)"
}

# transmit FAR OPTION...: sends what the harness sends. Sets $status; the far end writes to ./got.
transmit() {
    local far=$1 family=4 listener
    shift
    [[ $far != *:* ]] || family=6
    next_port
    in_peer timeout $((20 * dropin_slowness)) socat -U - "TCP$family-LISTEN:$port" >got &
    listener=$!
    await_far_listener "$port"
    status=0
    echo -e 'hello\nworld' | "${place[@]}" timeout $((20 * dropin_slowness)) "$program" -s "$far" -p "$port" "$@" \
        >out 2>messages || status=$?
    wait "$listener" || true
}

transmit_ok() {
    transmit "$@"
    ((status == 0)) || fail "transmit $*: it ended with $status: $(tail -n 5 messages)"
    expect_equal 'what came' $'hello\nworld' "$(cat got)"
    [[ ! -s out ]] || fail "it wrote $(cat out)"
}

# probe OPTION...: sets $status.
probe() {
    status=0
    timeout $((20 * dropin_slowness)) "$program" -f eth1 "$@" >out 2>messages || status=$?
}

probe_ok() {
    probe "$@"
    ((status == 0)) || fail "it ended with $status: $(cat messages)"
    expect_line messages "4 of 4 trials passed on queues ${shown_queues:-4-7}"
}

# expect_probe_failure TEXT OPTION...: it must end with status 255 and one line that holds the text.
expect_probe_failure() {
    local text=$1
    shift
    probe "$@"
    expect_equal 'exit status' 255 "$status"
    expect_equal "lines of messages ($(cat messages))" 1 "$(wc -l <messages)"
    expect_line messages "$text"
}

test_dropin_probe() {
    link_dropin
    probe_ok
    expect_equal 'lines of messages' 1 "$(wc -l <messages)"
    shown_queues=2-4 probe_ok -t 2 -q3
    probe_ok -lp5201
    expect_line messages 'without -s this is the selftest, which ignores -l -p'
}

test_dropin_probe_with_large_pages() {
    needs page-size
    link_dropin
    expect_probe_failure 'sysctl vm.nr_hugepages=32 reserves as many as this needs' -b 16384
    reserve_huge_pages 64
    probe_ok -b 16384
    probe_ok -b 0x4000
    expect_probe_failure 'rx-page-size must be a power of 2' -b 16385
    expect_probe_failure 'integer out of range' -b 2048
}

# A NIC that does not do what it should fails the probe, and the message names what failed.
test_dropin_probe_of_a_broken_nic() {
    needs_knobs refuse_hds fail_ring_set fail_queue_start fail_queue_alloc fail_rss_set ignore_rss_set
    link_dropin
    local row
    for row in 'refuse_hds 1:set tcp-data-split on' 'fail_ring_set 1:tcp-data-split' \
        'fail_queue_start 1:bind-rx on eth1 queues 4-7: Input/output error' \
        'fail_queue_alloc 1:bind-rx on eth1 queues 4-7: Cannot allocate memory' \
        'fail_rss_set 1:set the RSS table of eth1' 'ignore_rss_set 1:reads back differently'; do
        # shellcheck disable=SC2086
        set_knob ${row%%:*}
        expect_probe_failure "${row#*:}"
        set_knob "${row%% *}" 0
    done
    probe_ok
}

test_dropin_receives_over_both_families() {
    link_dropin
    local near far
    for near in "$near4" "$near6"; do
        far=$far4
        [[ $near != *:* ]] || far=$far6
        receive_ok 1024 0 "$far" "$near" -f eth1 -c "$far" -v 7
        expect_equal 'output' 'Validated buffer: 1024 bytes' "$(cat out)"
        expect_line messages 'received 1024 bytes, 1024 in device memory of queues 7, 0 linear, 0 ordinary'
        receive_ok 100000 0 "$far" "$near" -f eth1
        pattern 100000 | cmp - out
        receive_ok 100000 0 "$far" "$near" -f eth1 -v7 -L -t5 -q2
        expect_line messages 'in device memory of queues 5-6,'
    done
}

test_dropin_receives_segments_of_all_sizes() {
    link_dropin
    local size
    for size in 1 8 16 32 64 128 256 512 1024 2048 4096 8192; do
        receive_ok "$size" "$size" "$far6" "$near6" -f eth1 -L
        expect_equal 'bytes' "$size" "$(stat -c %s out)"
    done
}

test_dropin_receives_into_large_pages() {
    needs page-size
    link_dropin
    reserve_huge_pages 64
    local size
    for size in 1024 4096 8192 16384 32768 65536; do
        receive_ok "$size" 0 "$far6" "$near6" -f eth1 -c "$far6" -v 7 -b 16384
    done
}

test_dropin_writes_little_for_much_payload() {
    link_dropin
    keep_gro
    ethtool -K eth1 rx-gro-hw off
    receive_ok 16777216 0 "$far4" "$near4" -f eth1 -v 7
    ((10#$(cat out messages | wc -c) < 1024)) || fail "it wrote $(cat out messages)"
}

# An empty stream is a success for a netcat and a failure for a validator.
test_dropin_empty_stream() {
    link_dropin
    receive_ok 0 0 "$far4" "$near4" -f eth1
    receive 0 0 "$far4" "$near4" -f eth1 -v 7
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'ncdevmem: no payload arrived to validate'
}

test_dropin_finds_one_wrong_bit() {
    link_dropin
    next_port
    start_program -l -f eth1 -s "$near4" -p "$port" -v 7
    await_listen "$port"
    pattern 16777216 >sent
    # The first byte of a period is 1, and \021 differs from it in one bit.
    local offset=$((1763668 * 7))
    printf '\021' | dd of=sent bs=1 seek="$offset" conv=notrunc status=none
    send_bound "$far4" "$near4" "$port" <sent
    end_program
    expect_equal 'exit status' 1 "$status"
    expect_line messages "payload is wrong from offset $offset: found 17, expected 1"
    expect_line messages '1 of 16777216 bytes wrong'
    [[ ! -s out ]] || fail "it wrote $(cat out)"
}

test_dropin_finds_a_bit_that_the_nic_flips() {
    link_dropin
    set_knob corrupt_nth 3
    receive 1000000 0 "$far4" "$near4" -f eth1 -v 7
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'payload is wrong from offset'
}

test_dropin_payload_outside_device_memory() {
    needs unsplit
    needs_knobs partial_split_nth
    link_dropin
    local row
    for row in unsplit_nth:'as on any socket' partial_split_nth:'in a packet'"'"'s head'; do
        set_knob "${row%%:*}" 3
        receive 3000000 0 "$far4" "$near4" -f eth1 -v 7 -L
        expect_equal 'exit status with -L' 1 "$status"
        expect_line messages "outside device memory, ${row#*:}"
        # Without -L it is payload like any other.
        receive_ok 3000000 0 "$far4" "$near4" -f eth1 -v 7
        expect_line messages '3000000 bytes, all right'
        set_knob "${row%%:*}" 0
    done
    # A NIC that puts no payload in device memory fails.
    set_knob unsplit_nth 1
    receive 100000 0 "$far4" "$near4" -f eth1
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'none of 100000 bytes arrived in device memory'
}

# With -n it binds a NIC that somebody else has steered.
test_dropin_binds_the_last_queue_of_a_steered_nic() {
    link_dropin
    next_port
    devmemtcp steer apply eth1 --queues 7 --flow ":$port" >steered
    receive_at_port 100000 0 "$far4" "$near4" -f eth1 -v 7 -L -n
    ((status == 0)) || fail "it ended with $status: $(tail -n 5 messages)"
    expect_line messages 'in device memory of queues 7,'
    devmemtcp steer restore eth1 >restored
}

# If the NIC refuses a rule with the peer's address, the drop-in adds a wider one.
test_dropin_flow_rule_falls_back() {
    link_dropin
    refuse narrow-rule 1
    receive_ok 100000 0 "$far4" "$near4" -f eth1 -c "$far4" -v 7 -L
}

test_dropin_flow_rule_names_the_peer_and_its_port() {
    link_dropin
    next_port
    start_program -l -f eth1 -s "$near4" -c "$far4" -p "$port"
    await_listen "$port"
    ethtool -n eth1 >rules
    expect_line rules "Src IP addr: $far4 mask: 0.0.0.0"
    expect_line rules "Dest IP addr: $near4 mask: 0.0.0.0"
    expect_line rules "Src port: $port mask: 0x0"
    expect_line rules "Dest port: $port mask: 0x0"
    echo data | send_bound "$far4" "$near4" "$port"
    end_program
    expect_equal 'exit status' 0 "$status"
    expect_equal 'output' data "$(cat out)"
}

test_dropin_transmits() {
    link_dropin
    local far chunk=1
    # Chunks of one byte make twelve fragments.
    nic_has many-fragments || chunk=2
    for far in "$far4" "$far6"; do
        transmit_ok "$far" -f eth1
        transmit_ok "$far" -f eth1 -z 3
        transmit_ok "$far" -f eth1 -t 0 -q 1 -n -z "$chunk"
    done
    # From a given address and port.
    next_port
    in_peer timeout $((20 * dropin_slowness)) socat -u "TCP4-LISTEN:$port,sourceport=$port,range=$near4/32" - >got &
    listener=$!
    await_far_listener "$port"
    echo data | "$dropin" -f eth1 -s "$far4" -c "$near4" -p "$port" 2>messages
    wait "$listener"
    expect_equal 'what came' data "$(cat got)"
    expect_line messages "connected from $near4:$port, eth1"
}

# One sendmsg call names up to 1024 chunks, here of three bytes each.
test_dropin_transmits_in_chunks() {
    needs many-fragments
    link_dropin
    base64 /dev/urandom 2>/dev/null | head -c 200000 >sent || true
    next_port
    in_peer timeout $((20 * dropin_slowness)) socat -u "TCP4-LISTEN:$port" - >got &
    listener=$!
    await_far_listener "$port"
    strace -f -e trace=sendmsg -o trace "$dropin" -f eth1 -s "$far4" -p "$port" -z 3 <sent 2>messages
    wait "$listener"
    cmp sent got
    expect_line trace '{iov_base=0x3, iov_len=3}'
    expect_line trace 'msg_iovlen=1024'
}

# A peer that keeps its direction open does not delay the end.
test_dropin_client_ends_when_all_is_acknowledged() {
    link_dropin
    mkfifo silent
    exec {silence}<>silent
    next_port
    in_peer timeout $((20 * dropin_slowness)) socat - "TCP4-LISTEN:$port,ignoreeof" <&"$silence" >got &
    listener=$!
    await_far_listener "$port"
    echo data | timeout $((5 * dropin_slowness)) "$dropin" -f eth1 -s "$far4" -p "$port" 2>messages
    expect_line messages 'sent 5 bytes from device memory'
    pkill -KILL -x socat
    wait "$listener" || true
}
