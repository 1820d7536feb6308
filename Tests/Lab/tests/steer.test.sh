# shellcheck shell=bash
# Steering is undone exactly: on request, when a change is refused, and after any death.
# SPDX-License-Identifier: Apache-2.0

journals=/run/devmemtcp

# settings: prints all settings that steering may change, as steer shows them. The runner compares ethtool's.
settings() { devmemtcp steer show eth1 --json | jq -S '.interfaces[0].settings'; }

# expect_nothing_left BEFORE: the settings must be equal, and there must be no journal.
expect_nothing_left() {
    diff <(echo "$1") <(settings) || fail 'the settings differ'
    local journal
    for journal in "$journals"/*.journal*; do
        [[ ! -e $journal ]] || fail "there is still $journal"
    done
}

test_plan_changes_nothing() {
    local before length
    before=$(settings)
    length=$(table_length)
    devmemtcp steer plan eth1 --queues 6-7 --flow :5201 >out
    expect_line out "change $((length / 4)) of $length RSS table entries"
    setpriv --reuid 1000 --clear-groups devmemtcp steer plan eth1 --queues 6-7 --flow :5201 |
        cmp out
    expect_nothing_left "$before"
}

test_apply_stays_until_restored() {
    local before
    before=$(settings)
    devmemtcp steer apply eth1 --queues 'last 2' --flow "$near4:5201" --flow "$near4:5202" \
        --name training --json >out
    expect_equal 'rules' '6 7' "$(jq -r '[.changes[] | select(.setting == "flow-rule") |
        .after[0] | split(" ") | last] | join(" ")' out)"
    settings >steered
    expect_equal 'header split' on "$(jq -r .tcp_data_split steered)"
    ! nic_has threshold || expect_equal 'threshold' 0 "$(jq .hds_thresh steered)"
    expect_equal 'queues of RSS' '0,1,2,3,4,5' "$(jq -r '.contexts[0].table | unique | join(",")' steered)"
    devmemtcp steer show >out
    expect_line out 'steering "training": applied; devmemtcp steer apply, pid '
    devmemtcp steer restore training >out
    expect_line out 'eth1, steered by training: flow rule'
    expect_nothing_left "$before"
    devmemtcp steer restore --all >out
    expect_line out 'nothing is steered'
}

# An RSS context is created through each of the kernel's interfaces.
test_rss_context_over_netlink_and_over_the_ioctl() {
    needs contexts
    local before api
    before=$(settings)
    for api in netlink ioctl; do
        devmemtcp steer apply eth1 --queues 5,7 --flow :5201 --spread rss --rss-api "$api" >out
        settings >"steered.$api"
        expect_equal 'queues of the context' '5,7' \
            "$(jq -r '.contexts[1].table | unique | join(",")' "steered.$api")"
        devmemtcp steer restore eth1 --rss-api "$api" >out
        expect_nothing_left "$before"
    done
    cmp steered.netlink steered.ioctl
}

# Only netlink passes on the driver's message, if there is one.
test_rss_refused_over_netlink_and_over_the_ioctl() {
    local before api words=''
    before=$(settings)
    [[ $lab_nic != labnic ]] || words=', RSS change refused by fail_rss_set'
    for api in netlink ioctl; do
        refuse rss 1
        ! devmemtcp steer apply eth1 --queues 7 --rss-api "$api" 2>"messages.$api" ||
            fail 'it did not fail'
        expect_nothing_left "$before"
    done
    expect_line messages.netlink "$refused_with$words"
    expect_line messages.ioctl "set the RSS table of eth1: $refused_with"
    ! grep -q fail_rss_set messages.ioctl || fail 'the ioctl cannot pass on this message'
}

# The ethtool lines of a plan, run by hand, do what apply does.
test_ethtool_lines_do_the_same() {
    local before arguments all=('--queues 6-7 --flow :5201 --rss-table even'
        '--queues 2,5 --flow 192.0.2.1:80,192.0.2.2:90 --flow [2001:db8::1]:80 --rss-table even')
    ! nic_has contexts || all+=('--queues 7 --flow :5201 --rss-table even --spread rss')
    before=$(settings)
    for arguments in "${all[@]}"; do
        read -ra words <<<"$arguments"
        devmemtcp steer plan eth1 "${words[@]}" --as-ethtool >lines
        devmemtcp steer apply eth1 "${words[@]}" >out
        settings >applied
        devmemtcp steer restore eth1 >out
        expect_nothing_left "$before"
        by_hand lines >out
        settings >by-hand
        diff applied by-hand || fail "by hand it is different: $(cat lines)"
        undo_by_hand "$before"
        expect_nothing_left "$before"
    done
}

# by_hand FILE: runs the lines. Debian's ethtool does not know hds-thresh yet, so a program replaces it.
by_hand() {
    sed 's|^ethtool -G eth1 hds-thresh|/lab/programs/hds-thresh eth1|' "$1" >script
    bash -eu script
}

# undo_by_hand BEFORE
undo_by_hand() {
    local context
    delete_flow_rules
    for context in $(settings | jq '.contexts[1:][].id'); do
        ethtool -X eth1 context "$context" delete
    done
    ethtool -X eth1 default
    reset_split
    ethtool -K eth1 ntuple "$(jq -r 'if .ntuple then "on" else "off" end' <<<"$1")"
}

test_a_second_process_learns_the_pid_of_the_first() {
    start_serve --listen "$near4:5201" --discard
    local first=$server before
    before=$(settings)
    (expect_refusal "take eth1: Device or resource busy, it is in use by devmemtcp, pid $first" \
        devmemtcp serve --listen "$near4:5202" --queues 5)
    (expect_refusal "pid $first" devmemtcp steer apply eth1 --queues 5)
    # restore reports on standard output, but the refusal goes to standard error.
    (expect_refusal "pid $first" devmemtcp steer restore eth1)
    devmemtcp steer show eth1 >shown
    expect_line shown "steering: in use by devmemtcp, pid $first; devmemtcp serve"
    expect_equal 'settings' "$before" "$(settings)"
    pattern 1000 | send "$near4" 5201
    server=$first
    serve_ok
}

test_the_next_session_restores_what_a_killed_one_left() {
    local before first
    before=$(settings)
    start_serve --listen "$near4:5201" --discard
    first=$server
    kill -KILL "$server"
    end_serve
    expect_equal 'header split' on "$(settings | jq -r .tcp_data_split)"
    devmemtcp steer show eth1 >shown
    expect_line shown 'left by a dead process; devmemtcp serve'
    start_serve --listen "$near4:5201" --discard
    expect_line messages "eth1: devmemtcp serve (pid $first) died while steering; restored: flow rule"
    pattern 1000 | send "$near4" 5201
    serve_ok
    expect_nothing_left "$before"
}

# kill_at_calls CALLS PREPARATION COMMAND...: runs the command again and again, kills it as it enters one system call of
# these kinds after the other, and restores after each run. Sets $deaths to their number.
kill_at_calls() {
    local calls prepare=$2 before call number status
    read -ra calls <<<"$1"
    shift 2
    before=$(settings)
    deaths=0
    for call in "${calls[@]}"; do
        for ((number = 1; number < 200; number++)); do
            status=0
            "$prepare"
            /lab/programs/signal-at-call "$call" 9 "$number" "$@" >out 2>messages || status=$?
            devmemtcp steer restore --all >restored
            expect_nothing_left "$before" || fail "after call $number of $call"
            ((status == 137)) || break
            deaths=$((deaths + 1))
        done
        ((status == 0)) || fail "it ended with $status: $(cat messages)"
    done
    echo "$deaths deaths, all restored"
}

# widest_spread: prints the spread that needs the most changes.
widest_spread() { if nic_has contexts; then echo rss; else echo round-robin; fi; }

kill_apply_at() {
    kill_at_calls "$1" true \
        devmemtcp steer apply eth1 --queues 6-7 --flow "$near4:5201" --spread "$(widest_spread)"
    ((deaths >= 5)) || fail "it died only $deaths times"
}

test_restore_after_death_at_any_netlink_call_of_apply() { kill_apply_at sendmsg,sendto; }

test_restore_after_death_at_any_other_call_of_apply() { kill_apply_at 'ioctl fsync rename'; }

apply_some() { devmemtcp steer apply eth1 --queues 6-7 --flow :5201 >applied; }

kill_restore_at() {
    kill_at_calls "$1" apply_some devmemtcp steer restore eth1
    ((deaths >= 5)) || fail "it died only $deaths times"
}

test_restore_after_death_at_any_netlink_call_of_restore() { kill_restore_at sendmsg,sendto; }

test_restore_after_death_at_any_other_call_of_restore() {
    kill_restore_at 'ioctl fsync rename unlink'
}

# Kills sessions at a random moment between their start and end. "drivers --kills" does so on all drivers.
test_restore_after_sigkill_at_a_random_moment() {
    local runs=20 run before killed=0 restored=0 seconds
    # The kernel warns if a process is killed while it binds, as it cannot start the thread of the new queue's NAPI
    # (napi_restore_config() in net/core/dev.c). This test is not about that.
    keep /sys/class/net/eth1/threaded
    echo 0 >/sys/class/net/eth1/threaded
    before=$(settings)
    session >out 2>&1
    local begun=$EPOCHREALTIME
    session >out 2>&1
    seconds=$(jq -n "$EPOCHREALTIME - $begun")
    for ((run = 1; run <= runs; run++)); do
        if kill_session "$(jq -n "$seconds * $RANDOM / 32768")"; then killed=$((killed + 1)); fi
        devmemtcp steer restore --all >out || fail "run $run: $(cat out)"
        (expect_nothing_left "$before") || fail "run $run"
        restored=$((restored + 1))
    done
    echo "$restored of $runs runs restored, $killed of them killed in time ($seconds s each)"
    ((killed > runs / 2)) || fail "only $killed were killed"
}

# session: runs serve from start to end; it receives a little.
session() {
    devmemtcp serve --listen "$near4:5201" --discard --from "$far4" &
    local server=$!
    head -c 100000 /dev/zero | in_peer socat -u - "TCP:$near4:5201,retry=3000,interval=0.02"
    wait "$server"
}

# kill_session SECONDS: kills serve after that time. True if it was still running.
kill_session() {
    local status=0 sender
    head -c 100000 /dev/zero |
        in_peer timeout 5 socat -u - "TCP:$near4:5201,retry=3000,interval=0.02" >sent 2>&1 &
    sender=$!
    timeout --signal=KILL "$1" devmemtcp serve --listen "$near4:5201" --discard --from "$far4" \
        >out 2>&1 || status=$?
    pkill -KILL -x socat || true
    wait "$sender" || true
    ((status == 137))
}

# Each kind of request is refused at each step, and the message names it.
test_refusal_at_any_step_leaves_nothing() {
    local before
    [[ $lab_nic != labnic ]] || ethtool -K eth1 ntuple off
    before=$(settings)
    if nic_has contexts; then refuse_at_each_step rss 'RSS' 2; else refuse_at_each_step rss 'RSS' 1; fi
    if [[ $lab_nic == labnic ]]; then
        # The table is full, so no wider rule is tried.
        refuse_at_each_step rule 'flow rule' 2
        refuse_at_each_step ring 'tcp-data-split|hds-thresh' 1
        refuse_at_each_step feature 'rx-ntuple-filter' 1
        ethtool -K eth1 ntuple on
    else
        # Further refusals would hit the deletions.
        refuse_at_each_step rule 'flow rule' 2 2
    fi
}

# refuse_at_each_step KIND TEXT STEPS [TIMES]: refuses each request of a kind in turn. The message must match TEXT.
refuse_at_each_step() {
    local what=$1 text=$2 steps=$3 times=${4:-1} after status
    for ((after = 0; after <= steps; after++)); do
        set_knob fail_after "$after"
        refuse "$what" "$times"
        status=0
        devmemtcp steer apply eth1 --queues 6-7 --flow "$near4:5201" --flow "[$near6]:5201" \
            --spread "$(widest_spread)" >out 2>messages || status=$?
        refuse "$what" 0
        set_knob fail_after 0
        if ((after == steps)); then
            expect_equal "status with $what after $after" 0 "$status"
            devmemtcp steer restore eth1 >out
        else
            expect_equal "status with $what after $after" 1 "$status"
            expect_equal "lines of messages ($(cat messages))" 1 "$(wc -l <messages)"
            grep -Eq "$text" messages || fail "$(cat messages)"
        fi
        expect_nothing_left "$before"
    done
}

test_changes_that_only_seem_done_are_undone() {
    needs_knobs ignore_rss_set ignore_rule_insert
    local before
    before=$(settings)
    set_knob ignore_rss_set 1
    expect_refusal 'change the RSS table of eth1: the driver reported success' \
        devmemtcp steer apply eth1 --queues 7 --flow :5201
    set_knob ignore_rss_set 0
    expect_nothing_left "$before"
    set_knob ignore_rule_insert 1
    expect_refusal 'add flow rule 0 to eth1' devmemtcp steer apply eth1 --queues 7 --flow :5201
    expect_nothing_left "$before"
}

test_a_failed_restoration_is_retried() {
    local before
    before=$(settings)
    devmemtcp steer apply eth1 --queues 7 --flow :5201 >out
    refuse rule-delete 1
    expect_refusal 'delete flow rule' devmemtcp steer restore eth1
    expect_line messages '(devmemtcp steer restore eth1 tries again)'
    expect_equal 'rules left' 1 "$(settings | jq '.rules | length')"
    devmemtcp steer restore eth1 >out
    expect_nothing_left "$before"
}

test_changes_of_others_are_left_alone() {
    local rules
    rules=$(rules_state)
    devmemtcp steer apply eth1 --queues 6-7 --flow :5201 >out
    ethtool -N eth1 delete 0 >out
    ethtool -N eth1 flow-type udp4 dst-port 53 action 1 loc 0 >out
    ethtool -X eth1 equal 3
    devmemtcp steer restore eth1 >out
    expect_line out 'eth1: left alone: flow rule 0 was replaced: flow-type udp4 dst-port 53 action 1'
    expect_line out 'RSS table entries were changed meanwhile'
    [[ $rules == on ]] || ! nic_has needed-ntuple || expect_line out 'rx-ntuple-filter stays on: flow rule 0 came meanwhile'
    expect_equal 'rules' 1 "$(settings | jq '.rules | length')"
    ethtool -N eth1 delete 0
    ethtool -K eth1 ntuple "$rules"
    ethtool -X eth1 default
}

test_a_users_table_is_restored() {
    ethtool -X eth1 weight 1 2 1 0 0 3 1 4
    local before
    before=$(settings)
    devmemtcp steer apply eth1 --queues 2,7 --flow :5201 >out
    expect_equal 'queues of RSS' '0,1,5,6' "$(settings | jq -r '.contexts[0].table | unique | join(",")')"
    devmemtcp steer restore eth1 >out
    expect_nothing_left "$before"
    ethtool -X eth1 default
}

# The kernel adapts a default table to the number of channels, so a restored one must not look like a user's.
test_a_default_table_is_the_kernels_again() {
    local before
    before=$(settings)
    devmemtcp steer apply eth1 --queues 6-7 --flow :5201 >out
    devmemtcp steer restore eth1 >out
    set_channels 4
    expect_equal 'queues of RSS' '0,1,2,3' "$(settings | jq -r '.contexts[0].table | unique | join(",")')"
    set_channels "$lab_queues"
    expect_nothing_left "$before"
}

test_damaged_journal_is_refused() {
    local before journal
    before=$(settings)
    devmemtcp steer apply eth1 --queues 7 >out
    journal=$(ls "$journals"/*.journal)
    cp "$journal" whole
    head -c 300 whole >"$journal"
    expect_refusal 'it is truncated or damaged (nothing was changed' devmemtcp steer restore eth1
    expect_refusal 'it is truncated or damaged' devmemtcp serve --listen "$near4:5201"
    sed 's/"index":[0-9]*/"index":99/' whole >"$journal"
    expect_refusal 'it is truncated or damaged' devmemtcp steer restore --all
    devmemtcp steer show eth1 >out
    expect_line out 'steering: read the journal'
    devmemtcp steer restore eth1 --forget >out
    expect_line out 'journal dropped, settings left alone'
    expect_equal 'header split' on "$(settings | jq -r .tcp_data_split)"
    cp whole "$journal"
    devmemtcp steer restore eth1 >out
    expect_nothing_left "$before"
}

test_sessions_use_steering_in_place() {
    local before first
    before=$(settings)
    devmemtcp steer apply eth1 --queues 6-7 --flow "$near4:5201" --name training >out
    start_serve --listen "$near4:5201" --validate 7 --json
    first=$server
    expect_refusal 'it is in use by devmemtcp, pid' devmemtcp steer restore training
    pattern 300000 | send "$near4" 5201
    server=$first
    serve_ok
    expect_equal 'bytes in device memory' 300000 "$(report .counts.device_bytes)"
    expect_refusal 'it is steered by "training" to queues 6-7, and the request needs more: add a flow rule' \
        devmemtcp serve --listen "$near4:5202"
    devmemtcp steer restore training >out
    expect_nothing_left "$before"
}

test_xdp_program_is_refused() {
    # The kernel disables hardware GRO for such a program, and does not enable it again.
    keep_gro
    coproc hold { exec /lab/programs/xdp-hold eth1; }
    local pid=$hold_PID line
    read -r line <&"${hold[0]}"
    expect_equal 'it says' attached "$line"
    expect_refusal 'it has an XDP program' devmemtcp steer plan eth1
    expect_refusal 'it has an XDP program' devmemtcp serve --listen "$near4:5201"
    kill "$pid"
    wait "$pid" || true
    devmemtcp steer plan eth1 >out
}

test_context_of_another_keeps_its_queues() {
    needs contexts
    ethtool -X eth1 start 6 equal 2 context new >out
    expect_refusal 'RSS context 1 leads to queue 7' devmemtcp steer apply eth1 --queues 7
    devmemtcp steer plan eth1 >out
    expect_line out 'eth1, queues 5:'
    ethtool -X eth1 context 1 delete
}

test_nic_without_contexts_is_refused() {
    ! nic_has contexts || needs_knobs no_rss_contexts
    ! nic_has contexts || set_knob no_rss_contexts 1
    expect_refusal 'add an RSS context to eth1: Operation not supported' \
        devmemtcp steer apply eth1 --queues 7 --flow :5201 --spread rss
}

test_driver_that_does_not_choose_rule_locations() {
    local before
    # Only labnic can choose.
    [[ $lab_nic != labnic ]] || set_knob fixed_rule_places 1
    allow_rules
    before=$(settings)
    ethtool -N eth1 flow-type tcp4 dst-port 22 action 1 loc 0
    devmemtcp steer apply eth1 --queues 7 --flow :5201 --json >out
    expect_equal 'locations' '1,2' "$(jq -r '[.changes[].location // empty] | join(",")' out)"
    devmemtcp steer restore eth1 >out
    expect_equal 'rules' 1 "$(settings | jq '.rules | length')"
    ethtool -N eth1 delete 0
    expect_nothing_left "$before"
}

test_full_rule_table_is_refused() {
    local place
    allow_rules
    for ((place = 0; place < 63; place++)); do
        ethtool -N eth1 flow-type tcp4 dst-port $((place + 1)) action 1 loc "$place"
    done
    expect_refusal 'its table has 64 locations, 63 are in use, and 2 are needed' \
        devmemtcp steer apply eth1 --queues 7 --flow :5201
    delete_flow_rules
}

# The plan always names another rule for the flow, and says which one wins if that is known.
test_rules_that_match_the_flow_too_are_named() {
    local verdict='if it takes precedence, which is not known'
    allow_rules
    ethtool -N eth1 flow-type tcp4 dst-port 5201 src-ip "$far4" action 1 loc 3
    ethtool -N eth1 flow-type tcp4 dst-port 80 action 1 loc 4
    case $lab_nic in
    gve) verdict='also matches part of the flow, at lower precedence' ;;
    mlx5) verdict='takes precedence and leads part of the flow elsewhere' ;;
    esac
    devmemtcp steer plan eth1 --queues 7 --flow :5201 >out
    expect_line out "note: flow rule 3"
    expect_line out "$verdict"
    expect_line out "src-ip $far4 dst-port 5201 action 1"
    ! grep -q 'flow rule 4' out || fail "$(cat out)"
    delete_flow_rules
}

# If the list of rules grows while it is read, it is read again, and no rule is lost.
test_rules_added_at_the_same_time_stay() {
    local before round place adder try
    needs_knobs fixed_rule_places
    set_knob fixed_rule_places 1
    allow_rules
    before=$(settings)
    (for ((place = 0; place < 40; place++)); do
        # ethtool lists the rules first, and fails if they change meanwhile.
        for ((try = 0; try < 20; try++)); do
            ! ethtool -N eth1 flow-type udp4 dst-port $((place + 1)) action 1 || break
        done
        ((try < 20)) || exit 1
    done) >added 2>&1 &
    adder=$!
    for ((round = 0; round < 8; round++)); do
        devmemtcp steer apply eth1 --queues 7 --flow :5201 >out
        devmemtcp steer restore eth1 >out
    done
    wait "$adder" || fail "$(cat added)"
    expect_equal 'rules' 40 "$(settings | jq '.rules | length')"
    delete_flow_rules
    expect_nothing_left "$before"
}

test_accelerated_rfs_is_told() {
    # Of the drivers in the lab only mlx5's has it; the files are of every NIC.
    local notes=0
    [[ $lab_nic != mlx5 ]] || notes=1
    local sockets=/proc/sys/net/core/rps_sock_flow_entries flows=/sys/class/net/eth1/queues/rx-7/rps_flow_cnt
    keep "$sockets" "$flows"
    allow_rules
    echo 64 >"$flows"
    devmemtcp steer plan eth1 --queues 6-7 --flow :5201 >out
    expect_equal 'while it is off' '' "$(grep -F 'accelerated RFS' out || true)"
    echo 1024 >"$sockets"
    devmemtcp steer plan eth1 --queues 6-7 --flow :5201 >out
    expect_equal 'notes' "$notes" "$(grep -cF \
        "accelerated RFS may lead other flows to queue 7; echo 0 > $flows prevents that" out || true)"
}

test_interface_that_is_gone() {
    devmemtcp steer apply eth1 --queues 7 >out
    move_away other
    expect_refusal 'is gone, or in another network namespace' \
        devmemtcp steer restore --all
    # The interface keeps its index and settings, so they are restored once it is back.
    move_back other
    devmemtcp steer restore eth1 >out
}

test_signal_while_it_applies() {
    local before number status
    before=$(settings)
    for number in 1 4 7 10; do
        status=0
        /lab/programs/signal-at-call fsync 15 "$number" \
            devmemtcp steer apply eth1 --queues 6-7 --flow :5201 >out 2>messages || status=$?
        expect_equal "exit status" 143 "$status"
        expect_nothing_left "$before"
    done
}
