# shellcheck shell=bash
# The kinds of faults, the commands that they hit, and what may become of these. "faults" sources this file.
# SPDX-License-Identifier: Apache-2.0
#
# These variables belong to the try that runs; "faults" reads and sets them.
# shellcheck disable=SC2034,SC2154

for file in "$folder"/{bind,hold}.test.sh; do
    # shellcheck source=/dev/null
    . "$file"
done
readonly group=/sys/fs/cgroup/faults limited=/sys/fs/cgroup/limited
# The settings of the near NIC that faults change.
readonly some_channels=6

kinds=()
declare -A kind_of=()

# kind [WORD=VALUE]... NAME JOB WHEN ENDINGS FAULT...: adds a kind.
#   JOB      the command that runs: a function job_JOB
#   WHEN     the moment of the fault: before the command starts; any, 0 to 4 s after its start; flow, 0 to 1.2 s after
#            the first payload
#   ENDINGS  a list of whole (status 0 and all bytes), part (status 0), error (status 1 and one line) and other statuses
#   FAULT    a function with arguments
# Words: nic, only those NICs; knob, only NICs with that knob; has, only NICs with that feature; within, the seconds until
# the end; options, more options of the command; peer, more options of the peer's socat; renews=1, the NIC is gone
# afterwards; spoils=1, wrong bytes are the fault; leaves=1, a program of the command lives on; kernel, a pattern for
# the kernel's known warning; lines, how many lines may accompany a signal's status; holds, NICs whose driver keeps the
# memory until the link has been down; impossible, why it is not tried.
kind() {
    local words=()
    while [[ $1 == *=* ]]; do
        words+=("$1")
        shift
    done
    kinds+=("$1")
    printf -v "kind_of[$1]" "%q " "${words[@]}" -- "${@:2}"
}

# select_kind NAME: sets the variables of a kind.
select_kind() {
    local words=()
    within_seconds='' renews='' spoiled='' leaves=0 drawn_words='' kernel_fault='' signal_lines='' near_options=() peer_options=''
    only_nics='' only_knob='' only_feature='' holding_nics='' impossible=''
    eval "words=(${kind_of[$1]})"
    while [[ ${words[0]} != -- ]]; do
        case ${words[0]} in
        nic=*) only_nics=${words[0]#*=} ;;
        knob=*) only_knob=${words[0]#*=} ;;
        has=*) only_feature=${words[0]#*=} ;;
        within=*) within_seconds=${words[0]#*=} ;;
        options=*) read -ra near_options <<<"${words[0]#*=}" ;;
        peer=*) peer_options=${words[0]#*=} ;;
        renews=*) renews=1 ;;
        spoils=*) spoiled=1 ;;
        leaves=*) leaves=${words[0]#*=} ;;
        kernel=*) kernel_fault=${words[0]#*=} ;;
        lines=*) signal_lines=${words[0]#*=} ;;
        holds=*) holding_nics=${words[0]#*=} ;;
        impossible=*) impossible=${words[0]#*=} ;;
        *) fail "unknown word ${words[0]}" ;;
        esac
        words=("${words[@]:1}")
    done
    job=${words[1]} when=${words[2]} expected=${words[3]} fault=("${words[@]:4}")
}

# applies NAME: false, with the reason, if the kind is not for this NIC.
applies() {
    select_kind "$1"
    if [[ -n $only_nics && " $only_nics " != *" $lab_nic "* ]]; then
        echo "not with $lab_nic"
        return 1
    fi
    if [[ -n $only_knob && ! -e $knobs/w0a/$only_knob ]]; then
        echo "$lab_nic has no knob $only_knob"
        return 1
    fi
    if [[ -n $only_feature ]] && ! nic_has "$only_feature"; then
        echo "$lab_nic has no $only_feature"
        return 1
    fi
    [[ -z $impossible ]] || { echo "$impossible" && return 1; }
}

# feed: prints what is sent, slowly enough that a fault meets it on its way.
feed() {
    local number
    for ((number = 0; number < pieces; number++)); do
        printf "%s\n" "$block" || return
        pause 0.08
    done 2>/dev/null
}

# start_near ARGUMENT...: starts the command with the limits in $wrap. Its input is ours.
start_near() {
    # A background job of a script starts with SIGINT and SIGQUIT ignored, and without input.
    (
        trap - INT QUIT ERR
        exec "${wrap[@]}" devmemtcp "$@"
    ) <&0 >out 2>messages &
    server=$!
}

# peer_socat ARGUMENT...: with what the kind adds to the last one. The peer may fail; the trap of a test would print that
# where payload goes.
peer_socat() { in_peer socat "${@:1:$#-1}" "${!#}${peer_options:+,$peer_options}" 2>peer.messages || true; }

# to_near: the peer sends what it reads.
to_near() { peer_socat "$@" "TCP4:$near4:$port,retry=400,interval=0.05"; }

# The jobs. Each writes to ./got what it received, and to ./came what the peer received.
job_serve() {
    feed | to_near -u - &
    # With payload on standard output the report would go to standard error.
    [[ ${output:-} == - ]] || near_options+=(--json)
    start_near serve --quiet --listen "$near4:$port" --output "${output:-got}" "${near_options[@]}" </dev/null
}

job_ring() {
    near_options+=(--engine io_uring)
    job_serve
}

# The answer is a file, which goes out while the payload comes in.
job_duplex() {
    cp whole answer
    feed | to_near -t 60 - >came &
    start_near serve --quiet --listen "$near4:$port" --output got --duplex file:answer --json "${near_options[@]}" \
        </dev/null
}

job_duplex_ring() {
    near_options+=(--engine io_uring)
    job_duplex
}

job_connect() {
    peer_socat -U CREATE:came "TCP4-LISTEN:$port,reuseaddr" &
    await_far_listener "$port"
    start_near connect "$far4:$port" --quiet --discard --json "${near_options[@]}" < <(feed)
}

# connect that sends and receives.
job_both() {
    feed | peer_socat -t 60 - "TCP4-LISTEN:$port,reuseaddr" >came &
    await_far_listener "$port"
    start_near connect "$far4:$port" --quiet --output got "${near_options[@]}" < <(feed)
}

# A program receives through the memory that bind holds.
job_bind() {
    feed | to_near -u - &
    # The inner shell expands its own arguments.
    # shellcheck disable=SC2016
    start_near bind eth1 --quiet --rx auto --flow "$near4:$port" "${near_options[@]}" -- \
        bash -c 'exec /lab/programs/devmem-receive "$0" "$1" >got 2>child.messages' "$near4" "$port" </dev/null
}

# bind that only holds memory; it ends with the try.
job_hold() {
    start_near bind eth1 --quiet --rx auto --tx --flow "$near4:$port" "${near_options[@]}" </dev/null
    # It reports when it holds the memory.
    while_runs=$server await is_not_empty out
}

job_bench() {
    local directions=(--rx device --tx device)
    [[ $job != bench_rx ]] || directions=(--rx device)
    start_near bench run --quiet --remote netns:peer --interface eth1 "${directions[@]}" --time 2 --validate --json \
        "${near_options[@]}" </dev/null
}

job_bench_rx() { job_bench; }

start_job() { "job_$job"; }

# await_payload: waits until payload has arrived somewhere, or until the command is ready.
await_payload() {
    case $job in
    serve | ring | duplex* | bind) while_runs=$server await is_not_empty got ;;
    connect | both) while_runs=$server await is_not_empty came ;;
    # Its traffic may end before it is seen.
    bench*) await has_flows ;;
    esac
}

has_flows() { [[ -n $(ss -Htn state established "src $near4") ]] || has_ended; }

# --- Faults of processes

# The command may have ended before.
signal() { kill "-$1" "$server" 2>/dev/null || true; }
freeze() {
    signal STOP
    pause 1
    signal CONT
}
signal_peer() { pkill "-$1" -x socat || true; }
freeze_peer() {
    signal_peer STOP
    pause "${1:-1}"
    signal_peer CONT
}
# signal_far_bench SIGNAL: the peer that bench run has started.
far_bench() { ip netns pids peer | xargs -r ps -o pid=,comm= -p | awk '$2 == "devmemtcp" { print $1 }'; }
signal_far_bench() {
    local pids=()
    mapfile -t pids < <(far_bench)
    ((${#pids[@]} == 0)) || kill "-$1" "${pids[@]}" 2>/dev/null || true
}
freeze_far_bench() {
    signal_far_bench STOP
    pause 1
    signal_far_bench CONT
}
signal_twice() {
    signal "$1"
    pause 0.02
    signal "$1"
}
# The peer reads nothing, so that memory is waiting for completions.
signal_while_unread() {
    signal_peer STOP
    pause 0.5
    signal "$1"
}
# The program that bind runs holds tokens and does not move.
signal_while_child_stands() {
    pkill -STOP -x devmem-receive || true
    pause 0.2
    signal "$1"
}
kill_child() { pkill "-$1" -x devmem-receive || true; }

# --- Faults of the NIC and its network

link_down_up() {
    take_down
    pause "${1:-0.5}"
    bring_up
}
far_link_down_up() {
    in_peer ip link set eth1 down
    pause 0.5
    in_peer ip -batch - <<<"link set eth1 up
address replace $far6/64 dev eth1 nodad"
}
cable_out_in() {
    set_knob link 0
    pause 0.5
    set_knob link 1
}
unload_driver() {
    if [[ $lab_nic == labnic ]]; then rmmod labnic; else rmmod labdevices; fi
}
unbind_driver() {
    local device
    device=$(readlink -f /sys/class/net/eth1/device)
    basename "$device" >"$(readlink -f "$device/driver")/unbind"
}
remove_device() { echo 1 >/sys/class/net/eth1/device/remove; }
reset_device() { set_knob reset 1; }

# refused_or COMMAND...: another admin's request, which the kernel may refuse while memory is bound.
refused_or() { "$@" >>admin.log 2>&1 || true; }

change_channels() {
    undo set_channels "$lab_queues"
    refused_or set_channels "$1"
}
change_rings() {
    local size
    size=$(ethtool --json -g eth1 | jq '.[0].rx')
    undo ethtool -G eth1 rx "$size"
    refused_or ethtool -G eth1 rx 512
}
split_off() { refused_or ethtool -G eth1 tcp-data-split off; }
delete_rules() { delete_flow_rules; }
spread_rss() { refused_or ethtool -X eth1 default; }
weigh_rss() {
    undo ethtool -X eth1 default
    refused_or ethtool -X eth1 equal 3
}
# feature_before NAME: prints whether a feature of the NIC was on or off before the command changed it.
feature_before() { sed -n "s/^$1: \\([a-z]*\\).*/\\1/p" /tmp/features-before; }
rules_off() {
    # gve needs it for flow rules, so that the command turns it on and must restore it.
    [[ $lab_nic == gve ]] || undo ethtool -K eth1 ntuple "$(feature_before ntuple-filters)"
    refused_or ethtool -K eth1 ntuple off
    pause 0.3
    refused_or ethtool -K eth1 ntuple on
}
gro_off() {
    undo ethtool -K eth1 rx-gro-hw "$(feature_before rx-gro-hw)"
    refused_or ethtool -K eth1 rx-gro-hw off
}
change_mtu() {
    undo set_mtu "$lab_mtu"
    set_mtu 1500
}
move_nic() { move_away away; }
rename_nic() {
    undo rename_back
    ip link set eth1 down
    ip link set eth1 name other1
    ip link set other1 up
}
remove_address() {
    undo bring_up
    ip address del "$near4/24" dev eth1
    pause 0.5
    ip address add "$near4/24" dev eth1
}
flush_neighbours() { ip neigh flush dev eth1; }
delete_peer() {
    signal_peer KILL
    ip netns delete peer
}
move_far_nic() { in_peer ip link set eth1 netns 1 name far1; }
vanish() {
    undo in_peer ip route del blackhole "$near4"
    in_peer ip route add blackhole "$near4"
}
# emulate WORDS...: netem on the peer's NIC; emulate_near on ours.
emulate() {
    undo in_peer tc qdisc delete dev eth1 root
    in_peer tc qdisc add dev eth1 root netem "$@"
}
emulate_near() {
    undo tc qdisc delete dev eth1 root
    tc qdisc add dev eth1 root netem "$@"
}
toggle_threads() {
    undo write_file /sys/class/net/eth1/threaded 1
    echo 0 >/sys/class/net/eth1/threaded
}
# every KNOB: every so manieth packet, from 20 to 120.
every() {
    draw 100
    set_knob "$1" $((drawn + 20))
    drawn_words="$1 $((drawn + 20))"
}
knob() { set_knob "$1" "$2"; }
# refused_later KNOB: the NIC refuses one request, after 0 to 3 others.
refused_later() {
    draw 4
    set_knob fail_after "$drawn"
    set_knob "$1" 1
    drawn_words="$1 after $drawn"
}
# refused_command: a command of the driver to its device fails, after 0 to 30 others.
refused_command() {
    draw 31
    set_knob fail_after "$drawn"
    set_knob fail_command 1
    drawn_words="fail_command after $drawn"
}

# --- Faults of the host

hide_memory() {
    hide "$udmabuf"
    hide "$heap"
}
limit_udmabuf() {
    keep /sys/module/udmabuf/parameters/size_limit_mb
    echo 16 >/sys/module/udmabuf/parameters/size_limit_mb
}
few_descriptors() {
    draw 30
    wrap=(bash -c "ulimit -n $((drawn + 4)); exec \"\$@\"" bash)
    drawn_words="$((drawn + 4)) descriptors"
}
small_files() {
    draw 10000
    wrap=(bash -c "ulimit -f $((drawn + 1000)); exec \"\$@\"" bash)
    drawn_words="$((drawn + 1000)) KiB"
}
little_memory() {
    draw 70
    echo +memory >/sys/fs/cgroup/cgroup.subtree_control
    mkdir -p "$limited"
    echo $(((drawn + 6) << 20)) >"$limited/memory.max"
    undo write_file "$limited/cgroup.kill" 1
    # The kernel shows a call trace when it kills for memory. The console must stay clean; the log is checked all the same.
    undo dmesg --console-level 5
    dmesg --console-level 1
    # The inner shell expands its own arguments.
    # shellcheck disable=SC2016
    wrap=(bash -c "echo \$\$ >$limited/cgroup.procs; exec \"\$@\"" bash)
    drawn_words="$((drawn + 6)) MiB"
}
full_disk() {
    mkdir full
    undo umount "$PWD/full"
    mount -t tmpfs -o size=3m none full
    output=full/got
}
# The reader of standard output ends after some bytes.
reader_ends() {
    draw 4000000
    # The inner shell expands its own arguments.
    # shellcheck disable=SC2016
    wrap=(bash -c "\"\$@\" | head -c $drawn >got; exit \${PIPESTATUS[0]}" bash)
    output=- drawn_words="$drawn bytes"
}
jump_clock() {
    date -s "$1" >/dev/null
    undo date -s "$2"
}
# /run/devmemtcp is a file system of its own while "faults" runs.
fill_run() {
    undo rm -f /run/devmemtcp/filler
    cat /dev/zero >/run/devmemtcp/filler 2>/dev/null || true
}
# Before the command starts: it keeps a file open for writing, and the kernel then refuses.
read_only_run() {
    undo mount -o remount,rw /run/devmemtcp
    mount -o remount,ro /run/devmemtcp
}
processor_off() {
    local switch=/sys/devices/system/cpu/cpu1/online
    undo write_file "$switch" 1
    echo 0 >"$switch"
}
drop_caches() {
    echo 3 >/proc/sys/vm/drop_caches
    echo 1 >/proc/sys/vm/compact_memory
}
forbid_io_uring() {
    keep /proc/sys/kernel/io_uring_disabled
    echo 2 >/proc/sys/kernel/io_uring_disabled
}
little_option_memory() {
    keep /proc/sys/net/core/optmem_max
    echo 1024 >/proc/sys/net/core/optmem_max
}
# cut FILE: it becomes shorter while it is sent, before most of it is read.
cut_file() {
    signal_peer STOP
    pause 0.2
    truncate -s 100000 "$1"
    signal_peer CONT
}
large_input() {
    for ((number = 0; number < 300; number++)); do printf "%s\n" "$block"; done >whole
    cp whole input
}
job_connect_file() {
    large_input
    near_options+=(--input input)
    job_connect
}
job_duplex_large() {
    large_input
    job_duplex
}

# --- Other users of the NIC

second_server() {
    local refused=0
    devmemtcp serve --quiet --listen "$near4:6999" --queues "$((lab_queues - 1))" --discard 2>second || refused=$?
    expect_equal 'status of the second' 1 "$refused"
    expect_equal 'lines of the second' 1 "$(wc -l <second)"
}
restore_meanwhile() { refused_or devmemtcp steer restore eth1; }
restart_queue() { refused_or devmemtcp queue restart eth1 --force "$@"; }
rebind_another() { rebind_queue 3; }
apply_meanwhile() {
    undo devmemtcp steer restore eth1
    refused_or devmemtcp steer apply eth1 --queues 4 --flow "$near4:6998"
}

# end_hold FAULT...: after the fault, bind that holds memory gets a signal.
end_hold() {
    "$@"
    pause 0.5
    signal TERM
}

# --- The kinds

for name in serve ring connect duplex duplex_ring both bind bench; do
    leaves=0 whole=whole lines=0
    # bench says what was interrupted.
    [[ $name != bench ]] || lines=1
    [[ $name != bind ]] || leaves=1
    kind leaves=$leaves "kill-$name" "$name" any 137,whole signal KILL
    kind lines=$lines "term-$name" "$name" any 143,whole signal TERM
    kind lines=$lines "int-$name" "$name" any 130,whole signal INT
    kind "freeze-$name" "$name" any whole freeze
    # The kernel refuses to send from device memory while the NIC is down.
    [[ $name != @(connect|duplex*|both) ]] || whole=whole,error
    kind "link-down-up-$name" "$name" flow "$whole" link_down_up
done
kind hup-serve serve any 129,whole signal HUP
kind term-twice-serve serve any 143,whole signal_twice TERM
kind term-twice-connect connect any 143,whole signal_twice TERM
kind quit-ring ring any 131,whole signal QUIT
kind segv-serve serve any 139,whole signal SEGV
kind term-unread connect flow 143 signal_while_unread TERM
kind kill-unread connect flow 137 signal_while_unread KILL
kind term-stopped-child bind flow 143 signal_while_child_stands TERM
kind leaves=1 kill-stopped-child bind flow 137 signal_while_child_stands KILL
kind kill-child bind flow 137,whole kill_child KILL
kind segv-child bind flow 139,whole kill_child SEGV
kind kill-peer-serve serve flow part,error signal_peer KILL
kind kill-peer-ring ring flow part,error signal_peer KILL
kind kill-peer-connect connect flow error,whole signal_peer KILL
kind kill-peer-both both flow error,part signal_peer KILL
kind kill-peer-bench bench flow error,whole signal_far_bench KILL
kind term-peer-bench bench flow error,whole signal_far_bench TERM
kind freeze-peer-bench bench flow whole freeze_far_bench
kind freeze-peer-serve serve flow whole freeze_peer 2
kind freeze-peer-connect connect flow whole freeze_peer 2
kind freeze-peer-both both flow whole freeze_peer 2
kind peer=linger=0 reset-serve serve flow error,whole signal_peer KILL
kind peer=linger=0 reset-ring ring flow error,whole signal_peer KILL
kind peer=linger=0 reset-duplex duplex flow error,whole signal_peer KILL
kind peer=linger=0 reset-connect connect flow error,whole signal_peer KILL
for name in serve ring connect both; do
    kind within=30 "options=--peer-timeout 4" "vanished-peer-$name" "$name" flow error vanish
done
kind within=30 renews=1 "options=--peer-timeout 4" deleted-peer-serve serve flow error,part delete_peer
kind within=30 renews=1 "options=--peer-timeout 4" moved-far-nic-ring ring flow error move_far_nic
kind hold-link-down-up hold flow 143 end_hold link_down_up
kind far-link-down-up-serve serve flow whole far_link_down_up
kind far-link-down-up-connect connect flow whole far_link_down_up
kind knob=link cable-serve serve flow whole cable_out_in
kind knob=link cable-connect connect flow whole cable_out_in
for name in serve ring bind bench_rx; do
    ends=error
    # Unloading takes longer than the rest of a benchmark may.
    [[ $name != bench_rx ]] || ends=error,whole
    kind renews=1 "unload-$name" "$name" flow "$ends" unload_driver
    # What is bound while the driver goes down: "closing a binding while the interface is down warns".
    kind renews=1 nic='gve mlx5' kernel=__netif_mp_close_rxq "unbind-driver-$name" "$name" flow "$ends" unbind_driver
    kind renews=1 nic='gve mlx5' "remove-device-$name" "$name" flow "$ends" remove_device
done
for name in connect duplex both hold; do
    kind "impossible=not tried: the kernel frees what is bound for sending too early (kernel-faults.md)" \
        "unload-$name" "$name" flow error unload_driver
done
kind nic=gve within=60 "options=--keep-steered --allow-host-memory" reset-device-serve serve flow whole reset_device
kind nic=gve within=60 "options=--keep-steered --allow-host-memory" reset-device-ring ring flow whole reset_device
kind nic=mlx5 within=60 renews=1 reset-device-failed serve flow error reset_device
kind more-channels serve flow whole change_channels "$((lab_queues))"
kind fewer-channels serve flow whole,error change_channels "$some_channels"
kind fewer-channels-ring ring flow whole,error change_channels "$some_channels"
kind fewer-channels-connect connect flow whole change_channels "$some_channels"
kind rings-serve serve flow whole change_rings
kind rings-ring ring flow whole change_rings
kind rings-bench bench flow whole change_rings
kind split-off-serve serve flow whole split_off
kind "options=--allow-host-memory" rule-deleted-serve serve flow whole delete_rules
kind "options=--allow-host-memory" rule-deleted-ring ring flow whole delete_rules
kind "options=--keep-steered --allow-host-memory" rule-deleted-kept serve flow whole delete_rules
kind rule-deleted-bench bench flow whole,error delete_rules
kind rss-default-serve serve flow whole spread_rss
kind rss-weights-serve serve flow whole weigh_rss
kind "options=--keep-steered" rss-weights-kept serve flow whole weigh_rss
kind "options=--allow-host-memory" rules-off-serve serve flow whole rules_off
kind gro-off-serve serve flow whole gro_off
kind mtu-serve serve flow whole change_mtu
kind mtu-connect connect flow whole change_mtu
# The kernel sets a NIC down before it moves it: "closing a binding while the interface is down warns".
kind kernel=__netif_mp_close_rxq moved-nic-serve serve flow error move_nic
kind kernel=__netif_mp_close_rxq moved-nic-ring ring flow error move_nic
kind renamed-nic-serve serve flow whole rename_nic
kind address-removed-serve serve flow whole remove_address
# Without a route through the NIC the kernel refuses to send from device memory.
kind address-removed-connect connect flow whole,error remove_address
kind neighbours-connect connect flow whole flush_neighbours
kind threads-toggled-ring ring flow whole toggle_threads
kind knob=fail_page_pool no-pages-serve serve flow whole knob fail_page_pool 5
kind knob=fail_page_pool no-pages-ring ring flow whole knob fail_page_pool 5
kind options='--memory 2M' nic=labnic small-memory-serve serve flow whole freeze
for name in fail_queue_start fail_queue_alloc fail_rule_insert fail_rss_set fail_ring_set refuse_hds fail_channels; do
    kind "knob=$name" "${name//_/-}" serve before error,whole refused_later "$name"
    kind "knob=$name" "${name//_/-}-bench" bench before error,whole refused_later "$name"
done
kind knob=fail_queue_start fail-queue-start-ring ring before error,whole refused_later fail_queue_start
kind knob=fail_rule_delete fail-rule-delete serve flow error,whole knob fail_rule_delete 1
kind knob=fail_rss_set fail-rss-restore serve flow error,whole knob fail_rss_set 1
kind nic='gve mlx5' command-refused-serve serve before error,whole refused_command
kind nic='gve mlx5' command-refused-ring ring before error,whole refused_command
kind knob=drop_nth drop-serve serve flow whole every drop_nth
kind knob=drop_nth drop-ring ring flow whole every drop_nth
kind knob=reorder_nth reorder-serve serve flow whole every reorder_nth
kind knob=reorder_nth reorder-ring ring flow whole every reorder_nth
kind knob=unsplit_nth unsplit-serve serve flow whole every unsplit_nth
kind knob=partial_split_nth partial-split-serve serve flow whole every partial_split_nth
kind knob=partial_split_nth partial-split-ring ring flow error,whole every partial_split_nth
kind knob=wrong_queue_nth wrong-queue-serve serve flow whole every wrong_queue_nth
kind knob=wrong_queue_nth wrong-queue-ring ring flow whole every wrong_queue_nth
kind knob=leak_nth leak-serve serve flow whole every leak_nth
for name in corrupt_nth stale_nth reuse_nth lose_linear_nth; do
    kind spoils=1 "knob=$name" "options=--validate 7" "${name//_/-}-serve" serve before error every "$name"
done
# gve waits for the completion of each packet for as long as the queue exists.
kind knob=lose_completion_nth holds=gve within=60 lost-completion-connect connect flow whole,error every lose_completion_nth
kind nic='gve mlx5' within=40 'options=--peer-timeout 4' dead-queue-serve serve flow error,whole every wrong_generation_nth
for name in serve ring duplex; do
    kind "loss-$name" "$name" before whole emulate loss 3%
    kind "duplicate-$name" "$name" before whole emulate duplicate 10%
    kind "reordered-$name" "$name" before whole emulate delay 5ms reorder 75% 50%
    # "A packet with a wrong checksum in device memory warns".
    kind kernel=skb_checksum "corrupt-$name" "$name" before whole emulate corrupt 1%
done
kind near-loss-connect connect before whole emulate_near loss 3%
kind near-duplicate-connect connect before whole emulate_near duplicate 10%
kind near-reordered-connect connect before whole emulate_near delay 5ms reorder 75% 50%
kind loss-bench bench flow whole emulate loss 3%
kind peer=nodelay,mss=536 small-segments-serve serve flow whole freeze_peer
kind peer=nodelay,mss=536 small-segments-ring ring flow whole freeze_peer
kind hidden-memory-serve serve before error hide_memory
kind hidden-memory-bench bench before error hide_memory
kind "options=--provider udmabuf" limited-udmabuf serve before error limit_udmabuf
for name in serve ring connect bench bind; do
    kind "few-descriptors-$name" "$name" before error,whole few_descriptors
    kind "options=--provider udmabuf" lines=0 "little-memory-$name" "$name" before 137,error,whole little_memory
done
kind small-files-serve serve before 153,error,whole small_files
kind small-files-ring ring before 153,error,whole small_files
kind full-disk-serve serve before error full_disk
kind full-disk-ring ring before error full_disk
kind closed-pipe-serve serve before error reader_ends
kind closed-pipe-ring ring before error reader_ends
for name in serve connect bench bind; do
    kind "clock-forward-$name" "$name" flow whole jump_clock '+1 day' '-1 day'
    kind "clock-back-$name" "$name" flow whole jump_clock '-1 day' '+1 day'
done
kind "options=--time-limit 300 --idle 200" clock-forward-limits serve flow whole jump_clock '+1 day' '-1 day'
for name in serve bind bench; do
    kind "full-run-$name" "$name" before error fill_run
    kind "read-only-run-$name" "$name" before error read_only_run
    kind "full-run-later-$name" "$name" flow whole,error fill_run
done
kind processor-off-serve serve flow whole processor_off
kind processor-off-ring ring flow whole processor_off
kind drop-caches-duplex duplex flow whole drop_caches
kind io-uring-forbidden ring flow whole forbid_io_uring
kind option-memory-connect connect flow whole little_option_memory
kind option-memory-both both before whole little_option_memory
kind cut-input connect_file flow part,error cut_file input
kind 'options=--direct' cut-input-direct connect_file flow part,error cut_file input
kind cut-answer duplex_large flow part,error cut_file answer
kind second-server serve flow whole second_server
kind second-server-ring ring flow whole second_server
kind restore-meanwhile serve flow whole restore_meanwhile
kind apply-meanwhile serve flow whole apply_meanwhile
kind rebind-other-queue-serve serve flow whole rebind_another
kind rebind-other-queue-ring ring flow whole rebind_another
kind restart-own-queue-serve serve flow whole restart_queue "$((lab_queues - 1))"
