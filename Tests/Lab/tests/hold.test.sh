# shellcheck shell=bash
# What holds memory for long says what goes away under it, and steers again if asked.
# SPDX-License-Identifier: Apache-2.0

# await_text FILE TEXT [SECONDS]: until the file holds the text.
await_text() {
    local deadline=$((SECONDS + ${3:-20}))
    until grep -Fq -- "$2" "$1"; do
        ((SECONDS < deadline)) || fail "no '$2' in: $(cat "$1")"
        read -r -t 0.05 <> <(:) || true
    done
}

# let_go [SIGNAL]: ends it, and sets $status.
let_go() {
    kill "-${1:-TERM}" "$server"
    end_bind
}

# our_rules: the locations of the flow rules there are.
our_rules() { ethtool -n eth1 | sed -n 's/^Filter: //p'; }

test_a_lost_rule_is_said_at_once() {
    local before rule
    before=$(nic_settings eth1)
    start_bind eth1 --rx 7 --flow "$near4:5201"
    rule=$(our_rules)
    ethtool -N eth1 delete "$rule"
    await_text messages "eth1: flow rule $rule is gone: flow-type tcp4 dst-ip $near4 dst-port 5201 action 7" 10
    # Once, and not each time it looks.
    sleep 4
    expect_equal 'lines' 1 "$(wc -l <messages)"
    let_go
    expect_equal 'exit status' 143 "$status"
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

test_a_lost_table_is_said_at_once() {
    local before
    before=$(nic_settings eth1)
    start_bind eth1 --rx 7
    ethtool -X eth1 default
    await_text messages 'eth1: the RSS table leads other traffic to queue 7 again' 10
    let_go
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

test_what_is_lost_is_steered_again() {
    local before rule found
    before=$(nic_settings eth1)
    start_bind eth1 --rx 7 --flow "$near4:5201" --keep-steered
    found=$(ethtool -x eth1)
    rule=$(our_rules)
    ethtool -N eth1 delete "$rule"
    ethtool -X eth1 default
    await_text messages 'steered again: add flow rule' 10
    await_text messages 'RSS table entries' 10
    expect_equal 'table' "$found" "$(ethtool -x eth1)"
    expect_equal 'rules' 1 "$(our_rules | wc -l)"
    let_go
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

test_a_kill_after_steering_again_is_mended() {
    local before
    before=$(nic_settings eth1)
    start_bind eth1 --rx 7 --flow "$near4:5201" --keep-steered
    ethtool -N eth1 delete "$(our_rules)"
    ethtool -X eth1 default
    await_text messages 'RSS table entries' 10
    await_text messages 'steered again: add flow rule' 10
    let_go KILL
    timeout 20 tail --pid="$server" -f /dev/null
    devmemtcp steer restore eth1 >out
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

# A refusal is said once, however often it is tried again, and what stood in the way may pass. labnic refuses with
# EBUSY, after which it is tried again soon; that it is every 30 s after others, a unit test shows.
test_a_refused_rule_is_said_once() {
    start_bind eth1 --rx 7 --flow "$near4:5201" --keep-steered
    refuse rule 99
    if [[ $lab_nic == labnic ]]; then
        trap 'set_knob fail_rule_errno 28' EXIT
        set_knob fail_rule_errno 16
    fi
    ethtool -N eth1 delete "$(our_rules)"
    await_text messages 'cannot be steered again' 10
    sleep 5
    expect_equal 'refusals' 1 "$(grep -c 'cannot be steered again' messages)"
    refuse rule 0
    await_text messages 'steered again: add flow rule' 45
    expect_equal 'rules' 1 "$(our_rules | wc -l)"
    let_go
    expect_equal 'exit status' 143 "$status"
}

test_a_server_says_what_is_lost() {
    start_serve --listen "$near4:5201" --discard --keep-open
    ethtool -N eth1 delete "$(our_rules)"
    await_text messages "eth1: flow rule" 10
    kill "$server"
    end_serve
    expect_equal 'exit status' 143 "$status"
}

# The thread that receives looks at the NIC too.
test_a_connection_is_steered_again() {
    local sender held
    start_serve --listen "$near4:5201" --discard --keep-steered --json
    mkfifo feed
    send "$near4" 5201 <feed &
    sender=$!
    exec {held}>feed
    pattern 1000 >&"$held"
    await_text messages 'connection from' 10
    ethtool -N eth1 delete "$(our_rules)"
    await_text messages 'steered again: add flow rule' 10
    expect_equal 'rules' 1 "$(our_rules | wc -l)"
    exec {held}>&-
    serve_ok
    wait "$sender"
}

test_a_link_that_goes_down_is_said() {
    start_bind eth1 --rx 7 --flow "$near4:5201"
    ip link set eth1 down
    await_text messages 'eth1 is down: nothing comes until it is up again' 10
    ip link set eth1 up
    await_text messages 'eth1 is up again' 10
    ip address add "$near6/64" dev eth1 nodad 2>/dev/null || true
    let_go
    expect_equal 'exit status' 143 "$status"
}

# A driver that does not take a request while its interface is down must not keep the settings.
test_an_end_while_the_link_is_down_leaves_nothing() {
    local before
    # The kernel warns of the driver's word for it: see kernel-faults.md.
    [[ $lab_nic == labnic && $lab_manners != mlx5 && $lab_manners != gve ]] || return 0
    before=$(nic_settings eth1)
    start_bind eth1 --rx 7 --flow "$near4:5201"
    ip link set eth1 down
    await_text messages 'eth1 is down' 10
    let_go
    expect_equal 'exit status' 143 "$status"
    ip link set eth1 up
    ip address add "$near6/64" dev eth1 nodad 2>/dev/null || true
    devmemtcp steer restore --all >out
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

# bnxt shows no RSS table while it is down, fbnic no rules: what is there is known once they are up again.
test_what_is_hidden_while_down_is_restored_once_up() {
    local manners before
    for manners in bnxt fbnic; do
        as_nic 8 "manners=$manners"
        ethtool -X eth1 weight 1 1 1 1 1 1 1 3
        before=$(nic_settings eth1)
        start_bind eth1 --rx 7 --flow "$near4:5201"
        ip link set eth1 down
        await_text messages 'eth1 is down' 10
        let_go
        expect_line messages 'Network is down (ip link set eth1 up, then devmemtcp steer restore eth1)'
        ip link set eth1 up
        ip address add "$near6/64" dev eth1 nodad 2>/dev/null || true
        devmemtcp steer restore eth1 >out
        expect_equal "settings ($manners)" "$before" "$(nic_settings eth1)"
    done
}

test_a_renamed_nic_is_restored() {
    local before
    before=$(nic_settings eth1)
    start_bind eth1 --rx 7 --flow "$near4:5201"
    ip link set eth1 down
    ip link set eth1 name other1
    ip link set other1 up
    await_text messages 'eth1 is named other1 now' 10
    let_go
    ip link set other1 down
    ip link set other1 name eth1
    ip link set eth1 up
    ip address add "$near6/64" dev eth1 nodad 2>/dev/null || true
    expect_equal 'exit status' 143 "$status"
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

# The settings of a NIC that moves to another namespace go with it, and so its journal must stay.
test_a_nic_that_moves_keeps_its_journal() {
    local before
    before=$(nic_settings eth1)
    trap renew_nic EXIT
    start_bind eth1 --rx 7 --flow "$near4:5201"
    ip netns add away
    ip link set eth1 netns away
    status=0
    wait "$server" || status=$?
    ip -netns away link set eth1 netns 1
    ip netns delete away
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'it has moved to another network namespace'
    expect_equal 'journals' 1 "$(find /run/devmemtcp -name '*.journal' | wc -l)"
    ip link set eth1 up
    devmemtcp steer restore eth1 >out
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

# gve's reset deletes flow rules and the RSS table, and keeps the binding; mlx5's makes a new interface.
test_a_reset_is_said() {
    [[ $lab_nic != labnic ]] || return 0
    local rule
    start_bind eth1 --rx 7 --flow "$near4:5201" --keep-steered
    set_knob reset 1
    if [[ $lab_nic == gve ]]; then
        await_text messages 'is gone: flow-type tcp4' 60
        await_text messages 'steered again: add flow rule' 60
        let_go
        expect_equal 'exit status' 143 "$status"
        expect_equal 'rules' '' "$(our_rules)"
    else
        status=0
        wait "$server" || status=$?
        expect_equal 'exit status' 1 "$status"
        expect_line messages 'and with it the binding and all that was steered'
        expect_equal 'journals' '' "$(find /run/devmemtcp -name '*.journal')"
        # The interface comes back after some ten seconds, and the runner makes a new one.
        sleep 15
        renew_nic
    fi
}

# Payload that another rule or the table leads elsewhere is delivered, and told of.
test_payload_that_comes_elsewhere_fails() {
    start_serve --listen "$near4:5201" --validate 7 "$@"
    ethtool -N eth1 delete "$(our_rules)"
    pattern 1000000 | send "$near4" 5201
    end_serve
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'no payload came in device memory: flow rule'
    expect_line out '1000000 bytes, all right'
}

# A rule of someone else's that goes before ours is named, by the queue that the packets came through.
test_the_rule_that_took_the_payload_is_named() {
    allow_rules
    # At the first place and narrower: whatever counts with the driver, it goes first.
    ethtool -N eth1 flow-type tcp4 src-ip "$far4" dst-ip "$near4" dst-port 5201 action 1 loc 0
    start_serve --listen "$near4:5201" --discard --queues 7
    pattern 1000000 | send "$near4" 5201
    end_serve
    ethtool -N eth1 delete 0
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'no payload came in device memory: flow rule 0 leads it elsewhere: flow-type tcp4 src-ip'
}

# Both ends of a benchmark watch their NIC.
test_a_benchmark_says_what_is_lost() {
    launch devmemtcp bench run --remote netns:peer --interface eth1 --time 8 --json
    await_message 'eth1 with'
    ethtool -N eth1 delete "$(our_rules)"
    await_message 'eth1: flow rule'
    drain_messages
    end_serve
    expect_equal 'exit status' 0 "$status"
    expect_equal 'verdict' mixed "$(report .near.placement.verdict)"
    [[ $(report .near.placement.reason) == 'flow rule '*' is gone'* ]] || fail "$(report .near.placement)"
}

test_payload_that_comes_elsewhere_is_allowed() {
    start_serve --listen "$near4:5201" --validate 7 --allow-host-memory --json
    ethtool -N eth1 delete "$(our_rules)"
    pattern 1000000 | send "$near4" 5201
    serve_ok
    expect_line messages "1000000 of 1000000 bytes from $far4:"
    expect_equal 'verdict' host "$(report .placement.verdict)"
    expect_equal 'share' 0 "$(report .placement.device_share)"
}

test_a_server_for_many_fails_without_device_memory() {
    start_serve --listen "$near4:5201" --discard --connections 2
    ethtool -N eth1 delete "$(our_rules)"
    pattern 100000 | send "$near4" 5201
    pattern 100000 | send "$near4" 5201
    end_serve
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'devmemtcp: no payload came in device memory: flow rule'
}

test_a_peer_on_this_host_is_named() {
    start_serve --listen "$near4:5201" --discard
    pattern 1000 | socat -u - "TCP:$near4:5201"
    end_serve
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'the peer is this host'
}

test_no_payload_is_no_failure() {
    start_serve --listen "$near4:5201" --discard --json
    send "$near4" 5201 </dev/null
    serve_ok
    expect_equal 'verdict' nothing "$(report .placement.verdict)"
}
