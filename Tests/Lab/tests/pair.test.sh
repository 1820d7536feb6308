# shellcheck shell=bash
# Two hosts: payload crosses from one kernel to another, and ssh starts the peer. For the near guest of "scripts/lab pair".
# SPDX-License-Identifier: Apache-2.0

# at_far COMMAND: runs a shell command in the far guest.
at_far() { ssh -o BatchMode=yes far "$@"; }

# use_far: sets $far_release, and ends the test's commands and removes its files there when the test has ended.
use_far() {
    undo at_far 'pkill -KILL devmemtcp; rm -f sent got'
    far_release=$(at_far uname -r)
}

# source_memory RELEASE: prints the option of connect for a kernel that cannot send from device memory.
source_memory() { [[ $(kernel_lacks "$1") != *sending* ]] || echo --host-memory; }

# source_interface RELEASE: prints the NIC that connect reports: it has one only with device memory.
source_interface() { if [[ -z $(source_memory "$1") ]]; then echo eth1; else echo null; fi; }

# expect_all_in_device_memory BYTES: of the report of serve in ./out.
expect_all_in_device_memory() {
    expect_equal 'bytes in device memory and elsewhere' "$1 0" \
        "$(report '.counts | "\(.device_bytes) \(.linear_bytes + .ordinary_bytes)"')"
}

test_pair_receives_from_another_kernel() {
    local address
    use_far
    at_far 'head -c 20000003 /dev/urandom >sent; sha256sum <sent' >sum
    for address in "$near4" "[$near6]"; do
        start_serve --listen "$address:5201" --output got --json
        at_far "devmemtcp connect $address:5201 $(source_memory "$far_release") --input sent --discard --json" \
            >sender 2>told || fail "connect: $(cat told)"
        serve_ok
        expect_equal 'SHA-256' "$(<sum)" "$(sha256sum <got)"
        expect_all_in_device_memory 20000003
        expect_equal 'the sender' "$(source_interface "$far_release")" "$(jq -r .interface sender)"
    done
    printf '# %s receives from %s %s\n' "$(uname -r)" "$far_release" "$(source_memory "$far_release")"
}

test_pair_sends_to_another_kernel() {
    local address memory=()
    use_far
    read -r -a memory <<<"$(source_memory "$(uname -r)")"
    head -c 20000003 /dev/urandom >sent
    for address in "$far4" "[$far6]"; do
        start_command at_far "exec devmemtcp serve --listen '$address:5201' --output got --json"
        devmemtcp connect "$address:5201" "${memory[@]}" --input sent --discard --json >sender 2>told ||
            fail "connect: $(cat told)"
        serve_ok
        expect_equal 'SHA-256' "$(sha256sum <sent)" "$(at_far 'sha256sum <got')"
        expect_all_in_device_memory 20000003
        expect_equal 'the sender' "$(source_interface "$(uname -r)")" "$(jq -r .interface sender)"
        # The second time labnic cuts the packets into segments, not the kernel.
        undo in_peer ethtool -K eth1 rx-gro-hw on
        in_peer ethtool -K eth1 rx-gro-hw off
    done
    printf '# %s receives from %s %s\n' "$far_release" "$(uname -r)" "${memory[*]}"
}

test_pair_validates_over_ssh() {
    use_far
    reserve_huge_pages 16
    status=0
    devmemtcp validate eth1 --remote ssh:far >out 2>messages || status=$?
    expect_equal "exit status ($(grep -v '^ *ok' out; cat messages))" 0 "$status"
    expect_equal 'skipped for other reasons' '' "$(other_skips)"
    expect_equal 'cases' "$(devmemtcp validate --list | wc -l)" "$(grep -c '^ok ' out)"
    expect_equal 'left in the far guest' '' "$(at_far 'ls -A /tmp')"
    tail -n 1 out
}

test_pair_bench_over_ssh() {
    local way options=(--rx device --peer-rx device) before
    use_far
    [[ -n $(source_memory "$(uname -r)") ]] || options+=(--tx device)
    [[ -n $(source_memory "$far_release") ]] || options+=(--peer-tx device)
    before=$(at_far 'ethtool -x eth1; ethtool -n eth1; ethtool -g eth1')
    devmemtcp bench run --remote ssh:far --interface eth1 --bytes 20000000 "${options[@]}" --duplex --validate --json \
        >out 2>messages || fail "$(cat messages out)"
    for way in inbound outbound; do
        expect_equal "$way" '20000000 0' "$(report ".$way | \"\\(.device_bytes) \\(.wrong_bytes)\"")"
    done
    expect_equal 'hosts and kernels' "near $(uname -r) far $far_release" \
        "$(report '"\(.near.host) \(.near.kernel) \(.far.host) \(.far.kernel)"')"
    expect_equal 'the far NIC' "$before" "$(at_far 'ethtool -x eth1; ethtool -n eth1; ethtool -g eth1')"
    expect_equal 'left in the far guest' '' "$(at_far 'ls -A /tmp')"
}

# The remote process of bench is killed while payload flows.
test_pair_peer_is_killed() {
    local near
    use_far
    mkfifo seen
    # Slow enough that the processors can also start ssh.
    devmemtcp bench run --remote ssh:far --interface eth1 --time 1000 --pace 50M --interval >report 2>seen &
    near=$!
    exec {message_pipe}<seen
    await_message Gbit/s || fail "it ended: $(cat messages report)"
    drain_messages
    at_far 'pkill -KILL devmemtcp'
    status=0
    wait "$near" || status=$?
    wait "$drain"
    expect_equal 'exit status' 1 "$status"
    expect_equal 'messages' 'devmemtcp: the peer is gone' "$(grep -v -e 'Gbit/s' -e 'eth1 with ssh:far' messages)"
}

# Nothing crosses the link any more, and nobody closes the connection.
test_pair_link_goes_down() {
    local begun peer
    use_far
    start_serve --listen "$near4:5201" --output got --peer-timeout 4 --json
    at_far "devmemtcp connect $near4:5201 --host-memory --pattern 7 --bytes 1T" >/dev/null 2>told &
    peer=$!
    await is_not_empty got
    undo in_peer ip link set uplink up
    in_peer ip link set uplink down
    begun=$SECONDS
    end_serve
    expect_equal 'exit status' 1 "$status"
    expect_equal 'messages' 'Connection timed out (the peer no longer answers: it or the network is down)' \
        "$(sed -n 's/^devmemtcp: receive from [0-9.]*:[0-9]*: //p' messages)"
    ((SECONDS - begun < 120)) || fail "it took $((SECONDS - begun)) s"
    # The far side learns of it when the link is back.
    in_peer ip link set uplink up
    status=0
    wait "$peer" || status=$?
    expect_equal 'exit status of the far side' 1 "$status"
    expect_line told 'Connection reset by peer'
}
