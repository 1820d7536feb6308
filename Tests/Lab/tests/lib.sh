# shellcheck shell=bash
# What the end-to-end tests share. They run in the guest, as root.
# SPDX-License-Identifier: Apache-2.0

# What this boot was asked for; the NICs are $lab_nic here and $lab_far at the far end.
# shellcheck source=/dev/null
. /lab/settings

readonly near4=192.0.2.1 far4=192.0.2.2 near6=2001:db8:1::1 far6=2001:db8:1::2
# A folder for each end of each wire: w0a, w0b, w1a...
if [[ $lab_nic == labnic ]]; then knobs=/sys/kernel/debug/labnic; else knobs=/sys/kernel/debug/labdevices; fi
readonly knobs
# The exit status of a test that cannot run here.
readonly skipped=77

fail() {
    printf '%s\n' "$*"
    exit 1
}

# skip REASON: ends a test that cannot run with these NICs; the last line it prints says why.
skip() {
    printf '%s\n' "$*"
    exit "$skipped"
}

# needs_nic NIC REASON: the test is about what only this near NIC has or does.
needs_nic() { [[ $lab_nic == "$1" ]] || skip "$2"; }

# needs_knobs NAME...: faults that the near NIC can cause.
needs_knobs() {
    local knob
    for knob; do [[ -e $knobs/w0a/$knob ]] || skip "$lab_nic has no knob $knob"; done
}

# nic_has FEATURE: what not every driver can do.
nic_has() {
    local lacking=()
    case $lab_nic in
    # unsplit: takes packets of a bound queue that are not split, others drop them. lasting-rules: they
    # outlive ntuple. lasting-napi: queues keep their NAPI instances when they are restarted.
    # many-pieces: packets of more than nine pieces of device memory leave.
    gve)
        lacking=(contexts page-size queue-0 combined threshold unsplit header-pool drop-counters lasting-rules
            lasting-napi many-pieces)
        ;;
    # few-rules: 64 places for them. needed-ntuple: without it they have no effect.
    mlx5) lacking=(threshold unsplit header-pool drop-counters few-rules needed-ntuple) ;;
    esac
    case $1 in
    contexts | page-size | queue-0 | combined | threshold | unsplit | header-pool | drop-counters) ;;
    lasting-rules | lasting-napi | many-pieces | few-rules | needed-ntuple) ;;
    *) fail "nobody knows of the feature $1" ;;
    esac
    [[ " ${lacking[*]} " != *" $1 "* ]]
}

# needs FEATURE...: the test is about these.
needs() {
    local feature
    for feature; do nic_has "$feature" || skip "$lab_nic has no $feature"; done
}

# known_fault NIC REASON TEXT: with this NIC the test fails, and what it prints holds the text. It is
# reported as such a failure; should it pass, or fail otherwise, the run fails.
known_fault() {
    [[ $lab_nic == "$1" ]] || return 0
    printf '%s\n' "$2" "$3" >.fault
}

# rules_state [in_peer]: whether the driver takes flow rules, on or off.
rules_state() { "$@" ethtool -k eth1 | sed -n 's/^ntuple-filters: \([a-z]*\).*/\1/p'; }

# gro_state: whether hardware GRO is on or off.
gro_state() { ethtool -k eth1 | sed -n 's/^rx-gro-hw: \([a-z]*\).*/\1/p'; }

# allow_rules [in_peer]: lets flow rules be added by hand, here or at the far end, where the driver comes up
# without; the end of the test takes it back.
allow_rules() {
    [[ $(rules_state "$@") == off ]] || return 0
    "$@" ethtool -K eth1 ntuple on
    rules_allowed+=("$*")
}
rules_allowed=()

# forbid_rules: takes it back earlier.
forbid_rules() {
    local place
    # Of one word, or none.
    for place in "${rules_allowed[@]}"; do $place ethtool -K eth1 ntuple off; done
    rules_allowed=()
}

# allow_ncdevmem [in_peer]: sets by hand what the kernel's ncdevmem leaves to its user: flow rules, and with mlx5
# hardware GRO, without which that driver splits no headers. The end of the test takes it back.
allow_ncdevmem() {
    local kind=$lab_nic
    (($# == 0)) || kind=$lab_far
    allow_rules "$@"
    [[ $kind == mlx5 ]] || return 0
    "$@" ethtool -K eth1 rx-gro-hw on
    split_allowed+=("$*")
}
split_allowed=()

# forbid_split: takes that back; the driver keeps hardware GRO on while a user has split turned on.
forbid_split() {
    local place
    for place in "${split_allowed[@]}"; do
        $place ethtool -G eth1 tcp-data-split auto
        $place ethtool -K eth1 rx-gro-hw off
    done
    split_allowed=()
}

# in_peer COMMAND...: runs something at the far end of the wire.
in_peer() { ip netns exec peer "$@"; }

# What ethtool says of a NIC; equal before and after means that nothing was left behind.
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

# expect_line FILE TEXT: the file holds the text.
expect_line() {
    grep -Fq -- "$2" "$1" || fail "no '$2' in: $(cat "$1")"
}

# start_serve ARGUMENTS...: runs devmemtcp serve beside the test and returns once it listens.
# Its standard output goes to ./out, its messages to ./messages; $server is its pid.
start_serve() { start_command devmemtcp serve "$@"; }

start_command() {
    launch "$@"
    await_message 'listening on' || {
        wait "$server" || true
        fail "it ended before it listened: $(cat messages)"
    }
    drain_messages
}

# launch COMMAND...: starts it with its messages in a pipe that await_message reads.
launch() {
    rm -f pipe
    mkfifo pipe
    : >messages
    # A shell starts what runs beside it with SIGINT and SIGQUIT ignored, which programs leave so.
    (
        trap - INT QUIT
        [[ $(type -t "$1") == function ]] || exec "$@"
        "$@"
    ) >out 2>pipe &
    server=$!
    exec {message_pipe}<pipe
}

# await_message TEXT: reads messages until one holds the text; false if they end before.
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

# end_serve: waits for the server and sets $status to its exit status.
end_serve() {
    status=0
    wait "$server" || status=$?
    wait "$drain"
}

# serve_ok: the server must end with status 0.
serve_ok() {
    end_serve
    ((status == 0)) || fail "serve ended with $status: $(cat messages)"
}

# send ADDRESS PORT < DATA: sends standard input from the far end as ordinary TCP.
send() {
    local address=$1
    [[ $address != *:* ]] || address="[$address]"
    in_peer socat -u - "TCP:$address:$2"
}

# await_port PORT [COMMAND...]: until something listens there, as seen by the command.
await_port() {
    until [[ -n $("${@:2}" ss -Hltn "sport = :$1") ]]; do read -r -t 0.05 <> <(:) || true; done
}

# await_far_listener PORT: at the far end of the wire.
await_far_listener() { await_port "$1" in_peer; }

# pattern BYTES: the pattern of period 7 that ncdevmem checks with -v 7.
pattern() { { yes "$(printf '\001\002\003\004\005\006')" || true; } | head -c "$1"; }

# report KEY: a number or text of the JSON summary in ./out.
report() { jq -r "$1" out; }

# set_knob NAME VALUE: turns a fault of the near NIC on; the runner turns all off again.
set_knob() { echo "$2" >"$knobs/w0a/$1"; }

# refuse WHAT TIMES: the near NIC refuses the next requests of a kind: rss, the main table or a context;
# rule; narrow-rule, one that names the peer; rule-delete; ring; feature; queue, a bound one. Sets $refused_with to the
# kernel's word for it.
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
        # All queues are made anew when header split is turned on, before one is bound.
        set_knob fail_after "$lab_queues"
        refuse_command 0x06 "$2"
        ;;
    # Turning hardware GRO on makes all queues and tables anew, so that is done before.
    queue-mlx5)
        allow_ncdevmem
        set_knob fail_queue_create "$2"
        ;;
    rss-mlx5)
        allow_ncdevmem
        refuse_command 0x917 "$2"
        ;;
    rule-delete-mlx5) refuse_command 0x938 "$2" ;;
    # Its answer, an I/O error, says nothing of a rule's fields.
    narrow-rule-mlx5) skip "mlx5 refuses no narrow rule" ;;
    *rule*-mlx5)
        # Turning rules on asks the device for the like of a rule too.
        allow_rules
        refuse_command 0x936 "$2"
        ;;
    rss-gve) refuse_command 0x0a "$2" ;;
    *rule*-gve) refuse_command 0x101 "$2" ;;
    *) skip "nothing makes $lab_nic refuse $1" ;;
    esac
    # What the driver makes of the device's answer.
    [[ $lab_nic != gve ]] || refused_with='Invalid argument'
}

# refuse_command OPCODE TIMES: of a software device, 0 times for never.
refuse_command() {
    set_knob fail_opcode "$1"
    set_knob fail_command "$2"
}

# reset_knobs [END]: of all ends, or of one; at 0 a knob does nothing.
reset_knobs() {
    local knob
    # With no END the place of one is a pattern.
    # shellcheck disable=SC2231
    for knob in "$knobs"/${1:-*}/*; do
        case ${knob##*/} in
        # Which error number, not how often.
        fail_rule_errno) ;;
        link) [[ $(<"$knob") == 1 ]] || echo 1 >"$knob" ;;
        # Others are no knobs.
        *_nth | *_us | fail_* | hang_* | ignore_* | refuse_* | forget_* | no_* | fixed_*) echo 0 >"$knob" ;;
        esac
    done
}

# reserve_huge_pages COUNT: free_huge_pages, or the end of the test, gives them back.
reserve_huge_pages() {
    echo "$1" >/proc/sys/vm/nr_hugepages
    trap free_huge_pages EXIT
    (($(</proc/sys/vm/nr_hugepages) >= $1)) || fail "there is no memory for $1 huge pages"
}
free_huge_pages() { echo 0 >/proc/sys/vm/nr_hugepages; }

# hide_heap, show_heap: without the dma-heap, udmabuf makes the dma-bufs.
hide_heap() { mv /dev/dma_heap/system /dev/dma_heap/hidden; }
show_heap() { mv /dev/dma_heap/hidden /dev/dma_heap/system; }

# What the kernel's ncdevmem leaves behind on the NIC must not meet what runs next.
reset_nic() {
    local rule
    reset_knobs w0a
    for rule in $(ethtool -n eth1 2>/dev/null | sed -n 's/^Filter: //p'); do ethtool -N eth1 delete "$rule"; done
    ethtool -X eth1 default
    reset_split
} >/dev/null 2>&1

# reset_split: header split as it is when the driver comes up.
reset_split() {
    ! nic_has threshold || /lab/programs/hds-thresh eth1 256
    # "auto" is what ethtool calls the driver's choice; to gve it means to leave it as it is.
    if [[ $lab_nic == gve ]]; then
        ethtool -G eth1 tcp-data-split off
    else
        ethtool -G eth1 tcp-data-split auto
    fi
}

# renew_nic: takes the NICs away and sets them up as at the start.
renew_nic() {
    # Journals are of NICs that are gone by then.
    rm -f /run/devmemtcp/*
    /lab/guest/nic-remove && /lab/guest/nic-setup "$lab_nic" "$lab_far" "$lab_wires" "$lab_queues" "$lab_mtu"
}

# driver_name: of the near NIC; it is not always what the lab calls the NIC.
driver_name() { basename "$(readlink /sys/class/net/eth1/device/driver)"; }

# table_length: entries of the near NIC's main RSS table.
table_length() { ethtool --json -x eth1 | jq '.[0]."rss-indirection-table" | length'; }

# lower_mtu, raise_mtu: the gve driver drops each packet from device memory that has more than nine pieces
# and is no burst, and TCP sends it again for ever. Sends of less than a ninth of a segment make such packets.
lower_mtu() { nic_has many-pieces || set_mtu 1500; }
raise_mtu() { nic_has many-pieces || set_mtu "$lab_mtu"; }
set_mtu() {
    ip link set eth1 mtu "$1"
    in_peer ip link set eth1 mtu "$1"
}

# set_channels COUNT: of receive queues and of transmit queues.
set_channels() {
    if nic_has combined; then ethtool -L eth1 combined "$1"; else ethtool -L eth1 rx "$1" tx "$1"; fi
}
