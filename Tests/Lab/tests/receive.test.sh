# shellcheck shell=bash
# Payload reaches device memory, whole and in order.
# SPDX-License-Identifier: Apache-2.0

# expect_device_share: at least 99.9 % of payload must be in device memory.
expect_device_share() {
    expect_equal 'share of device memory' true \
        "$(report '.counts | .device_bytes >= 0.999 * (.device_bytes + .linear_bytes + .ordinary_bytes)')"
}

# validate_pattern ADDRESS BYTES OPTIONS...: receives a pattern and checks the report.
validate_pattern() {
    local address=$1 bytes=$2 listen=$1
    shift 2
    [[ $listen != *:* ]] || listen="[$listen]"
    start_serve --listen "$listen:5201" --validate 7 --json "$@"
    pattern "$bytes" | send "$address" 5201
    serve_ok
    expect_equal 'bytes checked' "$bytes" "$(report .validation.checked_bytes)"
    expect_equal 'bytes wrong' 0 "$(report .validation.wrong_bytes)"
}

# receive_random BYTES OPTIONS...: receives random bytes into a file and compares them.
receive_random() {
    local bytes=$1
    shift
    head -c "$bytes" /dev/urandom >sent
    start_serve --listen "$near4:5201" --output got "$@"
    send "$near4" 5201 <sent
    serve_ok
    cmp sent got
}

test_validates_over_ipv4() {
    validate_pattern "$near4" 20000003 --interface eth1
    expect_device_share
    expect_equal queues '[7]' "$(report '.queues | tostring')"
    expect_equal driver "$(driver_name)" "$(report .driver)"
}

test_validates_over_ipv6_on_two_queues_from_one_peer() {
    validate_pattern "$near6" 20000003 --queues 6-7 --from "$far6"
    expect_device_share
    expect_equal interface eth1 "$(report .interface)"
}

test_validates_over_a_link_local_address() {
    local address=fe80::99
    undo ip address del "$address/64" dev eth1
    ip address add "$address/64" dev eth1 nodad
    start_serve --listen "[$address%eth1]:5201" --validate 7 --json
    pattern 1000000 | in_peer socat -u - "TCP:[$address%eth1]:5201"
    serve_ok
    expect_equal 'bytes wrong' 0 "$(report .validation.wrong_bytes)"
    expect_equal interface eth1 "$(report .interface)"
    expect_device_share
}

test_wildcard_address_receives_ipv4_and_ipv6() {
    local address
    for address in "$near4" "$near6"; do
        start_serve --interface eth1 --listen :5201 --validate 7 --json
        pattern 500000 | send "$address" 5201
        serve_ok
        expect_device_share
    done
}

test_random_bytes_reach_a_file() {
    receive_random 50000000
}

test_slow_reader_of_standard_output_loses_nothing() {
    head -c 20000000 /dev/urandom >sent
    # The reader reads small chunks, so that the sender must wait again and again.
    start_command bash -c "devmemtcp serve --listen $near4:5201 --memory 1M | dd bs=4096 of=got status=none"
    send "$near4" 5201 <sent
    serve_ok
    cmp sent got
    expect_line messages 'payload        20000000 bytes'
}

test_sizes_around_a_page() {
    local size
    for size in 0 1 4095 4096 4097 65536; do
        receive_random "$size"
    done
}

test_packets_without_gro() {
    local mtu
    keep_gro
    ethtool -K eth1 rx-gro-hw off
    for mtu in 1500 "$lab_mtu"; do
        ip link set eth1 mtu "$mtu"
        validate_pattern "$near4" 5000001
        expect_device_share
    done
}

test_unsplit_packets_keep_their_place() {
    set_knob unsplit_nth 7
    receive_random 20000000 --json
    ! nic_has unsplit || ((10#$(jq .counts.ordinary_bytes out) > 0)) || fail "nothing came unsplit: $(cat out)"
}

test_linear_bytes_keep_their_place() {
    needs_knobs partial_split_nth
    set_knob partial_split_nth 5
    receive_random 20000000 --json
    ((10#$(jq .counts.linear_bytes out) > 0)) || fail "nothing came linear: $(cat out)"
}

test_lost_and_late_packets_are_harmless() {
    set_knob drop_nth 100
    # The software devices always deliver in order.
    [[ $lab_nic != labnic ]] || set_knob reorder_nth 17
    receive_random 10000000
}

test_one_wrong_bit_is_found() {
    set_knob corrupt_nth 20
    start_serve --listen "$near4:5201" --validate 7 --json
    pattern 5000000 | send "$near4" 5201
    end_serve
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'payload is wrong from offset'
    ((10#$(jq .validation.wrong_bytes out) > 0)) || fail "$(cat out)"
}

test_small_dmabuf_is_used_again_and_again() {
    validate_pattern "$near4" 30000001 --memory 512K
    expect_device_share
}

test_no_system_call_for_single_fragments() {
    local fragments calls
    keep_gro
    ethtool -K eth1 rx-gro-hw off
    validate_pattern "$near4" 20000003
    fragments=$(report .counts.fragments)
    calls=$(report '.counts | .recvmsg_calls + .token_calls')
    ((fragments > 4 * calls)) || fail "$fragments fragments took $calls calls"
}

test_calls_that_return_memory_are_counted() {
    keep_gro
    ethtool -K eth1 rx-gro-hw off
    start_command strace -f -e trace=setsockopt -o trace \
        devmemtcp serve --engine socket --listen "$near4:5201" --validate 7 --json
    pattern 10000003 | send "$near4" 5201
    serve_ok
    # SO_DEVMEM_DONTNEED of asm-generic/socket.h, by its number for a strace that does not know it.
    expect_equal 'calls' "$(grep -cE 'SOL_SOCKET, (SO_DEVMEM_DONTNEED|0x50)' trace)" "$(report .counts.token_calls)"
}

test_connection_from_elsewhere_is_closed() {
    start_serve --listen "$near4:5201" --from "$far4" --validate 7 --json
    undo in_peer ip address del 192.0.2.3/24 dev eth1
    in_peer ip address add 192.0.2.3/24 dev eth1
    pattern 1000 | in_peer socat -u - "TCP:$near4:5201,bind=192.0.2.3" || true
    pattern 70000 | in_peer socat -u - "TCP:$near4:5201,bind=$far4"
    serve_ok
    expect_equal 'bytes checked' 70000 "$(report .validation.checked_bytes)"
    grep -Eq 'refused 192\.0\.2\.3:[0-9]+, which is not allowed to connect' messages || fail "$(cat messages)"
}

# Some NICs accept only a rule that also names the peer's port.
test_connection_from_another_port_is_closed() {
    start_serve --listen "$near4:5201" --from "$far4:4001" --validate 7 --json
    ethtool -n eth1 >rules
    expect_line rules 'Src port: 4001 mask: 0x0'
    pattern 1000 | in_peer socat -u - "TCP:$near4:5201,sourceport=4000" || true
    pattern 70000 | in_peer socat -u - "TCP:$near4:5201,sourceport=4001"
    serve_ok
    expect_equal 'bytes checked' 70000 "$(report .validation.checked_bytes)"
    expect_device_share
}

# direct_receive PORT SEGMENT: receives ./sent in segments with SEGMENT bytes of payload.
direct_receive() {
    start_serve --listen "$near4:$1" --output got --direct --json
    # A TCP option uses 12 bytes of each segment.
    in_peer socat -u -b 65536 - "TCP:$near4:$1,mss=$(($2 + 12))" <sent
    serve_ok
    cmp sent got
}

test_direct_writes_whole_blocks_from_device_memory() {
    # So little that no window cuts a segment short.
    head -c 40963 /dev/urandom >sent
    direct_receive 5201 4096
    expect_equal 'directly from device memory' 40960 "$(report .direct_bytes)"
}

test_direct_with_segments_of_any_length() {
    head -c 20000003 /dev/urandom >sent
    direct_receive 5201 4096
    direct_receive 5202 1000
}

test_direct_where_the_file_system_cannot() {
    mkdir -p plain
    undo umount "$PWD/plain"
    mount -t ramfs ramfs plain
    head -c 3000000 /dev/urandom >sent
    start_serve --listen "$near4:5201" --output plain/got --direct --json
    send "$near4" 5201 <sent
    serve_ok
    cmp sent plain/got
    expect_line messages 'plain/got: O_DIRECT is not possible'
    expect_equal 'key in the report' null "$(report .direct_bytes)"
}

# A block device, unlike a file in memory, reads and writes the pages itself. It can do so with udmabuf's pages but not
# with a heap's, which need a buffer or the page cache.
test_direct_with_a_block_device() {
    local provider disk receiver direct refused
    modprobe loop
    truncate -s 8M image
    disk=$(losetup --find --show image)
    undo losetup --detach "$disk"
    head -c 8M /dev/urandom >"$disk"
    head -c 40960 /dev/urandom >sent
    for provider in auto heap:system; do
        if [[ $provider == auto ]]; then direct=40960 refused=0; else direct=0 refused=1; fi
        start_serve --listen "$near4:5201" --output "$disk" --direct --provider "$provider" --json
        in_peer socat -u -b 65536 - "TCP:$near4:5201,mss=4108" <sent
        serve_ok
        cmp --bytes=40960 sent "$disk"
        expect_equal "directly from $provider" "$direct" "$(report .direct_bytes)"
        in_peer socat -u "TCP-LISTEN:5202,reuseaddr" - >got &
        receiver=$!
        await_far_listener 5202
        strace -f -e trace=read -e status=failed -o failed devmemtcp connect "$far4:5202" --input "$disk" \
            --direct --provider "$provider" --discard >out 2>messages || fail "$(cat messages)"
        wait "$receiver"
        cmp "$disk" got
        expect_equal "refused reads into $provider" "$refused" "$(grep -c EFAULT failed || true)"
    done
}
