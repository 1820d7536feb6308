# shellcheck shell=bash
# A command that cannot do its job prints one clear line, ends with a status other than zero, and leaves the NIC alone.
# SPDX-License-Identifier: Apache-2.0

# expect_refusal TEXT COMMAND...: the command must fail with status 1 and one line that holds the text.
expect_refusal() {
    local text=$1 status=0
    shift
    timeout 120 "$@" >out 2>messages || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_equal "lines of messages ($(cat messages))" 1 "$(wc -l <messages)"
    expect_line messages "$text"
    [[ ! -s out ]] || fail "it printed $(cat out)"
}

test_no_such_interface() {
    expect_refusal 'find interface eth9: No such device' \
        devmemtcp serve --interface eth9 --listen :5201
}

test_no_privilege() {
    expect_refusal 'Operation not permitted (run as root or with CAP_NET_ADMIN)' \
        setpriv --bounding-set=-net_admin devmemtcp serve --interface eth1 --listen :5201
}

test_no_udmabuf() {
    hide "$udmabuf"
    hide "$heap"
    expect_refusal 'open /dev/udmabuf: No such file or directory' devmemtcp serve --interface eth1 --listen :5201
}

test_queue_out_of_range() {
    expect_refusal 'there is no receive queue 8, only 0-7' \
        devmemtcp serve --interface eth1 --listen :5201 --queues 7-8
}

test_no_queue_left_for_others() {
    expect_refusal 'no queue of 0-7 would be left for other traffic' \
        devmemtcp serve --interface eth1 --listen :5201 --queues 0-7
}

test_header_split_refused() {
    needs_knobs refuse_hds
    set_knob refuse_hds 1
    expect_refusal 'set tcp-data-split on' devmemtcp serve --interface eth1 --listen :5201
    expect_line messages 'header split'
}

test_ring_change_refused() {
    needs_knobs fail_ring_set
    set_knob fail_ring_set 1
    expect_refusal 'tcp-data-split' devmemtcp serve --interface eth1 --listen :5201
}

test_rss_change_refused() {
    refuse rss 1
    expect_refusal 'set the RSS table of eth1' devmemtcp serve --interface eth1 --listen :5201
}

test_flow_rule_refused() {
    # On a real driver, further refusals would also hit the command that disables rules again.
    local times=1
    [[ $lab_nic != labnic ]] || times=9
    refuse rule "$times"
    expect_refusal "add a flow rule to eth1: $refused_with" \
        devmemtcp serve --interface eth1 --listen :5201
}

test_narrow_rule_refused_falls_back_to_a_wider_one() {
    refuse narrow-rule 1
    start_serve --listen "$near4:5201" --from "$far4" --validate 7 --json
    pattern 300000 | send "$near4" 5201
    serve_ok
    expect_equal 'bytes in device memory' 300000 "$(report .counts.device_bytes)"
}

test_queue_start_refused() {
    refuse queue 1
    expect_refusal 'bind-rx on eth1 queues 7' devmemtcp serve --interface eth1 --listen :5201
}

test_port_in_use() {
    launch socat -dd -u TCP-LISTEN:5201,reuseaddr -
    await_message 'listening on'
    drain_messages
    local holder=$server
    expect_refusal 'Address already in use' devmemtcp serve --interface eth1 --listen "$near4:5201"
    kill "$holder"
    wait "$holder" || true
}

test_address_of_another_host() {
    expect_refusal 'Cannot assign requested address' \
        devmemtcp serve --interface eth1 --listen 198.51.100.77:5201
    expect_refusal 'Cannot assign requested address' devmemtcp serve --listen 198.51.100.77:5201
}

test_link_local_address_without_interface() {
    expect_refusal 'a link-local address needs its interface' \
        devmemtcp serve --interface eth1 --listen '[fe80::1]:5201'
}

test_peer_of_the_other_family() {
    expect_refusal 'one address is IPv4, the other IPv6' \
        devmemtcp serve --listen "$near4:5201" --from "$far6"
}

test_memory_beyond_the_limit() {
    local parameter=/sys/module/udmabuf/parameters/size_limit_mb
    keep "$parameter"
    echo 32 >"$parameter"
    expect_refusal "this kernel's limit is 33554432 bytes" \
        devmemtcp serve --interface eth1 --listen :5201 --memory 33M --provider udmabuf
}

test_memory_must_be_whole_pages() {
    expect_refusal 'must be a multiple of 4096' \
        devmemtcp serve --interface eth1 --listen :5201 --memory 4097
}

test_more_memory_than_there_is() {
    expect_refusal 'of 16492674416640 bytes' \
        devmemtcp serve --interface eth1 --listen :5201 --memory 15T
}

test_interface_down() {
    take_down
    expect_refusal 'it has no queues while it is down (ip link set eth1 up)' \
        devmemtcp serve --interface eth1 --listen :5201
}

test_nic_without_header_split() {
    add_link veth-test type veth peer name veth-far
    ip link set veth-test up
    ip link set veth-far up
    expect_refusal 'veth-test' devmemtcp serve --interface veth-test --listen :5201
}

test_output_that_cannot_be_written() {
    expect_refusal 'open /nonexistent/file: No such file or directory' \
        devmemtcp serve --interface eth1 --listen :5201 --output /nonexistent/file
}

test_refused_session_leaves_no_file() {
    needs_knobs refuse_hds
    set_knob refuse_hds 1
    expect_refusal 'header split' devmemtcp serve --interface eth1 --listen :5201 --output made
    [[ ! -e made ]] || fail 'it left the output file behind'
}

test_wrong_usage() {
    local status=0
    devmemtcp serve >out 2>messages || status=$?
    expect_equal 'exit status' 64 "$status"
    expect_line messages "Missing expected argument '--listen <addr:port>'"
}
