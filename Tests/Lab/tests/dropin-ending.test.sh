# shellcheck shell=bash
# The drop-in refuses what it cannot do with one clear line, and however it ends, the NIC is as it was. The helpers are
# in dropin.test.sh.
# SPDX-License-Identifier: Apache-2.0

# expect_dropin_refusal TEXT OPTION...: it must end with status 1 and one line that holds the text.
expect_dropin_refusal() {
    local text=$1
    shift
    expect_refusal "$text" "$dropin" "$@"
}

test_dropin_refusals() {
    link_dropin
    local server4=(-l -f eth1 -s "$near4" -p 5299)
    expect_dropin_refusal 'no interface is named (give one with -f)'
    expect_dropin_refusal 'find interface eth9: No such device' -f eth9
    expect_dropin_refusal 'find interface eth9: No such device' -l -f eth9 -s "$near4" -p 5299
    expect_dropin_refusal 'option -x: there is no such option' -f eth1 -x
    expect_dropin_refusal 'option -s: it needs a value' -f eth1 -s
    expect_dropin_refusal 'argument "more": only options are accepted' -f eth1 more
    expect_dropin_refusal '-p "x": it takes a number from 1 to 65535' -f eth1 -p x
    expect_dropin_refusal '-b "16k": it takes a number' -f eth1 -b 16k
    expect_dropin_refusal 'no port is named (give one with -p)' -l -f eth1 -s "$near4"
    expect_dropin_refusal 'no address is named' -l -f eth1 -c "$far4" -p 5299
    expect_dropin_refusal '-t and -q go together' "${server4[@]}" -t 3
    expect_dropin_refusal 'the selftest changes settings of eth1' -f eth1 -n
    expect_dropin_refusal 'look up 192.0.2.300:5299' -l -f eth1 -s 192.0.2.300 -p 5299
    expect_dropin_refusal 'Cannot assign requested address' -l -f eth1 -s 198.51.100.77 -p 5299
    expect_dropin_refusal 'one address is IPv4, the other IPv6' "${server4[@]}" -c "$far6"
    expect_dropin_refusal 'there is no receive queue 8, only 0-7' "${server4[@]}" -t 8 -q 1
    expect_dropin_refusal 'no queue of 0-7 would be left' "${server4[@]}" -t 0 -q 8
    expect_dropin_refusal 'nothing listens there' -f eth1 -s "$far4" -p 5299
    expect_refusal 'run as root or with CAP_NET_ADMIN' \
        setpriv --bounding-set=-net_admin "$dropin" "${server4[@]}"
}

test_dropin_busy_queue() {
    allow_ncdevmem
    link_dropin
    launch "$ncdevmem" -l -f eth1 -s "$near4" -p 5298 -t 7 -q 1
    await_message 'Waiting or connection on' || fail "it ended: $(cat messages)"
    drain_messages
    local holder=$server holder_drain=$drain
    expect_dropin_refusal 'queue 7 is bound to dma-buf' -l -f eth1 -s "$near4" -p 5299
    expect_dropin_refusal 'designated queue already memory provider bound' \
        -l -f eth1 -s "$near4" -p 5299 -n -t 7 -q 1
    echo data | send_bound "$far4" "$near4" 5298
    server=$holder drain=$holder_drain
    end_serve
    expect_equal 'exit status of the holder' 0 "$status"
    start_serve --listen "$near4:5298" --discard
    expect_dropin_refusal "it is in use by devmemtcp, pid $server" -l -f eth1 -s "$near4" -p 5299
    kill -INT "$server"
    end_serve
}

# kill_while_listening SIGNAL: sets $status.
kill_while_listening() {
    next_port
    # A background job of a script starts with SIGINT ignored.
    env --default-signal=INT "$dropin" -l -f eth1 -s "$near4" -p "$port" >out 2>messages &
    server=$!
    await_listen "$port"
    kill "-$1" "$server"
    status=0
    wait "$server" || status=$?
}

test_dropin_signals() {
    link_dropin
    local before
    before=$(nic_settings eth1)
    kill_while_listening INT
    expect_equal 'exit status' 130 "$status"
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
    kill_while_listening KILL
    expect_equal 'exit status' 137 "$status"
    [[ $(nic_settings eth1) != "$before" ]] || fail 'the NIC was not steered'
    devmemtcp steer restore eth1 >out
    expect_line out 'ncdevmem'
}

# steer restore restores the NIC after a death at any moment of the selftest.
test_dropin_killed_selftest() {
    link_dropin
    local before moment deaths=0
    before=$(nic_settings eth1)
    for moment in 3 7 11 15 19 23; do
        status=0
        /lab/programs/signal-at-call fsync 9 "$moment" \
            "$dropin" -f eth1 >out 2>messages || status=$?
        devmemtcp steer restore --all >restored
        expect_equal "settings after call $moment" "$before" "$(nic_settings eth1)"
        ((status == 137)) || break
        deaths=$((deaths + 1))
    done
    ((deaths >= 4)) || fail "it died only $deaths times"
}
