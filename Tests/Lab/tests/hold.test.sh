# shellcheck shell=bash
# A command that holds memory reports lost settings and links, and steers again if asked.
# SPDX-License-Identifier: Apache-2.0

# let_go [SIGNAL]: ends bind, and sets $status.
let_go() {
    kill "-${1:-TERM}" "$server"
    end_bind
}

test_a_lost_rule_is_reported_at_once() {
    local before rule
    before=$(nic_settings eth1)
    start_bind eth1 --rx 7 --flow "$near4:5201"
    rule=$(flow_rules)
    ethtool -N eth1 delete "$rule"
    await_text messages "eth1: flow rule $rule is gone: flow-type tcp4 dst-ip $near4 dst-port 5201 action 7"
    # Once: later checks report only what else is lost.
    ethtool -X eth1 default
    await_text messages 'eth1: the RSS table leads other traffic to queue 7 again'
    expect_equal 'lines' 2 "$(wc -l <messages)"
    let_go
    expect_equal 'exit status' 143 "$status"
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

test_a_lost_table_is_reported_at_once() {
    local before
    before=$(nic_settings eth1)
    start_bind eth1 --rx 7
    ethtool -X eth1 default
    await_text messages 'eth1: the RSS table leads other traffic to queue 7 again'
    let_go
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

test_lost_settings_are_steered_again() {
    local before rule found
    before=$(nic_settings eth1)
    start_bind eth1 --rx 7 --flow "$near4:5201" --keep-steered
    found=$(ethtool -x eth1)
    rule=$(flow_rules)
    ethtool -N eth1 delete "$rule"
    ethtool -X eth1 default
    await_text messages 'steered again: add flow rule'
    await_text messages 'RSS table entries'
    expect_equal 'table' "$found" "$(ethtool -x eth1)"
    expect_equal 'rules' 1 "$(flow_rules | wc -l)"
    let_go
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

test_restore_after_a_kill_after_steering_again() {
    local before
    before=$(nic_settings eth1)
    start_bind eth1 --rx 7 --flow "$near4:5201" --keep-steered
    ethtool -N eth1 delete "$(flow_rules)"
    ethtool -X eth1 default
    await_text messages 'RSS table entries'
    await_text messages 'steered again: add flow rule'
    let_go KILL
    timeout 120 tail --pid="$server" -f /dev/null
    devmemtcp steer restore eth1 >out
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

# bind retries a refused rule but reports the refusal once, and adds the rule once the NIC accepts it. labnic refuses
# with EBUSY, after which bind retries soon. After other errors it retries every 30 s, which a unit test shows.
test_a_refused_rule_is_reported_once() {
    start_bind eth1 --rx 7 --flow "$near4:5201" --keep-steered
    refuse rule 99
    if [[ $lab_nic == labnic ]]; then
        keep "$knobs/w0a/fail_rule_errno"
        set_knob fail_rule_errno 16
    fi
    ethtool -N eth1 delete "$(flow_rules)"
    await_text messages 'cannot be steered again'
    [[ $lab_nic != labnic ]] || await was_refused_again "$(<"$knobs/w0a/fail_rule_insert")"
    expect_equal 'refusals' 1 "$(grep -c 'cannot be steered again' messages)"
    refuse rule 0
    await_text messages 'steered again: add flow rule'
    expect_equal 'rules' 1 "$(flow_rules | wc -l)"
    let_go
    expect_equal 'exit status' 143 "$status"
}

# was_refused_again COUNT: labnic had COUNT refusals left before, and counts down.
was_refused_again() { (($(<"$knobs/w0a/fail_rule_insert") < $1)); }

test_a_server_reports_what_is_lost() {
    start_serve --listen "$near4:5201" --discard --keep-open
    ethtool -N eth1 delete "$(flow_rules)"
    await_text messages "eth1: flow rule"
    kill "$server"
    end_serve
    expect_equal 'exit status' 143 "$status"
}

# The thread that receives also watches the NIC.
test_a_connection_is_steered_again() {
    local sender held
    start_serve --listen "$near4:5201" --discard --keep-steered --json
    mkfifo feed
    send "$near4" 5201 <feed &
    sender=$!
    exec {held}>feed
    pattern 1000 >&"$held"
    await_text messages 'connection from'
    ethtool -N eth1 delete "$(flow_rules)"
    await_text messages 'steered again: add flow rule'
    expect_equal 'rules' 1 "$(flow_rules | wc -l)"
    exec {held}>&-
    serve_ok
    wait "$sender"
}

test_a_link_that_goes_down_is_reported() {
    local trace polls
    start_bind eth1 --rx 7 --flow "$near4:5201"
    strace -f -c -o calls -p "$server" 2>attached &
    trace=$!
    await_text attached attached
    take_down
    await_text messages 'eth1 is down: nothing comes until it is up again'
    bring_up
    await_text messages 'eth1 is up again'
    let_go
    # Neither while it was up before, nor again and again.
    expect_equal messages 1 "$(grep -c 'eth1 is down' messages)"
    expect_equal 'exit status' 143 "$status"
    # What the kernel reported was read, or poll(2) would return again and again.
    wait "$trace" || true
    polls=$(awk '$NF ~ /poll/ { sum += $4 } END { print sum + 0 }' calls)
    ((polls > 0 && polls < 300)) || fail "$polls calls of poll: $(cat calls)"
}

# A driver that refuses requests while its interface is down must not keep the settings.
test_an_end_while_the_link_is_down_leaves_nothing() {
    local before
    # With the other drivers the kernel warns: see kernel-faults.md.
    [[ $lab_nic == labnic && $lab_manners != mlx5 && $lab_manners != gve ]] || return 0
    before=$(nic_settings eth1)
    start_bind eth1 --rx 7 --flow "$near4:5201"
    take_down
    await_text messages 'eth1 is down'
    let_go
    expect_equal 'exit status' 143 "$status"
    bring_up
    devmemtcp steer restore --all >out
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

# While its interface is down bnxt shows no RSS table and fbnic no rules, so they are restored once it is up.
test_settings_hidden_while_down_are_restored_once_up() {
    local manners before
    for manners in bnxt fbnic; do
        as_nic 8 "manners=$manners"
        ethtool -X eth1 weight 1 1 1 1 1 1 1 3
        before=$(nic_settings eth1)
        start_bind eth1 --rx 7 --flow "$near4:5201"
        take_down
        await_text messages 'eth1 is down'
        let_go
        expect_line messages 'Network is down (ip link set eth1 up, then devmemtcp steer restore eth1)'
        bring_up
        devmemtcp steer restore eth1 >out
        expect_equal "settings ($manners)" "$before" "$(nic_settings eth1)"
    done
}

test_a_renamed_nic_is_restored() {
    local before
    before=$(nic_settings eth1)
    start_bind eth1 --rx 7 --flow "$near4:5201"
    undo rename_back
    ip link set eth1 down
    ip link set eth1 name other1
    ip link set other1 up
    await_text messages 'eth1 is named other1 now'
    let_go
    rename_back
    expect_equal 'exit status' 143 "$status"
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

rename_back() {
    [[ -e /sys/class/net/other1 ]] || return 0
    ip link set other1 down
    ip link set other1 name eth1
    bring_up
}

# A NIC keeps its settings when it moves to another namespace, so its journal must stay.
test_a_nic_that_moves_keeps_its_journal() {
    local before
    before=$(nic_settings eth1)
    start_bind eth1 --rx 7 --flow "$near4:5201"
    move_away away
    end_bind
    move_back away
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'it has moved to another network namespace'
    # The kernel takes it down first, which may be seen in time to be told.
    expect_equal 'lines' 1 "$(grep -vc 'eth1 is down: nothing comes' messages)"
    expect_equal 'journals' 1 "$(find /run/devmemtcp -name '*.journal' | wc -l)"
    devmemtcp steer restore eth1 >out
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

# A reset of gve deletes flow rules and the RSS table and keeps the binding; one of mlx5 creates a new interface.
test_a_reset_is_reported() {
    [[ $lab_nic != labnic ]] || return 0
    local device
    device=$(readlink -f /sys/class/net/eth1/device)
    [[ $lab_nic == gve ]] || undo renew_nic
    start_bind eth1 --rx 7 --flow "$near4:5201" --keep-steered
    set_knob reset 1
    if [[ $lab_nic == gve ]]; then
        # The rule is gone, or "replaced": what is read while the driver resets is a rule 0 of zeros.
        await_text messages 'eth1: flow rule 0 '
        await_text messages 'steered again: add flow rule'
        let_go
        expect_equal 'exit status' 143 "$status"
        expect_equal 'rules' '' "$(flow_rules)"
    else
        end_bind
        expect_equal 'exit status' 1 "$status"
        expect_line messages 'and with it the binding and all that was steered'
        expect_equal 'journals' '' "$(find /run/devmemtcp -name '*.journal')"
        # The driver creates a new interface some ten seconds later, which must not meet the removal of the NIC.
        await has_interface "$device"
    fi
}

has_interface() { [[ -n $(ls "$1/net" 2>/dev/null) ]]; }

# Payload that a rule or the table leads to another queue is delivered, and serve reports it and fails.
test_payload_in_host_memory_fails() {
    start_serve --listen "$near4:5201" --validate 7 "$@"
    ethtool -N eth1 delete "$(flow_rules)"
    pattern 1000000 | send "$near4" 5201
    end_serve
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'no payload came in device memory: flow rule'
    expect_line out '1000000 bytes, all right'
}

# The message names the other rule that took the payload, found by the queue that received it.
test_the_rule_that_took_the_payload_is_named() {
    allow_rules
    # At the first location and narrower: it wins in any driver's order.
    ethtool -N eth1 flow-type tcp4 src-ip "$far4" dst-ip "$near4" dst-port 5201 action 1 loc 0
    start_serve --listen "$near4:5201" --discard --queues 7
    pattern 1000000 | send "$near4" 5201
    end_serve
    ethtool -N eth1 delete 0
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'no payload came in device memory: flow rule 0 leads it elsewhere: flow-type tcp4 src-ip'
}

# Each end of a benchmark watches its NIC.
test_a_benchmark_reports_what_is_lost() {
    launch devmemtcp bench run --remote netns:peer --interface eth1 --time 8 --json
    await_message 'eth1 with'
    ethtool -N eth1 delete "$(flow_rules)"
    await_message 'eth1: flow rule'
    drain_messages
    end_serve
    expect_equal 'exit status' 0 "$status"
    expect_equal 'verdict' mixed "$(report .near.placement.verdict)"
    [[ $(report .near.placement.reason) == 'flow rule '*' is gone'* ]] || fail "$(report .near.placement)"
}

test_payload_in_host_memory_is_allowed() {
    start_serve --listen "$near4:5201" --validate 7 --allow-host-memory --json
    ethtool -N eth1 delete "$(flow_rules)"
    pattern 1000000 | send "$near4" 5201
    serve_ok
    expect_line messages "1000000 of 1000000 bytes from $far4:"
    expect_equal 'verdict' host "$(report .placement.verdict)"
    expect_equal 'share' 0 "$(report .placement.device_share)"
}

test_a_server_for_many_fails_without_device_memory() {
    start_serve --listen "$near4:5201" --discard --connections 2
    ethtool -N eth1 delete "$(flow_rules)"
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
