# shellcheck shell=bash
# Helpers for the end-to-end tests, which run in the guest as root.
# SPDX-License-Identifier: Apache-2.0

# The options of this boot. The NICs are $lab_nic at the near end and $lab_far at the far end of each wire.
# shellcheck source=/dev/null
. /lab/settings

readonly near4=192.0.2.1 far4=192.0.2.2 near6=2001:db8:1::1 far6=2001:db8:1::2
# One directory for each end of each wire: w0a, w0b, w1a...
if [[ $lab_nic == labnic ]]; then knobs=/sys/kernel/debug/labnic; else knobs=/sys/kernel/debug/labdevices; fi
readonly knobs
# The exit status of a skipped test.
readonly skipped=77

fail() {
    printf '%s\n' "$*"
    exit 1
}

# skip REASON: ends a test that does not apply to these NICs. The reason is the last line of its output.
skip() {
    printf '%s\n' "$*"
    exit "$skipped"
}

# undo COMMAND...: runs the command when the test has ended, however it ended; the most recent comes first. A command
# must succeed also if there is nothing left to undo. The runner executes it in a new shell: pass values, not variables.
undo() {
    local command
    command=$(printf '%q ' "$@")
    grep -Fqsx -- "$command" "$undo_list" || printf '%s\n' "$command" >>"$undo_list"
}

# run_undo: false if a command failed; the others run all the same.
run_undo() {
    local commands=() command failed=0
    [[ -e $undo_list ]] || return 0
    mapfile -t commands < <(tac "$undo_list")
    rm -f "$undo_list"
    for command in "${commands[@]}"; do
        (eval "$command") || {
            echo "cannot undo: '$command' ended with $?"
            failed=1
        }
    done
    return "$failed"
}

# A script without the runner undoes when it exits.
if [[ -z ${undo_list:-} ]]; then
    undo_list=/tmp/undo.$$
    trap run_undo EXIT
fi

# keep FILE...: restores the contents of files, such as those of sysctls, at the end of the test.
keep() {
    local file
    for file; do undo write_file "$file" "$(<"$file")"; done
}

write_file() { printf '%s\n' "$2" >"$1"; }

# hide FILE: moves it out of the way until "unhide FILE" or the end of the test.
hide() {
    undo unhide "$1"
    mv "$1" "$1.hidden"
}

unhide() { [[ ! -e $1.hidden ]] || mv "$1.hidden" "$1"; }

# Where dma-bufs come from.
readonly udmabuf=/dev/udmabuf heap=/dev/dma_heap/system

# pause SECONDS: without a process that sleeps.
pause() { read -r -t "$1" <> <(:) || true; }

# The seconds that a test waits for an event before it fails. Most events take less than one, and on a slow or busy machine
# several times as long.
readonly event_limit=120

# await COMMAND...: waits until the command succeeds. The test fails after $within seconds (default $event_limit), or if the
# process $while_runs ends first.
await() {
    local deadline=$((SECONDS + ${within:-$event_limit}))
    until "$@"; do
        [[ -z ${while_runs:-} ]] || kill -0 "$while_runs" 2>/dev/null || "$@" ||
            fail "it ended while the test waited for '$*': $(cat messages 2>/dev/null)"
        ((SECONDS < deadline)) || fail "'$*' is still false after ${within:-$event_limit} s"
        pause 0.05
    done
}

# await_text FILE TEXT: waits until the file holds the text.
await_text() {
    local deadline=$((SECONDS + event_limit))
    until grep -Fq -- "$2" "$1"; do
        ((SECONDS < deadline)) || fail "no '$2' in: $(cat "$1")"
        pause 0.05
    done
}

# is_not_empty FILE
is_not_empty() { [[ -s $1 ]]; }

# needs_nic NIC REASON: skips the test unless this is the near NIC.
needs_nic() { [[ $lab_nic == "$1" ]] || skip "$2"; }

# other_skips: prints why cases in ./out, the TAP of validate, were skipped, unless the kernel or its driver lacks what they
# need.
other_skips() {
    sed -n "/ # SKIP this kernel /d; / # SKIP io_uring .*: this kernel /d
        / # SKIP $(driver_name) receives into device memory since Linux /d; s/^ok .* # SKIP //p" out
}

# needs_knobs NAME...: skips the test unless the near NIC has these faults.
needs_knobs() {
    local knob
    for knob; do [[ -e $knobs/w0a/$knob ]] || skip "$lab_nic has no knob $knob"; done
}

# kernel_lacks [RELEASE]: prints what the guest's kernel, or another one, lacks, in the words of nic_has. The tool finds
# this out by itself, not by the version. sending: from device memory. split-held: bound queues need header split.
# io-uring: receives into device memory.
kernel_lacks() {
    case ${1:-$(uname -r)} in
    6.12.*) echo sending threshold split-held io-uring page-size ;;
    7.2.*) echo page-size ;;
    esac
}

# nic_has FEATURE: tests for what not every driver, or not every kernel, can do.
nic_has() {
    local lacking=()
    case $lab_nic in
    # unsplit: a bound queue receives packets that are not split; other drivers drop them. lasting-rules: flow rules
    # survive ntuple off. lasting-napi: a queue keeps its NAPI instance over a restart.
    # many-fragments: the driver sends packets of more than nine fragments of device memory.
    gve)
        lacking=(contexts page-size queue-0 combined threshold unsplit header-pool drop-counters lasting-rules
            lasting-napi many-fragments)
        ;;
    # few-rules: the table holds 64 rules. needed-ntuple: rules have no effect while ntuple is off.
    mlx5) lacking=(threshold unsplit header-pool drop-counters few-rules needed-ntuple) ;;
    esac
    # receiving: into device memory. The drivers learnt it after Linux 6.12.
    [[ $lab_nic == labnic || $(uname -r) != 6.12.* ]] || lacking+=(receiving)
    read -r -a lacking <<<"${lacking[*]} $(kernel_lacks)"
    case $1 in
    contexts | page-size | queue-0 | combined | threshold | unsplit | header-pool | drop-counters) ;;
    receiving | sending | split-held | io-uring) ;;
    lasting-rules | lasting-napi | many-fragments | few-rules | needed-ntuple) ;;
    *) fail "unknown feature $1" ;;
    esac
    [[ " ${lacking[*]} " != *" $1 "* ]]
}

# needs FEATURE...: skips the test unless the near NIC has these.
needs() {
    local feature
    for feature; do nic_has "$feature" || skip "$lab_nic has no $feature"; done
}

# known_fault NIC REASON TEXT: the test is expected to fail with this NIC, with the text in its output. The run fails
# if the test passes or fails otherwise.
known_fault() {
    [[ $lab_nic == "$1" ]] || return 0
    printf '%s\n' "$2" "$3" >.fault
}

# rules_state [in_peer]: prints whether the driver accepts flow rules, on or off.
rules_state() { "$@" ethtool -k eth1 | sed -n 's/^ntuple-filters: \([a-z]*\).*/\1/p'; }

# gro_state: prints whether hardware GRO is on or off.
gro_state() { ethtool -k eth1 | sed -n 's/^rx-gro-hw: \([a-z]*\).*/\1/p'; }

# keep_gro: restores hardware GRO at the end of the test.
keep_gro() { undo ethtool -K eth1 rx-gro-hw "$(gro_state)"; }

# allow_rules [in_peer]: enables flow rules, at the near or the far end, until the end of the test. Some drivers start
# with rules disabled.
allow_rules() {
    [[ $(rules_state "$@") == off ]] || return 0
    undo "$@" ethtool -K eth1 ntuple off
    "$@" ethtool -K eth1 ntuple on
}

# allow_ncdevmem [in_peer]: until the end of the test, makes the settings that the kernel's ncdevmem leaves to its user:
# flow rules, and with mlx5 hardware GRO, without which that driver does not split headers.
allow_ncdevmem() {
    local kind=$lab_nic
    (($# == 0)) || kind=$lab_far
    allow_rules "$@"
    [[ $kind == mlx5 ]] || return 0
    # mlx5 keeps hardware GRO on while a user has enabled header split.
    undo "$@" ethtool -K eth1 rx-gro-hw off
    undo "$@" ethtool -G eth1 tcp-data-split auto
    "$@" ethtool -K eth1 rx-gro-hw on
}

# in_peer COMMAND...: runs the command at the far end of the wire.
in_peer() { ip netns exec peer "$@"; }

# nic_settings INTERFACE: what ethtool shows. A test must leave this as it was.
nic_settings() {
    local nic=$1
    ethtool -g "$nic"
    ethtool -l "$nic"
    ethtool -k "$nic"
    ethtool -x "$nic"
    ethtool -n "$nic"
}

# expect_equal WHAT EXPECTED FOUND
expect_equal() {
    [[ $2 == "$3" ]] || fail "$1: expected '$2', found '$3'"
}

# expect_line FILE TEXT: the file must hold the text.
expect_line() {
    grep -Fq -- "$2" "$1" || fail "no '$2' in: $(cat "$1")"
}

# start_serve ARGUMENTS...: runs devmemtcp serve in the background and returns once it listens. Its output goes to ./out,
# its messages go to ./messages, and $server is its pid.
# The engine is $serve_engine, if that is set.
start_serve() { start_command devmemtcp serve ${serve_engine:+--engine "$serve_engine"} "$@"; }

start_command() {
    launch "$@"
    await_message 'listening on' || {
        wait "$server" || true
        fail "it ended before it listened: $(cat messages)"
    }
    drain_messages
}

# launch COMMAND...: starts the command in the background, with its messages in a pipe for await_message.
launch() {
    rm -f pipe
    mkfifo pipe
    : >messages
    # A background job of a script starts with SIGINT and SIGQUIT ignored.
    (
        trap - INT QUIT
        [[ $(type -t "$1") == function ]] || exec "$@"
        "$@"
    ) >out 2>pipe &
    server=$!
    exec {message_pipe}<pipe
}

# await_message TEXT: reads messages until one holds the text. False if the messages end first.
await_message() {
    local line
    while IFS= read -r line <&"$message_pipe"; do
        printf '%s\n' "$line" >>messages
        [[ $line != *"$1"* ]] || return 0
    done
    return 1
}

drain_messages() {
    cat <&"$message_pipe" >>messages &
    drain=$!
    exec {message_pipe}<&-
}

# end_serve: waits for the server to end, and sets $status to its exit status.
end_serve() {
    status=0
    wait "$server" || status=$?
    wait "$drain"
}

# serve_ok: as end_serve; the status must be 0.
serve_ok() {
    end_serve
    ((status == 0)) || fail "serve ended with $status: $(cat messages)"
}

# send ADDRESS PORT < DATA: sends standard input from the far end over ordinary TCP.
send() {
    local address=$1
    [[ $address != *:* ]] || address="[$address]"
    in_peer socat -u - "TCP:$address:$2"
}

# await_port PORT [in_peer...]: waits until a socket listens on the port.
await_port() { await is_open "$@"; }

is_open() { [[ -n $("${@:2}" ss -Hltn "sport = :$1") ]]; }

# await_far_listener PORT: the same at the far end.
await_far_listener() { await_port "$1" in_peer; }

# await_ping: waits until the far end answers.
await_ping() { await answers_ping; }

# A packet freed on a processor other than the one that received it keeps its memory until that processor receives
# again (skb_attempt_defer_free() in net/core/skbuff.c).
receive_on_each_processor() {
    local processor
    for ((processor = 0; processor < $(nproc --all); processor++)); do
        taskset -c "$processor" ping -c 1 127.0.0.1 >/dev/null
    done
}

answers_ping() { ping -c 1 -W 1 "$far4" >/dev/null 2>&1; }

# await_carrier: waits until the near NIC has a carrier.
await_carrier() { await has_carrier; }

has_carrier() { [[ $(cat /sys/class/net/eth1/carrier 2>/dev/null) == 1 ]]; }

# pattern BYTES: prints the pattern of period 7 that ncdevmem -v 7 validates.
pattern() { { yes "$(printf '\001\002\003\004\005\006')" || true; } | head -c "$1"; }

# report FILTER: a value of the JSON report in ./out.
report() { jq -r "$1" out; }

# set_knob NAME VALUE: enables a fault of the near NIC; the runner disables all faults after the test.
set_knob() { echo "$2" >"$knobs/w0a/$1"; }

# refuse KIND TIMES: the near NIC refuses the next requests of a kind: rss (the main table or a context), rule,
# narrow-rule (one that names the peer), rule-delete, ring, feature, or queue (a bound one). Sets $refused_with to the
# kernel's error text.
refuse() {
    refused_with='Input/output error'
    case $1-$lab_nic in
    rss-labnic) set_knob fail_rss_set "$2" ;;
    rule-labnic)
        refused_with='No space left on device'
        set_knob fail_rule_insert "$2"
        ;;
    narrow-rule-labnic) set_knob refuse_5tuple "$2" ;;
    ring-labnic) set_knob fail_ring_set "$2" ;;
    feature-labnic) set_knob fail_features "$2" ;;
    rule-delete-labnic) set_knob fail_rule_delete "$2" ;;
    queue-labnic) set_knob fail_queue_start "$2" ;;
    queue-gve)
        # The driver recreates all queues when header split is enabled, before one is bound.
        set_knob fail_after "$lab_queues"
        refuse_command 0x06 "$2"
        ;;
    # The driver recreates all queues and tables when hardware GRO is enabled, so enable it first.
    queue-mlx5)
        allow_ncdevmem
        set_knob fail_queue_create "$2"
        ;;
    rss-mlx5)
        allow_ncdevmem
        refuse_command 0x917 "$2"
        ;;
    rule-delete-mlx5) refuse_command 0x938 "$2" ;;
    # The driver reports an I/O error, which does not point at a rule's fields.
    narrow-rule-mlx5) skip "mlx5 refuses no narrow rule" ;;
    *rule*-mlx5)
        # Enabling rules sends the device the same command.
        allow_rules
        refuse_command 0x936 "$2"
        ;;
    rss-gve) refuse_command 0x0a "$2" ;;
    *rule*-gve) refuse_command 0x101 "$2" ;;
    *) skip "nothing makes $lab_nic refuse $1" ;;
    esac
    # The driver's translation of the device's error.
    [[ $lab_nic != gve ]] || refused_with='Invalid argument'
}

# refuse_command OPCODE TIMES: makes commands to a software device fail; 0 times for never.
refuse_command() {
    set_knob fail_opcode "$1"
    set_knob fail_command "$2"
}

# reset_knobs [END]: disables the faults of one end, or of all.
reset_knobs() {
    local knob
    # With no END the place of one is a pattern.
    # shellcheck disable=SC2231
    for knob in "$knobs"/${1:-*}/*; do
        case ${knob##*/} in
        # The error number, not a count.
        fail_rule_errno) ;;
        link) [[ $(<"$knob") == 1 ]] || echo 1 >"$knob" ;;
        # The other files are not faults.
        *_nth | *_us | fail_* | hang_* | ignore_* | refuse_* | forget_* | no_* | fixed_*) echo 0 >"$knob" ;;
        esac
    done
}

# reserve_huge_pages COUNT: until the end of the test.
reserve_huge_pages() {
    keep /proc/sys/vm/nr_hugepages
    echo "$1" >/proc/sys/vm/nr_hugepages
    (($(</proc/sys/vm/nr_hugepages) >= $1)) || fail "there is no memory for $1 huge pages"
}

# delete_link NAME, delete_namespace NAME: if there is one.
delete_link() { ip link delete "$1" 2>/dev/null || true; }
delete_namespace() { ip netns delete "$1" 2>/dev/null || true; }

# add_link NAME ARGUMENT...: adds an interface until the end of the test.
add_link() {
    undo delete_link "$1"
    ip link add "$@"
}

# take_down: sets the near link down until "bring_up" or the end of the test.
take_down() {
    undo bring_up
    ip link set eth1 down
}

# bring_up: sets the near link up, and adds the addresses that the kernel removed from it.
bring_up() {
    ip link set eth1 up
    ip address replace "$near4/24" dev eth1
    ip address replace "$near6/64" dev eth1 nodad
}

# move_away NAMESPACE: moves the near NIC to a new namespace until "move_back NAMESPACE" or the end of the test.
move_away() {
    undo move_back "$1"
    ip netns add "$1"
    ip link set eth1 netns "$1"
}

move_back() {
    [[ -e /run/netns/$1 ]] || return 0
    ip -netns "$1" link set eth1 netns 1
    ip netns delete "$1"
    bring_up
}

# flow_rules: prints the locations of all flow rules.
flow_rules() { ethtool -n eth1 | sed -n 's/^Filter: //p'; }

delete_flow_rules() {
    local rule
    for rule in $(flow_rules); do ethtool -N eth1 delete "$rule"; done
}

# reset_nic: removes what the kernel's ncdevmem leaves on the NIC.
reset_nic() {
    reset_knobs w0a
    delete_flow_rules
    ethtool -X eth1 default
    reset_split
} >/dev/null 2>&1

# reset_split: sets header split as it is when the driver starts.
reset_split() {
    ! nic_has threshold || /lab/programs/hds-thresh eth1 256
    # "auto" leaves the choice to the driver, and gve then changes nothing.
    if [[ $lab_nic == gve ]]; then
        ethtool -G eth1 tcp-data-split off
    else
        ethtool -G eth1 tcp-data-split auto
    fi
}

# renew_nic: removes the NICs and sets them up as at boot.
renew_nic() {
    # The journals belong to NICs that no longer exist.
    rm -f /run/devmemtcp/*
    /lab/guest/nic-remove && /lab/guest/nic-setup "$lab_nic" "$lab_far" "$lab_wires" "$lab_queues" "$lab_mtu"
}

# driver_name: prints the name of the near NIC's driver, which may differ from $lab_nic.
driver_name() { basename "$(readlink /sys/class/net/eth1/device/driver)"; }

# table_length: prints the number of entries of the near NIC's main RSS table.
table_length() { ethtool --json -x eth1 | jq '.[0]."rss-indirection-table" | length'; }

# lower_mtu: until the end of the test. The gve driver drops each packet of more than nine fragments of device memory
# that is not a burst, and TCP retransmits it for ever. Sends shorter than a ninth of a segment make such packets.
lower_mtu() {
    ! nic_has many-fragments || return 0
    undo set_mtu "$lab_mtu"
    set_mtu 1500
}
set_mtu() {
    ip link set eth1 mtu "$1"
    in_peer ip link set eth1 mtu "$1"
}

# set_channels COUNT: sets the number of receive and of transmit queues.
set_channels() {
    if nic_has combined; then ethtool -L eth1 combined "$1"; else ethtool -L eth1 rx "$1" tx "$1"; fi
}

# rebind_queue QUEUE: binds memory to a receive queue and unbinds it, which restarts the queue twice, beside a command that
# holds the NIC. False if the kernel refuses.
rebind_queue() {
    # NETDEV_CMD_BIND_RX with an interface, a queue of type rx, and a dma-buf.
    [[ $(/lab/programs/netlink-ask netdev 13 "1=u32:$(</sys/class/net/eth1/ifindex)" "2.1=u32:$1" 2.3=u32:0 \
        3=udmabuf:16777216) == '4 '* ]]
}

# kill_group: kills all processes in the control group $group.
kill_group() {
    echo 1 >"$group/cgroup.kill"
    (await group_is_empty)
}
group_is_empty() { [[ $(<"$group/cgroup.events") == *'populated 0'* ]]; }
