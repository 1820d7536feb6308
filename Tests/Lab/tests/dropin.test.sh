# shellcheck shell=bash
# By the name ncdevmem the command is what the kernel's test harness (devmem_lib.py of
# tools/testing/selftests/drivers/net/hw) takes for the kernel's selftest: every command line that it
# makes, against socat at the far end, in the time and with the little output that it allows.
# SPDX-License-Identifier: Apache-2.0

readonly dropin=/run/dropin/ncdevmem
# What runs: $dropin, or the kernel's own to compare with.
program=$dropin
# The harness takes the route to the NIC from its own network namespace.
place=()
# The harness's limits are of real machines; an emulated one on a busy host is so many times slower.
readonly patience=${patience:-4}
readonly guest6=2001:db8:9::2:2 guest_queue=7

link_dropin() {
    mkdir -p "${dropin%/*}"
    ln -sf "$(command -v devmemtcp)" "$dropin"
}

# is_listening PORT: as the harness looks.
is_listening() {
    "${place[@]}" grep -Eqs "$(printf ':%04X .* 0A ' "$1")" /proc/net/tcp /proc/net/tcp6
}

# start_program ARGUMENTS...: runs it where the harness would, which lets it run for 20 s.
start_program() {
    "${place[@]}" timeout $((20 * patience)) "$program" "$@" >out 2>messages </dev/null &
    server=$!
}

# await_listen PORT: the harness waits for 5 s.
await_listen() {
    local end=$((${EPOCHREALTIME/./} + 5000000 * patience))
    until is_listening "$1"; do
        kill -0 "$server" 2>/dev/null || fail "it ended before it listened: $(cat messages)"
        ((${EPOCHREALTIME/./} < end)) || fail "it does not listen: $(cat messages)"
    done
}

# end_program: sets $status; the harness reads pipes only after the end, which hold 64 KiB. What it sends
# without having it validated is less.
end_program() {
    status=0
    wait "$server" || status=$?
    ((status != 124)) || fail "it does not end: $(tail -n 5 messages)"
    local size
    size=$(wc -c <messages)
    ((size < 65536 - 8192)) || [[ $program != "$dropin" ]] || fail "it wrote $size bytes"
}

# send_bound FAR NEAR PORT [OPTIONS OF THE ADDRESS [OPTION...]]: standard input from the port of the same number, as the
# harness sends, which without a rule for it would not get to the queue.
send_bound() {
    local far=$1 near=$2 port=$3 more=${4:-} family=4
    shift $(($# < 4 ? 3 : 4))
    [[ $near != *:* ]] || family=6 far="[$far]" near="[$near]"
    in_peer timeout $((20 * patience)) socat "$@" -u - "TCP$family:$near:$port,bind=$far:$port$more"
}

# next_port: sets $port; one per connection of all tests, as one end waits out what may be under way.
next_port() {
    port=$(cat /run/dropin/port 2>/dev/null || echo 5300)
    port=$((port + 1))
    echo "$port" >/run/dropin/port
}

# receive BYTES SEGMENT FAR NEAR OPTION...: sends a pattern, or, with a segment's size, zeros in packets
# of that. Sets $status; a program that gives up is no fault of the sender's.
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

# receive_ok ...: it must end with status 0.
receive_ok() {
    receive "$@"
    ((status == 0)) || fail "receive $*: it ended with $status: $(tail -n 5 messages)"
}

# transmit FAR OPTION...: what the harness sends. Sets $status; what came is in ./got.
transmit() {
    local far=$1 family=4 listener
    shift
    [[ $far != *:* ]] || family=6
    next_port
    in_peer timeout $((20 * patience)) socat -U - "TCP$family-LISTEN:$port" >got &
    listener=$!
    await_far_listener "$port"
    status=0
    echo -e 'hello\nworld' | "${place[@]}" timeout $((20 * patience)) "$program" -s "$far" -p "$port" "$@" \
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
    timeout $((20 * patience)) "$program" -f eth1 "$@" >out 2>messages || status=$?
}

probe_ok() {
    probe "$@"
    ((status == 0)) || fail "it ended with $status: $(cat messages)"
    expect_line messages "4 of 4 trials passed on queues ${shown_queues:-4-7}"
}

# expect_probe_failure TEXT OPTION...: status 255 and one line with the text.
expect_probe_failure() {
    local text=$1
    shift
    probe "$@"
    expect_equal 'exit status' 255 "$status"
    expect_equal "lines of messages ($(cat messages))" 1 "$(wc -l <messages)"
    expect_line messages "$text"
}

reserve_huge_pages() {
    local file=/proc/sys/vm/nr_hugepages
    echo 64 >"$file"
    ((10#$(<"$file") >= 64)) || fail 'there are no huge pages; give the guest more memory'
    # Expanded now.
    # shellcheck disable=SC2064
    trap "echo 0 >$file" EXIT
}

test_dropin_probe() {
    link_dropin
    probe_ok
    expect_equal 'lines of messages' 1 "$(wc -l <messages)"
    shown_queues=2-4 probe_ok -t 2 -q3
    probe_ok -lp5201
    expect_line messages 'without -s this is the selftest, for which -l -p means nothing'
}

test_dropin_probe_with_large_pages() {
    link_dropin
    expect_probe_failure 'sysctl vm.nr_hugepages=32 reserves as many as this needs' -b 16384
    reserve_huge_pages
    probe_ok -b 16384
    probe_ok -b 0x4000
    expect_probe_failure 'rx-page-size must be a power of 2' -b 16385
    expect_probe_failure 'integer out of range' -b 2048
}

# What the NIC should do and does not fails the probe, with the trouble's name.
test_dropin_probe_of_a_broken_nic() {
    link_dropin
    local row
    for row in 'refuse_hds 1:set tcp-data-split on' 'fail_ring_set 1:tcp-data-split' \
        'fail_queue_start 1:bind-rx on eth1 queues 4-7: Input/output error' \
        'fail_queue_alloc 1:bind-rx on eth1 queues 4-7: Cannot allocate memory' \
        'fail_rss_set 1:set the RSS table of eth1' 'ignore_rss_set 1:reading it back shows otherwise'; do
        # Two words.
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
    link_dropin
    reserve_huge_pages
    local size
    for size in 1024 4096 8192 16384 32768 65536; do
        receive_ok "$size" 0 "$far6" "$near6" -f eth1 -c "$far6" -v 7 -b 16384
    done
}

test_dropin_writes_little_however_much_comes() {
    link_dropin
    ethtool -K eth1 rx-gro-hw off
    receive_ok 16777216 0 "$far4" "$near4" -f eth1 -v 7
    ethtool -K eth1 rx-gro-hw on
    ((10#$(cat out messages | wc -c) < 1024)) || fail "it wrote $(cat out messages)"
}

# No netcat fails because there was nothing to say; a validator must.
test_dropin_empty_stream() {
    link_dropin
    receive_ok 0 0 "$far4" "$near4" -f eth1
    receive 0 0 "$far4" "$near4" -f eth1 -v 7
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'ncdevmem: nothing came to validate'
}

test_dropin_finds_one_wrong_bit() {
    link_dropin
    next_port
    start_program -l -f eth1 -s "$near4" -p "$port" -v 7
    await_listen "$port"
    pattern 16777216 >sent
    # A period's first byte is a 1, and \021 differs from it by one bit.
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
    link_dropin
    local row
    for row in unsplit_nth:'as on any socket' partial_split_nth:'in a packet'"'"'s head'; do
        set_knob "${row%%:*}" 3
        receive 3000000 0 "$far4" "$near4" -f eth1 -v 7 -L
        expect_equal 'exit status with -L' 1 "$status"
        expect_line messages "outside device memory, ${row#*:}"
        # It is payload all the same.
        receive_ok 3000000 0 "$far4" "$near4" -f eth1 -v 7
        expect_line messages '3000000 bytes, all right'
        set_knob "${row%%:*}" 0
    done
    # But a NIC that puts nothing there does not pass.
    set_knob unsplit_nth 1
    receive 100000 0 "$far4" "$near4" -f eth1
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'none of 100000 bytes came in device memory'
}

# The NIC takes no rule with the peer's address: a wider one does.
test_dropin_flow_rule_falls_back() {
    link_dropin
    set_knob refuse_5tuple 1
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
    local far
    for far in "$far4" "$far6"; do
        transmit_ok "$far" -f eth1
        transmit_ok "$far" -f eth1 -z 3
        transmit_ok "$far" -f eth1 -t 0 -q 1 -n -z 1
    done
    # The address and the port that it comes from.
    next_port
    in_peer timeout $((20 * patience)) socat -u "TCP4-LISTEN:$port,sourceport=$port,range=$near4/32" - >got &
    listener=$!
    await_far_listener "$port"
    echo data | "$dropin" -f eth1 -s "$far4" -c "$near4" -p "$port" 2>messages
    wait "$listener"
    expect_equal 'what came' data "$(cat got)"
    expect_line messages "connected from $near4:$port, eth1"
}

# In pieces of three bytes a send names up to 1024.
test_dropin_transmits_in_pieces() {
    link_dropin
    base64 /dev/urandom 2>/dev/null | head -c 200000 >sent || true
    next_port
    in_peer timeout $((20 * patience)) socat -u "TCP4-LISTEN:$port" - >got &
    listener=$!
    await_far_listener "$port"
    strace -f -e trace=sendmsg -o trace "$dropin" -f eth1 -s "$far4" -p "$port" -z 3 <sent 2>messages
    wait "$listener"
    cmp sent got
    expect_line trace '{iov_base=0x3, iov_len=3}'
    expect_line trace 'msg_iovlen=1024'
}

# A peer that keeps its direction open holds nobody up.
test_dropin_client_ends_when_all_is_acknowledged() {
    link_dropin
    mkfifo silent
    exec {silence}<>silent
    next_port
    in_peer timeout $((20 * patience)) socat - "TCP4-LISTEN:$port,ignoreeof" <&"$silence" >got &
    listener=$!
    await_far_listener "$port"
    echo data | timeout $((5 * patience)) "$dropin" -f eth1 -s "$far4" -p "$port" 2>messages
    expect_line messages 'sent 5 bytes from device memory'
    pkill -KILL -x socat
    wait "$listener" || true
}

# make_guest [userns]: a container's network: one end of a netkit pair in a namespace, with a queue
# of eth1 leased to it, all settings made for it by others. $place runs something there.
#
# The harness redirects what leaves the container to the NIC before the host's stack sees it, by a
# program that finds the neighbour; here the container takes the far end for its neighbour.
make_guest() {
    trap remove_guest EXIT
    modprobe -a sch_ingress cls_flower act_mirred
    ip link add nk_host type netkit mode l2 peer name nk_guest numrxqueues 2
    ip link set nk_host address "$(in_peer cat /sys/class/net/eth1/address)"
    /lab/programs/queue-lease nk_guest eth1 "$guest_queue"
    if [[ ${1:-} == userns ]]; then
        unshare --user --net --map-root-user sleep infinity &
        holder=$!
        until [[ $(readlink "/proc/$holder/ns/user") != $(readlink /proc/self/ns/user) ]]; do kill -0 "$holder"; done
        place=(nsenter --user="/proc/$holder/ns/user" --net="/proc/$holder/ns/net" --setuid=0 --setgid=0 --)
        # The mapping comes after the namespace.
        until [[ -n $(<"/proc/$holder/uid_map") ]]; do kill -0 "$holder"; done
        ip link set nk_guest netns "$holder"
    else
        ip netns add guest
        place=(ip netns exec guest)
        ip link set nk_guest netns guest
    fi
    ip link set nk_host up
    ip address add fe80::1/64 dev nk_host nodad
    "${place[@]}" ip -6 -batch - <<END
link set lo up
link set nk_guest up
address add fe80::2/64 dev nk_guest nodad
address add $guest6/64 dev nk_guest nodad
route add default via fe80::1 dev nk_guest
END
    ip -6 route add "$guest6/128" via fe80::2 dev nk_host
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
    in_peer ip -6 route add "$guest6/128" via "$near6"
    tc qdisc add dev nk_host clsact
    tc filter add dev nk_host ingress protocol ipv6 flower ip_proto tcp \
        action mirred egress redirect dev eth1
    ethtool -G eth1 tcp-data-split on
    /lab/programs/hds-thresh eth1 0
    ethtool -X eth1 equal "$guest_queue"
}

remove_guest() {
    ip link delete nk_host || true
    ip netns delete guest 2>/dev/null || true
    if [[ -n ${holder:-} ]]; then kill "$holder" || true; fi
    echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
    in_peer ip -6 route delete "$guest6/128" || true
    local rule
    for rule in $(ethtool -n eth1 | sed -n 's/^Filter: //p'); do ethtool -N eth1 delete "$rule"; done
    ethtool -X eth1 default || true
    /lab/programs/hds-thresh eth1 256 || true
    ethtool -G eth1 tcp-data-split auto || true
}

# guest_receive ...: as receive, with the flow rule that the harness makes.
guest_receive() {
    next_port
    ethtool -N eth1 flow-type tcp6 dst-port "$port" action "$guest_queue" >rule
    receive_at_port "$1" "$2" "$far6" "$guest6" -f nk_guest -t 1 -q 1 -n "${@:3}"
    ethtool -N eth1 delete "$(sed -n 's/.*ID //p' rule)"
}

guest_receive_ok() {
    guest_receive "$@"
    ((status == 0)) || fail "guest_receive $*: it ended with $status: $(tail -n 5 messages)"
}

# everything_in_a_guest: what the harness does there; afterwards nothing has written a journal.
everything_in_a_guest() {
    local before size
    before=$(nic_settings eth1)
    guest_receive_ok 1024 0 -v 7
    expect_equal 'output' 'Validated buffer: 1024 bytes' "$(cat out)"
    expect_line messages 'received 1024 bytes, 1024 in device memory of queues 1,'
    for size in 1 64 1024 8192; do guest_receive_ok "$size" "$size" -L; done
    transmit_ok "$far6" -f nk_guest -t 0 -q 1 -n
    transmit_ok "$far6" -f nk_guest -t 0 -q 1 -n -z 3
    expect_equal 'settings of the NIC' "$before" "$(nic_settings eth1)"
    [[ -z $(compgen -G '/run/devmemtcp/*') ]] || fail "there is $(ls /run/devmemtcp)"
}

test_dropin_in_a_container() {
    link_dropin
    rm -rf /run/devmemtcp
    make_guest
    everything_in_a_guest
    reserve_huge_pages
    trap 'remove_guest; echo 0 >/proc/sys/vm/nr_hugepages' EXIT
    local size
    for size in 1024 16384 65536; do guest_receive_ok "$size" 0 -v 7 -b 16384; done
}

test_dropin_in_a_user_namespace() {
    link_dropin
    rm -rf /run/devmemtcp
    make_guest userns
    everything_in_a_guest
}

# expect_dropin_refusal TEXT OPTION...: status 1 and one line.
expect_dropin_refusal() {
    local text=$1
    shift
    expect_refusal "$text" "$dropin" "$@"
}

test_dropin_wrong_turns() {
    link_dropin
    local server4=(-l -f eth1 -s "$near4" -p 5299)
    expect_dropin_refusal 'no interface is named (give one with -f)'
    expect_dropin_refusal 'find interface eth9: No such device' -f eth9
    expect_dropin_refusal 'find interface eth9: No such device' -l -f eth9 -s "$near4" -p 5299
    expect_dropin_refusal 'option -x: there is none of that name' -f eth1 -x
    expect_dropin_refusal 'option -s: it needs a value' -f eth1 -s
    expect_dropin_refusal 'argument "more": only options are taken' -f eth1 more
    expect_dropin_refusal '-p "x": it takes a number from 1 to 65535' -f eth1 -p x
    expect_dropin_refusal '-b "16k": it takes a number' -f eth1 -b 16k
    expect_dropin_refusal 'no port is named (give one with -p)' -l -f eth1 -s "$near4"
    expect_dropin_refusal 'no address is named' -l -f eth1 -c "$far4" -p 5299
    expect_dropin_refusal '-t and -q go together' "${server4[@]}" -t 3
    expect_dropin_refusal 'the selftest changes settings of eth1' -f eth1 -n
    expect_dropin_refusal 'look up 192.0.2.300:5299' -l -f eth1 -s 192.0.2.300 -p 5299
    expect_dropin_refusal 'Cannot assign requested address' -l -f eth1 -s 198.51.100.77 -p 5299
    expect_dropin_refusal 'one address is IPv4, the other IPv6' "${server4[@]}" -c "$far6"
    expect_dropin_refusal 'no receive queue 8; there are 0-7' "${server4[@]}" -t 8 -q 1
    expect_dropin_refusal 'no queue of 0-7 would be left' "${server4[@]}" -t 0 -q 8
    expect_dropin_refusal 'nobody listens there' -f eth1 -s "$far4" -p 5299
    expect_refusal 'run as root or with CAP_NET_ADMIN' \
        setpriv --bounding-set=-net_admin "$dropin" "${server4[@]}"
}

test_dropin_busy_queue() {
    link_dropin
    with_peers
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
    # A shell's background jobs ignore SIGINT otherwise.
    env --default-signal=INT "$dropin" -l -f eth1 -s "$near4" -p "$port" >out 2>messages &
    server=$!
    await_listen "$port"
    kill "-$1" "$server"
    status=0
    wait "$server" || status=$?
}

# The runner looks at the settings after the test.
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

# A death at any moment of the selftest, also while nobody asks for header split, is mended.
test_dropin_killed_selftest() {
    link_dropin
    local before moment deaths=0
    before=$(nic_settings eth1)
    for moment in 3 7 11 15 19 23; do
        status=0
        strace -f -o trace -e trace=fsync -e inject="fsync:signal=KILL:when=$moment" \
            "$dropin" -f eth1 >out 2>messages || status=$?
        devmemtcp steer restore --all >restored
        expect_equal "settings after call $moment" "$before" "$(nic_settings eth1)"
        ((status == 137)) || break
        deaths=$((deaths + 1))
    done
    ((deaths >= 4)) || fail "it died only $deaths times"
}
