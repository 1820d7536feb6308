# shellcheck shell=bash
# show agrees with ethtool, ip, sysfs and the kernel's netlink replies.
# SPDX-License-Identifier: Apache-2.0

# shown FILTER: prints a part of what show reports of eth1.
shown() { devmemtcp show eth1 --json | jq -S ".interfaces[0] | $1"; }

# dump COMMAND [ATTRIBUTE=NUMBER]...: prints replies of the netdev family as JSON.
dump() { /lab/programs/netdev-dump "$@"; }

# expect_same WHAT EXPECTED FOUND: two JSON texts must be equal, apart from layout.
expect_same() {
    diff <(jq -S . <<<"$2") <(jq -S . <<<"$3") || fail "$1 differ"
}

# await_shown FILTER: waits until the filter is true of what show reports.
await_shown() {
    local deadline=$((SECONDS + event_limit))
    until [[ $(shown "$1") == true ]]; do
        ((SECONDS < deadline)) || fail "it did not become true: $1: $(shown .)"
        receive_on_each_processor
    done
}

# connect_from_near PORT BYTES: sets $connection to a socket of this shell. Its peer has sent BYTES, which nobody reads;
# they must fit the first window.
connect_from_near() {
    pattern "$2" >sent
    in_peer socat -u OPEN:sent TCP-LISTEN:"$1",reuseaddr 2>/dev/null &
    sender=$!
    await_far_listener "$1"
    exec {connection}<>"/dev/tcp/$far4/$1"
}

test_show_agrees_with_ethtool_and_ip() {
    local length
    length=$(table_length)
    allow_rules
    ethtool -N eth1 flow-type tcp4 dst-port 5300 action 3 loc 5
    ! nic_has contexts || ethtool -X eth1 context new start 5 equal 2 >out
    devmemtcp show eth1 --json >deep
    devmemtcp show --json >glance
    expect_equal version 1 "$(jq .version deep)"
    expect_equal 'of the interfaces' eth1 "$(jq -r '[.interfaces[].interface] | join(",")' glance)"
    # Both report the same, but the age of detached page pools grows.
    expect_same 'glance and depth' "$(jq '.interfaces[0] | del(.detached_pools)' glance)" \
        "$(jq --slurpfile glance glance '.interfaces[0] |
            with_entries(select(.key | in($glance[0].interfaces[0]))) | del(.detached_pools)' deep)"

    expect_same 'link' "$(ip -d -j link show eth1 | jq '.[0] | {index: .ifindex, mtu, address,
            state: (.operstate | ascii_downcase), device: .parentdev,
            up: (.flags | index("UP") != null), carrier: (.flags | index("LOWER_UP") != null)}')" \
        "$(jq '.interfaces[0] | {index, mtu, address, state, device, up, carrier}' deep)"
    expect_same 'addresses' "$(ip -j address show eth1 | jq '[.[0].addr_info[].local]')" \
        "$(jq '.interfaces[0].addresses' deep)"
    expect_equal driver "$(ethtool -i eth1 | sed -n 's/^driver: //p')" \
        "$(jq -r '.interfaces[0].driver' deep)"
    expect_equal speed "$(ethtool eth1 | sed -n 's|.*Speed: \(.*\)Mb/s|\1|p')" \
        "$(jq '.interfaces[0].speed_mbps' deep)"
    # ethtool prints n/a for a kind that the NIC does not have.
    local kind
    for kind in RX TX Combined; do
        expect_equal "channels $kind" \
            "$(ethtool -l eth1 | awk -v kind="$kind:" '$1 == kind { n = $2 } END { print n ~ /^[0-9]/ ? n : 0 }')" \
            "$(jq ".interfaces[0].channels.${kind,,} // 0" deep)"
    done
    expect_equal 'receive queues' "$(find /sys/class/net/eth1/queues/ -name 'rx-*' | wc -l)" \
        "$(jq '.interfaces[0].rx_queues' deep)"
    expect_equal 'transmit queues' "$(find /sys/class/net/eth1/queues/ -name 'tx-*' | wc -l)" \
        "$(jq '.interfaces[0].tx_queues' deep)"
    local ring
    for ring in RX TX; do
        expect_equal "ring $ring" "$(ethtool -g eth1 | awk -v ring="$ring:" '$1 == ring { n = $2 } END { print n }')" \
            "$(jq ".interfaces[0].settings.rings.${ring,,}" deep)"
    done
    # mlx5 leaves out what nobody has set. ethtool calls that n/a; it is unknown.
    expect_equal 'header split' \
        "$(ethtool -g eth1 | sed -n 's/^TCP data split:[[:space:]]*//p' | tail -n 1 | sed 's/^n\/a$/unknown/')" \
        "$(jq -r '.interfaces[0].tcp_data_split' deep)"

    # ethtool -x prints eight queues on a line, after "0:".
    expect_same 'RSS shares' \
        "$(ethtool -x eth1 | sed -n 's/^ *[0-9]*: *\([0-9 ]*\)$/\1/p' | tr -s ' ' '\n' | sort -n |
            jq -s 'group_by(.) | map({queue: .[0], entries: length})')" \
        "$(jq '[.interfaces[0].queues[] | select(.rss_entries > 0) |
            {queue: .id, entries: .rss_entries}]' deep)"
    ! nic_has contexts || expect_same 'queues of context 1' '[5,6]' \
        "$(jq '[.interfaces[0].queues[] | select(.contexts == [1]) | .id]' deep)"
    expect_equal 'location of the rule' "$(ethtool -n eth1 | sed -n 's/^Filter: //p')" \
        "$(jq '.interfaces[0].queues[] | select(.type == "rx" and .id == 3) | .rules[]' deep)"
    devmemtcp show eth1 >text
    grep -Eq "^ +rx 3 .* $((length / 8))/$length +rule 5 " text || fail "no rule in: $(cat text)"
    ethtool -N eth1 delete 5
    nic_has contexts || return 0
    grep -Eq "^ +rx 5 .* $((length / 8))/$length +context 1 " text || fail "no context in: $(cat text)"
    ethtool -X eth1 context 1 delete
}

test_show_agrees_with_netlink() {
    local index
    index=$(</sys/class/net/eth1/ifindex)
    ping -q -c 3 -i 0.01 "$far4" >out
    start_serve --listen "$near4:5201" --discard
    dump 10 "2=$index" >queues
    dump 11 "1=$index" >napis
    dump 5 >pools
    # Packets of neighbour discovery may arrive between the two.
    await shows_statistics "$index"
    expect_same queues "$(jq '[.[] | {type: ["rx", "tx"][.["3"]], id: .["1"], napi_id: .["4"],
            dmabuf_id: .["5"], io_uring: has("6"), xsk: has("7")}]' queues)" \
        "$(jq '[.queues[] | {type, id, napi_id, dmabuf_id, io_uring, xsk}]' deep)"
    expect_same 'NAPI instances' \
        "$(jq '[.[] | {napi_id: .["2"], napi_pid: .["4"], irq: .["3"]}] | sort_by(.napi_id)' napis)" \
        "$(jq '[.queues[] | select(.napi_id) | {napi_id, napi_pid, irq}] | unique_by(.napi_id)' deep)"
    # A pool belongs to the queue with its NAPI instance. One that its queue has given up may go at any time.
    expect_same 'page pools' "$(jq --argjson index "$index" '[.[] | select(.["2"] == $index and (has("6") | not)) |
            {napi_id: .["3"], id: .["1"], in_flight: .["4"], in_flight_bytes: .["5"],
            dmabuf_id: .["7"], io_uring: has("8")}] | sort_by(.id)' pools)" \
        "$(jq '[.queues[] | .napi_id as $napi | .pools[] | {$napi, id, in_flight, in_flight_bytes,
            dmabuf_id, io_uring} | .napi_id = .napi | del(.napi)] | sort_by(.id)' deep)"
    expect_equal 'pools of the bound queue' "$(if nic_has header-pool; then echo 2; else echo 1; fi)" \
        "$(jq '.queues[] | select(.dmabuf_id) | .pools | length' deep)"
    # The names in linux/netdev.h, from number 8.
    expect_same counters "$(jq '
        ("rx-packets rx-bytes tx-packets tx-bytes rx-alloc-fail rx-hw-drops rx-hw-drop-overruns
        rx-csum-complete rx-csum-unnecessary rx-csum-none rx-csum-bad rx-hw-gro-packets
        rx-hw-gro-bytes rx-hw-gro-wire-packets rx-hw-gro-wire-bytes rx-hw-drop-ratelimits
        tx-hw-drops tx-hw-drop-errors tx-csum-none tx-needs-csum tx-hw-gso-packets
        tx-hw-gso-bytes tx-hw-gso-wire-packets tx-hw-gso-wire-bytes tx-hw-drop-ratelimits
        tx-stop tx-wake" | [splits("\\s+")]) as $names
        | [.[] | {type: ["rx", "tx"][.["2"]], id: .["3"], counters: (to_entries |
            map(select((.key | tonumber) >= 8) | .key |= $names[tonumber - 8]) | from_entries)}]' \
        statistics)" "$(jq '[.queues[] | {type, id, counters}]' deep)"
    kill -INT "$server"
    end_serve
}

# shows_statistics INDEX: writes ./deep; true if the statistics are the same before and after.
shows_statistics() {
    dump 12 "1=$1" 4=1 >statistics
    devmemtcp show eth1 --json | jq '.interfaces[0]' >deep
    dump 12 "1=$1" 4=1 | cmp -s statistics
}

test_show_bound_queue_while_serve_runs() {
    start_serve --listen "$near4:5201" --discard --queues 6-7
    devmemtcp show eth1 --json | jq '.interfaces[0]' >deep
    expect_same 'bound queues' '[6,7]' "$(jq .bound_queues deep)"
    local holder="{\"pid\":$server,\"process\":\"devmemtcp\",\"dmabufs\":[{\"bytes\":67108864,\"exporter\":\"system\"}]}"
    expect_same 'the binding' "[{\"queues\":[6,7],\"likely_holders\":[$holder]}]" \
        "$(jq '[.bindings[] | del(.dmabuf_id)]' deep)"
    expect_equal 'steering' "devmemtcp serve, $server" \
        "$(jq -r '.steering | "\(.owner), \(.pid)"' deep)"
    devmemtcp show >text
    local threshold=0
    nic_has threshold || threshold='(0|-)'
    grep -Eq "^eth1 +$(driver_name) +up +100 Gb/s +8 +on +$threshold +6-7 +devmemtcp, pid $server \(queues 6-7\)$" text ||
        fail "not so: $(cat text)"
    devmemtcp show eth1 >text
    expect_line text "bound to queues 6-7, likely by devmemtcp (pid $server, 64.0 MiB of system)"
    # Any user may run show, but it cannot see the processes of other users.
    setpriv --reuid 1000 --clear-groups devmemtcp show eth1 >text
    expect_line text 'bound to queues 6-7, likely by a process not visible from here'
    kill -INT "$server"
    end_serve
    await_shown '.bound_queues == [] and .bindings == [] and (has("steering") | not)'
}

# metric NAME LABELS: prints the value of a sample of ./metrics; LABELS are written as in the file.
metric() { awk -v name="$1{$2}" '$1 == name { print $2 }' metrics; }

test_show_metrics_agree_with_the_json() {
    start_serve --listen "$near4:5201" --discard --queues 6-7
    devmemtcp show eth1 --json | jq '.interfaces[0]' >deep
    devmemtcp show --prometheus >metrics
    local id
    id=$(jq '.bindings[0].dmabuf_id' deep)
    expect_equal 'bound queues' 2 "$(metric devmemtcp_interface_bound_queues 'interface="eth1"')"
    expect_equal 'queues of the binding' 2 \
        "$(metric devmemtcp_binding_queues "interface=\"eth1\",binding=\"$id\"")"
    expect_equal 'occupant' 1 "$(metric devmemtcp_queue_occupant_info \
        "interface=\"eth1\",queue=\"7\",type=\"rx\",occupant=\"dma-buf\",binding=\"$id\"")"
    expect_equal 'the holder' 67108864 "$(metric devmemtcp_binding_holder_dmabuf_bytes \
        "interface=\"eth1\",binding=\"$id\",process=\"devmemtcp\",pid=\"$server\",exporter=\"system\"")"
    expect_equal 'in use' 1 "$(metric devmemtcp_steering_state 'interface="eth1",state="in_use"')"
    expect_equal 'changes' "$(jq '.steering.changes | length' deep)" \
        "$(metric devmemtcp_steering_changes 'interface="eth1"')"
    expect_equal 'memory in flight' "$(jq -r '[.queues[].pools[] | select(.dmabuf_id)] | unique_by(.id) |
            .[] | "\(.id) \(.in_flight_bytes)"' deep)" \
        "$(sed -n 's/^devmemtcp_page_pool_in_flight_bytes{.*,pool="\([0-9]*\)",provider="dma-buf",.*} /\1 /p' metrics)"
    kill -INT "$server"
    end_serve
    await_shown '.bound_queues == []'
    # Nobody sends now, so that the counters stand still but for neighbour discovery.
    await metrics_have_the_counters
    expect_equal 'unsteered' 1 "$(metric devmemtcp_steering_state 'interface="eth1",state="none"')"
    devmemtcp show eth1 --prometheus-file file
    expect_equal 'the names' "$(sed -n 's/^# TYPE //p' metrics)" "$(sed -n 's/^# TYPE //p' file)"
    expect_refusal 'null is not a regular file' devmemtcp show --prometheus-file /dev/null
}

# metrics_have_the_counters: writes ./metrics; true if its counters are those of show.
metrics_have_the_counters() {
    devmemtcp show eth1 --json | jq -r '.interfaces[0].queues[] | .id as $id | .counters | to_entries[] |
        "\(.key | gsub("-"; "_")) \($id) \(.value)"' | sort >counters
    devmemtcp show --prometheus >metrics
    sed -n 's/^devmemtcp_queue_\(.*\)_total{interface="eth1",queue="\([0-9]*\)"} /\1 \2 /p' metrics |
        sort | cmp -s counters
}

test_show_counters_grow_by_what_was_sent() {
    allow_rules
    ethtool -N eth1 flow-type tcp4 dst-port 5300 action 3 loc 0
    local before after
    before=$(shown '[.queues[] | select(.type == "rx") | .counters["rx-bytes"]]')
    socat -u TCP-LISTEN:5300,bind="$near4",reuseaddr OPEN:got,creat &
    local listener=$!
    head -c 2000000 /dev/zero >sent
    in_peer socat -u OPEN:sent "TCP:$near4:5300,retry=600,interval=0.1"
    wait "$listener"
    cmp sent got
    after=$(shown '[.queues[] | select(.type == "rx") | .counters["rx-bytes"]]')
    # Headers count too, and the other queues receive little but neighbour discovery.
    expect_equal 'growth' true "$(jq -n --argjson before "$before" --argjson after "$after" '
        [$before, $after] | transpose | map(.[1] - .[0]) |
        .[3] >= 2000000 and .[3] < 2200000 and (del(.[3]) | all(. < 5000))')"
    ethtool -N eth1 delete 0
}

test_show_interface_that_is_down() {
    take_down
    expect_same 'what is down' '{"up":false,"carrier":false,"rx_queues":0,"queues":[]}' \
        "$(shown '{up, carrier, rx_queues, queues}')"
    devmemtcp show eth1 >text
    expect_line text 'queues: none, as while an interface is down'
    bring_up
    await_shown '.carrier and .rx_queues == 8'
}

test_show_virtual_interfaces_only_when_asked() {
    add_link pair0 type veth peer name pair1
    devmemtcp show --json >out
    expect_equal 'interfaces' eth1 "$(jq -r '[.interfaces[].interface] | join(",")' out)"
    devmemtcp show --all --json >out
    expect_same 'all' "$(ip -j link | jq '[.[].ifname] | sort')" \
        "$(jq '[.interfaces[].interface] | sort' out)"
    expect_equal 'kind' veth "$(jq -r '.interfaces[] | select(.interface == "pair0").kind' out)"
    devmemtcp show pair0 >out
    expect_line out 'pair0: veth, down'
    expect_refusal 'does not count packets per queue' devmemtcp show pair0 --watch
    expect_refusal 'find interface nosuch: No such device' devmemtcp show nosuch
}

# lease_shown: prints to whom queue 5 is leased.
lease_shown() { shown '.queues[5].lease'; }

test_show_leased_queue() {
    undo delete_namespace other
    add_link lessor type netkit peer name lessee numrxqueues 2
    devmemtcp queue lease eth1 5 --to lessee >/dev/null
    local index
    index=$(</sys/class/net/lessee/ifindex)
    expect_same 'lease' "{\"index\":$index,\"interface\":\"lessee\",\"queue\":1}" "$(lease_shown)"
    devmemtcp show eth1 >text
    expect_line text ' lease: queue 1 of lessee '
    ip link set lessor up
    ip link set lessee up
    devmemtcp show lessee >text
    expect_line text ' leased from: queue 5 of eth1 '
    expect_same 'what is leased to it' '{"interface":"eth1","queue":5}' \
        "$(devmemtcp show lessee --json | jq '.interfaces[0].queues[] | select(.type == "rx" and .id == 1).leased_from')"
    ip netns add other
    ip link set lessee netns other
    expect_same 'lease into another namespace' \
        "$(ip -j netns list-id | jq --argjson index "$index" \
            '.[] | select(.name == "other") | {index: $index, interface: "lessee", queue: 1, netns_id: .nsid}')" \
        "$(lease_shown)"
    ip netns delete other
    delete_link lessor
    await_shown '.queues[5] | has("lease") | not'
}

# A ring change replaces a page pool. Its pages stay in a socket until someone reads it.
test_show_detached_pool_and_who_does_not_read() {
    # Of the test's own shell.
    local own=$BASHPID
    allow_rules
    ethtool -N eth1 flow-type tcp4 src-port 5300 action 3 loc 0
    connect_from_near 5300 50000
    # All bytes have arrived once the FIN has: the state is CLOSE_WAIT.
    await grep -q ":14B4 08 00000000:0000C351 " /proc/net/tcp
    await_shown '.queues[3].pools[0].in_flight >= 13'
    ethtool -G eth1 rx 512
    await_shown '.detached_pools | length == 1'
    devmemtcp show eth1 --json | jq '.interfaces[0]' >deep
    expect_same 'the pool' "$(dump 5 | jq '[.[] | select(has("6")) |
            {id: .["1"], in_flight: .["4"], in_flight_bytes: .["5"], io_uring: false}]')" \
        "$(jq '[.detached_pools[].pool]' deep)"
    expect_equal 'how long' true "$(jq '.detached_pools[0].detached_seconds < 30' deep)"
    expect_same 'the holder' "[{\"pid\":$own,\"process\":\"$(</proc/$own/comm)\",\"reason\":\"unread\",
            \"unread_bytes\":50000,\"remote\":\"$far4:5300\"}]" \
        "$(jq "[.likely_holders[] | select(.pid == $own) | del(.local)]" deep)"
    devmemtcp show >text
    expect_line text 'eth1: 1 page pool that cannot be freed'
    devmemtcp show eth1 >text
    expect_line text "(pid $own): 50000 bytes unread, $near4:"
    cat <&"$connection" >got
    exec {connection}>&-
    cmp sent got
    await_shown '.detached_pools == [] and .likely_holders == []'
    ethtool -G eth1 rx 1024
    ethtool -N eth1 delete 0
}

# The same with device memory, while its session is stopped.
test_show_detached_device_memory() {
    start_serve --listen "$near4:5201" --validate 7 --json --memory 16M
    kill -STOP "$server"
    pattern 1000000 | send "$near4" 5201 &
    local sender=$!
    await_shown '[.queues[7].pools[] | select(.dmabuf_id) | .in_flight] | add > 20'
    ethtool -G eth1 rx 512
    await_shown '[.detached_pools[] | select(.pool.dmabuf_id)] | length == 1'
    devmemtcp show eth1 --json | jq '.interfaces[0]' >deep
    expect_equal 'its dma-buf' "$(jq '.queues[7].dmabuf_id' deep)" \
        "$(jq '.detached_pools[].pool.dmabuf_id // empty' deep)"
    # The session has not accepted the connection yet.
    expect_same 'the holder' "[{\"pid\":$server,\"process\":\"devmemtcp\",\"reason\":\"not-accepted\"}]" \
        "$(jq '[.likely_holders[] | {pid, process, reason}] | unique' deep)"
    kill -CONT "$server"
    wait "$sender"
    serve_ok
    expect_equal 'bytes wrong' 0 "$(report .validation.wrong_bytes)"
    await_shown '.detached_pools == []'
    ethtool -G eth1 rx 1024
}

# start_traffic: sends data to queue 3 until stop_traffic.
start_traffic() {
    allow_rules
    ethtool -N eth1 flow-type tcp4 dst-port 5300 action 3 loc 0
    socat -u TCP-LISTEN:5300,bind="$near4",reuseaddr OPEN:/dev/null &
    listener=$!
    # Without in_peer, so that $traffic is socat's pid and not a shell's.
    ip netns exec peer socat -u OPEN:/dev/zero "TCP:$near4:5300,retry=600,interval=0.1" 2>/dev/null &
    traffic=$!
    await_shown '.queues[3].counters["rx-bytes"] > 1000000'
}

stop_traffic() {
    kill "$traffic"
    wait "$traffic" "$listener" || true
    ethtool -N eth1 delete 0
}

test_show_watch_lines_until_interrupted() {
    start_traffic
    mkfifo watched
    # A background job of a script starts with SIGINT ignored.
    env --default-signal=INT devmemtcp show eth1 --watch --interval 0.5 >watched &
    local watcher=$! line status=0 times=0 last='' words
    local form='^[0-9]{4}-[0-9-]+T[0-9:.]+Z eth1 (rx|tx) [0-9]+ [0-9.]+ packets/s [0-9.]+ bytes/s'
    # The pipe stays open to the end, or SIGPIPE might end the command before SIGINT does.
    exec {reader}<watched
    while ((times < 4)) && IFS= read -r line <&"$reader"; do
        [[ $line =~ $form ]] || fail "not such a line: $line"
        printf '%s\n' "$line" >>lines
        [[ ${line%% *} == "$last" ]] || times=$((times + 1))
        last=${line%% *}
    done
    kill -INT "$watcher"
    wait "$watcher" || status=$?
    stop_traffic
    expect_equal 'exit status' 130 "$status"
    words=$(awk '$3 == "rx" && $4 == 3 && $7 > 100000 { n++ } END { print n }' lines)
    ((words >= 3)) || fail "no traffic of queue 3 in: $(cat lines)"
}

test_show_watch_json_has_rates() {
    start_traffic
    local drops=0
    nic_has drop-counters || drops=null
    devmemtcp show eth1 --watch --interval 1 --count 3 --json >lines
    shown '.queues[3].counters["rx-bytes"]' >after
    stop_traffic
    expect_equal 'objects' 3 "$(jq -s length lines)"
    expect_equal 'each a line' 3 "$(wc -l <lines)"
    expect_equal 'rates' true "$(jq -s --argjson drops "$drops" 'all(.version == 1 and .interface == "eth1" and .up and
        .seconds >= 0.9 and (.queues | length == 16) and .queues[3].bytes_per_second > 100000 and
        .queues[3].packets_per_second > 1 and .queues[3].drops_per_second == $drops)' lines)"
    # The rates add up to no more than the counter.
    expect_equal 'sum' true "$(jq -s --slurpfile after after \
        '(map(.seconds * .queues[3].bytes_per_second) | add) <= $after[0]' lines)"
}

test_show_watch_in_place_on_a_terminal() {
    socat -u SYSTEM:'devmemtcp show eth1 --watch --interval 0.2 --count 2',pty,rawer,stderr OPEN:screen,creat
    expect_equal 'screens' 3 "$(grep -o $'\e\\[Heth1 ' screen | wc -l)"
    grep -q $'^rx 7 .*\e\\[K' screen || fail "no queue in: $(cat -v screen)"
    expect_equal 'how it ends' $'\e[J' "$(tail -c 3 screen)"
}

test_show_watch_ends_when_the_interface_goes() {
    devmemtcp show eth1 --watch --interval 0.3 --json >out 2>messages &
    local watcher=$! status=0
    while_runs=$watcher await is_not_empty out
    move_away other
    wait "$watcher" || status=$?
    move_back other
    expect_equal 'exit status' 1 "$status"
    expect_equal 'message' 'devmemtcp: watch eth1: the interface is gone' "$(cat messages)"
}

test_show_wrong_use() {
    local arguments status
    for arguments in '--watch' 'eth1 --count 2' 'eth1 --watch --interval 0' \
        'eth1 --watch --interval nan' 'eth1 --watch --count 0' 'eth1 --all'; do
        read -ra words <<<"$arguments"
        status=0
        devmemtcp show "${words[@]}" >out 2>messages || status=$?
        expect_equal "status of $arguments" 64 "$status"
    done
}
