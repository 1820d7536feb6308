# shellcheck shell=bash
# bind holds a dma-buf for other programs; queue restart restarts one queue and disturbs no other.
# SPDX-License-Identifier: Apache-2.0

# settings_now: prints all settings that steering may change, without what a binding changes.
settings_now() { devmemtcp steer show eth1 --json | jq -S '.interfaces[0].settings'; }

# start_bind ARGUMENTS...: runs devmemtcp bind in the background, in "${place[@]}", and returns once it holds the memory.
# $holds is its report.
start_bind() {
    rm -f held
    mkfifo held
    (
        trap - INT QUIT
        exec "${place[@]}" devmemtcp bind "$@"
    ) >held 2>messages &
    server=$!
    IFS= read -r holds <held || fail "it ended: $(cat messages)"
}

end_bind() {
    status=0
    wait "$server" || status=$?
}

test_bind_holds_until_a_signal() {
    local before signal send=()
    ! nic_has sending || send=(--tx)
    before=$(settings_now)
    for signal in TERM:143 INT:130 HUP:129; do
        start_bind eth1 --rx 6-7 "${send[@]}" --flow :5201 --json
        expect_equal 'queues' '6,7' "$(jq -r '.queues | join(",")' <<<"$holds")"
        expect_equal 'holders' 2 "$(settings_now | jq --argjson id "$(jq .rx_id <<<"$holds")" \
            '[.queues[] | select(.holder == "bound to dma-buf id \($id)")] | length')"
        expect_equal 'rules' 2 "$(settings_now | jq '.rules | length')"
        ! nic_has sending || ((10#$(jq .tx_id <<<"$holds") > 0)) || fail "no id for sending: $holds"
        kill "-${signal%:*}" "$server"
        end_bind
        expect_equal 'exit status' "${signal#*:}" "$status"
        expect_equal 'settings' "$before" "$(settings_now)"
    done
}

test_bind_for_sending_changes_no_setting() {
    local before
    before=$(settings_now)
    start_bind eth1 --tx --memory 1M
    [[ $holds == 'eth1: dma-buf of 1048576 bytes, tx id '* ]] || fail "$holds"
    expect_equal 'settings' "$before" "$(settings_now)"
    kill "$server"
    end_bind
    expect_equal 'exit status' 143 "$status"
}

test_bind_without_steering() {
    local before
    expect_refusal 'tcp-data-split is disabled' devmemtcp bind eth1 --rx 7 --no-steering
    devmemtcp steer apply eth1 --queues 7 >out
    before=$(settings_now)
    start_bind eth1 --rx 7 --no-steering
    kill "$server"
    end_bind
    expect_equal 'settings' "$before" "$(settings_now)"
    devmemtcp steer restore eth1 >out
}

test_bind_of_large_pages() {
    needs page-size
    expect_refusal 'sysctl vm.nr_hugepages=2' devmemtcp bind eth1 --rx 7 --memory 4M --page-size 64K
    reserve_huge_pages 2
    start_bind eth1 --rx 7 --memory 4M --page-size 64K --json
    expect_equal 'page size' 65536 "$(jq .page_size <<<"$holds")"
    kill "$server"
    end_bind
    expect_refusal 'rx-page-size' devmemtcp bind eth1 --rx 7 --memory 4M --page-size 48K
}

# The message for a queue that another process has bound names its holder.
test_bind_of_a_bound_queue_is_refused() {
    start_bind eth1 --rx 7 --json
    expect_refusal "queue 7 is bound to dma-buf id $(jq .rx_id <<<"$holds")" \
        devmemtcp bind eth1 --rx 7 --no-steering
    expect_refusal "it is in use by devmemtcp, pid $server" devmemtcp bind eth1 --rx 6
    kill "$server"
    end_bind
}

# A program without privilege receives through the binding that it is given.
test_bind_command_receives_as_another_user() {
    local before
    before=$(settings_now)
    head -c 3000000 /dev/urandom >sent
    launch devmemtcp bind eth1 --rx 6-7 --flow "$near4:5201" --user nobody -- \
        /lab/programs/devmem-receive "$near4" 5201
    await_message listening || fail "it ended: $(cat messages)"
    drain_messages
    expect_line messages 'user 65534, queues 6,7'
    send "$near4" 5201 <sent
    serve_ok
    cmp sent out
    expect_line messages '3000000 bytes in device memory'
    expect_equal 'settings' "$before" "$(settings_now)"
}

# The command gets descriptor 3, its environment, and the caller's standard streams.
test_bind_gives_the_command_what_it_needs() {
    local status=0
    devmemtcp bind eth1 --rx 6-7 --tx --memory 1M -- bash -c '
        echo "$DEVMEMTCP_INTERFACE $DEVMEMTCP_QUEUES $DEVMEMTCP_SIZE $DEVMEMTCP_DMABUF_FD"
        readlink /proc/self/fd/3
        ((DEVMEMTCP_RX_ID > 0 && DEVMEMTCP_TX_ID > 0)) || exit 9
        ls /proc/self/fd | sort -n | tail -n 1
        cat
        exit 7' >out 2>messages <<<"to the command" || status=$?
    expect_equal 'exit status' 7 "$status"
    expect_equal 'first line' 'eth1 6,7 1048576 3' "$(sed -n 1p out)"
    expect_equal 'descriptor 3' '/dmabuf:' "$(sed -n 2p out)"
    expect_equal 'its input' 'to the command' "$(sed -n 4p out)"
    # The directory that ls reads is one more; bind leaks no descriptor.
    ((10#$(sed -n 3p out) <= 4)) || fail "descriptors leak: $(cat out)"
}

test_bind_command_that_fails() {
    local before status
    before=$(settings_now)
    status=0
    devmemtcp bind eth1 --rx 7 -q -- bash -c 'kill -SEGV $$' || status=$?
    expect_equal 'status of a crash' 139 "$status"
    expect_equal 'settings' "$before" "$(settings_now)"
    status=0
    devmemtcp bind eth1 --rx 7 -q -- no-such-command 2>messages || status=$?
    expect_equal 'status of none' 127 "$status"
    expect_line messages 'run no-such-command: No such file or directory'
    status=0
    devmemtcp bind eth1 --rx 7 -q --user nobody -- no-such-command 2>messages || status=$?
    expect_equal 'status of none as a user' 127 "$status"
    expect_line messages 'run no-such-command: No such file or directory'
    expect_equal 'settings' "$before" "$(settings_now)"
    expect_refusal 'look up user nosuchuser: no such user' \
        devmemtcp bind eth1 --rx 7 --user nosuchuser -- true
}

# The command is killed; bind gets a signal and passes it on; bind is killed.
test_bind_command_and_signals() {
    local before
    before=$(settings_now)
    start_command_under_bind
    kill -KILL "$child"
    end_bind
    expect_equal 'status of a killed command' 137 "$status"
    expect_equal 'settings' "$before" "$(settings_now)"

    start_command_under_bind
    kill -TERM "$server"
    end_bind
    expect_equal 'status after SIGTERM' 143 "$status"
    ! kill -0 "$child" 2>/dev/null || fail 'the command lives on'
    expect_equal 'settings' "$before" "$(settings_now)"

    start_command_under_bind
    kill -KILL "$server"
    end_bind
    kill "$child"
    devmemtcp steer restore eth1 >out
    expect_equal 'settings' "$before" "$(settings_now)"
}

# A stopped command would keep the signal pending, and bind waiting.
test_bind_ends_a_stopped_command() {
    local before
    before=$(settings_now)
    start_command_under_bind
    kill -STOP "$child"
    kill -TERM "$server"
    timeout 120 tail --pid="$server" -f /dev/null || fail 'bind waits for the stopped command'
    end_bind
    expect_equal 'exit status' 143 "$status"
    expect_equal 'settings' "$before" "$(settings_now)"
}

# start_command_under_bind: sets $child to the command's pid.
start_command_under_bind() {
    rm -f started
    mkfifo started
    devmemtcp bind eth1 --rx 7 -q -- bash -c 'echo $$ >started; exec tail -f /dev/null' &
    server=$!
    read -r child <started
}

test_bind_notifies_a_service_manager() {
    socat -u UNIX-RECV:notify,unlink-early=1 CREATE:told &
    local listener=$!
    await test -S notify
    NOTIFY_SOCKET=$PWD/notify start_bind eth1 --rx 7
    kill "$server"
    end_bind
    kill "$listener"
    wait "$listener" || true
    expect_line told 'READY=1'
    expect_line told 'STATUS=eth1: dma-buf of 67108864 bytes, rx id'
    expect_line told 'STOPPING=1'
}

test_bind_wrong_usage() {
    local arguments status
    for arguments in 'eth1' 'eth1 --tx --page-size 8K' 'eth1 --rx 7 --no-steering --flow :1' \
        'eth1 --rx 7 --user nobody' '--rx 7'; do
        status=0
        read -ra words <<<"$arguments"
        devmemtcp bind "${words[@]}" 2>messages || status=$?
        expect_equal "status of $arguments" 64 "$status"
    done
}

# While queue 0 receives, queue 3 is restarted ten times for each 100 MiB. With $full set these are 1 GiB and
# 100 restarts, which take minutes where the guest is emulated.
test_restart_of_one_queue_disturbs_no_other() {
    local rounds=2 bytes=33554432 round before same=true pools=() dropped drops sender receiver part
    [[ -z ${full:-} ]] || rounds=10 bytes=107374182
    nic_has lasting-napi || same=false
    allow_rules
    before=$(settings_now)
    ethtool -N eth1 flow-type tcp4 dst-port 5201 action 0 >out
    drops=$(drops_of 0)
    socat -u TCP-LISTEN:5201,reuseaddr,bind="$near4" - 2>/dev/null | sha256sum >received &
    receiver=$!
    mkfifo feed
    in_peer socat -u OPEN:feed "TCP:$near4:5201,retry=1200,interval=0.05" &
    sender=$!
    exec {feed}>feed
    for ((round = 0; round < rounds; round++)); do
        head -c $bytes /dev/zero >&"$feed" &
        part=$!
        devmemtcp queue restart eth1 3 3 3 3 3 3 3 3 3 3 --json >out
        mapfile -t -O "${#pools[@]}" pools < <(jq -r '.queues[] |
            "\(.page_pool_before)-\(.page_pool_after) \(.napi_before == .napi_after)"' out)
        wait "$part"
    done
    exec {feed}>&-
    wait "$sender"
    wait "$receiver"
    expect_equal 'checksum' "$(head -c $((rounds * bytes)) /dev/zero | sha256sum)" \
        "$(cat received)"
    dropped=$(($(drops_of 0) - drops))
    expect_equal 'packets dropped on queue 0' 0 "$dropped"
    for round in "${pools[@]}"; do
        [[ $round =~ ^([0-9]+)-([0-9]+)\ $same$ && ${BASH_REMATCH[1]} != "${BASH_REMATCH[2]}" ]] ||
            fail "pools and NAPI: $round"
    done
    expect_equal 'restarts to different pools' $((rounds * 10)) "$(printf '%s\n' "${pools[@]}" | sort -u | wc -l)"
    ethtool -N eth1 delete "$(settings_now | jq '.rules[0].location')"
    expect_equal 'settings' "$before" "$(settings_now)"
    echo "${#pools[@]} restarts during $((rounds * bytes)) bytes, $dropped packets dropped on queue 0"
}

# drops_of QUEUE: prints what the kernel counts over netlink; the driver's own statistics do not have it.
drops_of() {
    devmemtcp show eth1 --json | jq "[.interfaces[0].queues[] | select(.type == \"rx\" and .id == $1)
        | .counters.\"rx-hw-drops\" // 0] | add"
}

test_restart_is_refused_while_the_queue_is_in_use() {
    local first=0
    nic_has queue-0 || first=1
    allow_rules
    ethtool -N eth1 flow-type tcp4 dst-port 22 action 3 loc 0
    expect_refusal 'flow rule 0 leads to it: flow-type tcp4 dst-port 22 action 3' \
        devmemtcp queue restart eth1 3
    devmemtcp queue restart eth1 3 --force >out
    expect_line out 'queue 3: page pool'
    ethtool -N eth1 delete 0
    if nic_has contexts; then
        ethtool -X eth1 start 2 equal 2 context new >out
        expect_refusal 'RSS context 1 leads to queue 3' devmemtcp queue restart eth1 3
        devmemtcp queue restart eth1 3 --force >out
        ethtool -X eth1 context 1 delete
    fi
    expect_refusal 'no receive queue 9' devmemtcp queue restart eth1 9
    if nic_has sending; then
        start_bind eth1 --tx
        devmemtcp queue restart eth1 "$first" 2 >out
        kill "$server"
        end_bind
    fi
    start_bind eth1 --rx 3
    expect_refusal 'it is in use by devmemtcp' devmemtcp queue restart eth1 3
    kill "$server"
    end_bind
}

test_restart_that_the_driver_refuses() {
    refuse queue 1
    expect_refusal 'bind-rx on eth1 queues 3' devmemtcp queue restart eth1 3
    [[ $lab_nic == labnic ]] || return 0
    set_knob refuse_hds 1
    expect_refusal 'header split' devmemtcp queue restart eth1 3
}
