# shellcheck shell=bash
# doctor reports what is broken and nothing else, and its fixes work.
# SPDX-License-Identifier: Apache-2.0

# findings: prints the checks of eth1 that failed or warn, as "id verdict", joined by commas.
findings() {
    devmemtcp doctor eth1 --json >report || true
    jq -r '[.checks[] | select(.verdict == "failed" or .verdict == "warning") |
        "\(.id) \(.verdict)"] | join(",")' report
}

# make_ready: doctor warns if there are no huge pages, as in the lab, or if flow rules are disabled, as after the start
# of some drivers.
make_ready() {
    reserve_huge_pages 8
    allow_rules
}

# expect_broken CHECK VERDICT: exactly one check is not ok, and it suggests a fix.
expect_broken() {
    expect_equal 'what is broken' "$1 $2" "$(findings)"
    fix=$(jq -r --arg id "$1" '.checks[] | select(.id == $id) | .fix // empty' report)
    [[ -n $fix ]] || fail "no fix for $1: $(jq -c --arg id "$1" '.checks[] | select(.id == $id)' report)"
    devmemtcp doctor eth1 >shown && status=0 || status=$?
    expect_line shown "fix: $fix"
    if [[ $2 == failed ]]; then
        expect_equal 'exit status' 1 "$status"
        expect_line shown 'not ready: 1 check failed'
    else
        expect_equal 'exit status' 0 "$status"
        expect_equal 'last line' ready "$(tail -n 1 shown)"
    fi
}

# expect_fix_works: once the fix has run in a shell, nothing may be broken.
expect_fix_works() {
    bash -euc "$fix" >fixed 2>&1 || fail "'$fix' ended with $?: $(cat fixed)"
    expect_equal "what is broken after '$fix'" '' "$(findings)"
}

test_doctor_finds_the_lab_ready() {
    make_ready
    devmemtcp doctor eth1 >out
    expect_equal 'last line' ready "$(tail -n 1 out)"
    ! grep -Eq '^  (failed|unknown)' out || fail "$(cat out)"
    # kernel_lacks_are_told checks what an older kernel is warned of.
    [[ -n $(kernel_lacks) ]] || ! grep -q '^  warning' out || fail "$(cat out)"
    expect_line out "$(driver_name): receives into device memory"
    # It finds the NIC without its name.
    devmemtcp doctor --json >report
    expect_equal 'interfaces' eth1 "$(jq -r '[.interfaces[].interface] | join(",")' report)"
    local device
    device=$(readlink -f /sys/class/net/eth1/device)
    expect_equal 'bus' "$(basename "$(readlink "$device/subsystem")") ${device##*/} $lab_mtu true" \
        "$(jq -r '.interfaces[0] | "\(.bus) \(.address) \(.mtu) \(.carrier)"' report)"
    expect_equal 'verdict' 'true 0' "$(jq -r '"\(.ready) \(.failed)"' report)"
    ip netns exec peer devmemtcp doctor --json | jq -e '.interfaces | length == 1' >out
}

test_doctor_of_an_interface_without_a_driver() {
    expect_refusal 'find interface eth9: No such device' devmemtcp doctor eth9
    ! devmemtcp doctor lo >out || fail 'lo is ready'
    expect_line out 'the loopback interface, with no NIC below it'
}

test_doctor_no_huge_pages() {
    keep /proc/sys/vm/nr_hugepages
    allow_rules
    expect_broken huge-pages warning
    expect_fix_works
}

test_doctor_no_udmabuf() {
    make_ready
    hide "$udmabuf"
    expect_broken udmabuf-device warning
    hide "$heap"
    expect_broken udmabuf-device failed
    expect_fix_works
}

# doctor runs without the capabilities that override file modes.
test_doctor_udmabuf_of_mode_000() {
    make_ready
    undo chmod 600 "$udmabuf" "$heap"
    chmod 000 "$udmabuf" "$heap"
    local limited=(setpriv '--bounding-set=-dac_override,-dac_read_search' devmemtcp doctor eth1 --json)
    ! "${limited[@]}" >report || fail 'it is ready'
    expect_equal 'what is broken' udmabuf-device "$(jq -r '.checks[] | select(.verdict == "failed").id' report)"
    fix=$(jq -r '.checks[] | select(.id == "udmabuf-device").fix' report)
    bash -c "$fix"
    "${limited[@]}" >report
}

test_doctor_small_dmabufs() {
    local parameter=/sys/module/udmabuf/parameters/size_limit_mb
    keep "$parameter"
    make_ready
    echo 8 >"$parameter"
    expect_broken udmabuf-size-limit warning
    hide "$heap"
    expect_broken udmabuf-size-limit failed
    expect_fix_works
}

test_doctor_small_udmabuf_list() {
    local parameter=/sys/module/udmabuf/parameters/list_limit
    keep "$parameter"
    make_ready
    echo 1 >"$parameter"
    expect_broken udmabuf-list-limit warning
    expect_fix_works
}

test_doctor_interface_down() {
    make_ready
    take_down
    expect_broken interface-up failed
    bash -c "$fix"
    ip address add "$near6/64" dev eth1 nodad
    # The carrier comes a moment later.
    await nothing_is_broken
}

# A container chooses the names of its interfaces, and an administrator runs what doctor proposes.
test_doctor_quotes_an_odd_name() {
    local name='$(>ran)' fix
    take_down
    undo ip link set "$name" name eth1
    ip link set eth1 name "$name"
    devmemtcp doctor "$name" --json >report || true
    jq -r '.checks[].fix // empty' report | grep -F "$name" >fixes
    expect_equal 'fixes that do not quote it' '' "$(grep -vF "'$name'" fixes || true)"
    fix=$(jq -r '.checks[] | select(.id == "interface-up") | .fix' report)
    bash -euc "$fix"
    expect_equal "flags after '$fix'" UP "$(ip -j link show dev "$name" | jq -r '.[0].flags[] | select(. == "UP")')"
    [[ ! -e ran ]] || fail "'$fix' ran a command"
}

nothing_is_broken() { [[ -z $(findings) ]]; }

test_doctor_one_channel() {
    make_ready
    set_channels 1
    expect_broken channels failed
    expect_fix_works
    set_channels "$lab_queues"
}

test_doctor_ntuple_off() {
    needs needed-ntuple
    make_ready
    ethtool -K eth1 ntuple off
    expect_broken ntuple warning
    expect_fix_works
}

test_doctor_rule_table_full() {
    needs few-rules
    local place
    make_ready
    for ((place = 0; place < 64; place++)); do
        ethtool -N eth1 flow-type tcp4 dst-port $((place + 1)) action 0 loc "$place"
    done
    # doctor does not choose whose rule to delete.
    expect_equal 'what is broken' 'rule-places failed' "$(findings)"
    expect_equal 'fix' null "$(jq '.checks[] | select(.id == "rule-places") | .fix' report)"
    devmemtcp doctor eth1 >shown || true
    expect_line shown 'all 64 locations are in use; delete rules that are not needed'
    delete_flow_rules
}

# fewer_queues: leaves 4 queues, so that doctor can suggest one more.
fewer_queues() {
    [[ $lab_nic != gve ]] || skip 'gve has separate receive and transmit channels'
    undo ethtool -L eth1 combined "$lab_queues"
    ethtool -L eth1 combined 4
}

test_doctor_context_over_all_queues() {
    needs contexts
    make_ready
    fewer_queues
    ethtool -X eth1 start 1 equal 3 context new >out
    ethtool -N eth1 flow-type tcp4 dst-port 80 context 1 loc 5 >out
    expect_broken free-queues failed
    expect_fix_works
    ethtool -N eth1 delete 5
    ethtool -X eth1 context 1 delete
}

test_doctor_rules_to_all_queues() {
    local queue
    make_ready
    fewer_queues
    for queue in 1 2 3; do
        ethtool -N eth1 flow-type tcp4 dst-port 80 src-port "$queue" action "$queue" loc "$queue"
    done
    expect_broken free-queues failed
    expect_fix_works
    delete_flow_rules
}

test_doctor_xdp_program() {
    make_ready
    # The kernel disables hardware GRO for such a program, and does not enable it again.
    keep_gro
    coproc hold { exec /lab/programs/xdp-hold eth1; }
    local pid=$hold_PID line
    read -r line <&"${hold[0]}"
    expect_equal 'it says' attached "$line"
    expect_broken xdp failed
    expect_equal 'fix' "kill $pid" "$fix"
    bash -c "$fix"
    wait "$pid" || true
    expect_equal 'what is broken' '' "$(findings)"
}

test_doctor_leftovers_of_a_killed_process() {
    local status=0
    make_ready
    /lab/programs/signal-at-call fsync 9 7 \
        devmemtcp steer apply eth1 --queues 6-7 --flow :5201 >out 2>messages || status=$?
    expect_equal 'exit status' 137 "$status"
    expect_broken steering warning
    expect_equal 'fix' 'devmemtcp steer restore eth1' "$fix"
    expect_fix_works
}

test_doctor_damaged_journal() {
    make_ready
    devmemtcp steer apply eth1 --queues 7 >out
    # doctor does not complain about applied steering.
    expect_equal 'what is broken' '' "$(findings)"
    local journal
    journal=$(ls /run/devmemtcp/*.journal)
    cp "$journal" whole
    head -c 300 whole >"$journal"
    expect_broken steering failed
    expect_fix_works
    cp whole "$journal"
    devmemtcp steer restore eth1 >out
}

test_doctor_nic_in_use() {
    make_ready
    start_serve --listen "$near4:5201" --discard --queues 7
    expect_broken steering warning
    expect_equal 'fix' "kill $server" "$fix"
    jq -e '.checks[] | select(.id == "free-queues") |
        .evidence | contains("queue 7 is bound to dma-buf id")' report >out
    bash -c "$fix"
    end_serve
    expect_equal 'exit status' 143 "$status"
    expect_equal 'what is broken' '' "$(findings)"
}

test_doctor_all_queues_held() {
    make_ready
    start_serve --listen "$near4:5201" --discard --queues 1-7
    expect_equal 'what is broken' 'steering warning,free-queues failed' "$(findings)"
    fix=$(jq -r '.checks[] | select(.id == "free-queues").fix' report)
    bash -c "$fix"
    end_serve
    expect_equal 'what is broken' '' "$(findings)"
}

# small_sysctl NAME VALUE CHECK: a limit of buffers is too small.
small_sysctl() {
    keep "/proc/sys/${1//.//}"
    sysctl -q -w "$1=$2"
    expect_broken "$3" warning
    expect_fix_works
}

test_doctor_small_buffers() {
    make_ready
    small_sysctl net.ipv4.tcp_rmem '4096 131072 6291456' tcp-rmem
    small_sysctl net.ipv4.tcp_wmem '4096 16384 4194304' tcp-wmem
    small_sysctl net.core.rmem_max 212992 rmem-max
    small_sysctl net.core.wmem_max 212992 wmem-max
    small_sysctl net.core.optmem_max 20480 optmem-max
}

test_doctor_few_open_files() {
    make_ready
    (
        ulimit -S -n 256
        expect_broken open-files warning
        # The limit belongs to the shell that sets it.
        eval "$fix"
        expect_equal 'what is broken' '' "$(findings)"
    )
}

# The lab has no sudo; a function stands in for it.
test_doctor_without_privilege() {
    local status=0
    make_ready
    setpriv --bounding-set=-net_admin devmemtcp doctor eth1 --json >report || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_equal 'what failed' cap-net-admin "$(jq -r '.checks[] | select(.verdict == "failed").id' report)"
    expect_equal 'fix' 'sudo devmemtcp doctor' "$(jq -r '.checks[] | select(.id == "cap-net-admin").fix' report)"
    sudo() { "$@"; }
    eval "$(jq -r '.checks[] | select(.id == "cap-net-admin").fix' report)" >out
    expect_equal 'last line' ready "$(tail -n 1 out)"
    # Without root, doctor also reports what else needs root, and no failed read ends it.
    status=0
    setpriv --reuid 1000 --clear-groups devmemtcp doctor eth1 --json >report || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_equal 'what failed' 'cap-net-admin,journal-folder,udmabuf-device' \
        "$(jq -r '[.checks[] | select(.verdict == "failed").id] | join(",")' report)"
}

test_doctor_probe_binds_and_restores() {
    devmemtcp doctor eth1 --probe --yes --json >report
    expect_equal 'probes' 'probe-bind-rx ok,probe-restore ok,probe-bind-tx ok' \
        "$(jq -r '[.checks[] | select(.group == "probe") | "\(.id) \(.verdict)"] | join(",")' report)"
    devmemtcp doctor eth1 --probe --yes >out
    expect_line out 'queue 7 was bound, with binding id'
    expect_equal 'last line' ready "$(tail -n 1 out)"
    [[ -z $(ls /run/devmemtcp/*.journal 2>/dev/null) ]] || fail 'it left a journal'
}

# doctor reports the kernel's error and explains it.
test_doctor_probe_reports_the_kernels_error() {
    needs_knobs fail_queue_alloc refuse_hds
    local status=0
    set_knob fail_queue_alloc 1
    devmemtcp doctor eth1 --probe --yes >out || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_line out 'Binding a queue: bind-rx on eth1 queues 7: Cannot allocate memory'
    expect_line out 'has no memory for the queue or the binding'
    expect_line out 'every setting is restored'
    set_knob fail_queue_alloc 0
    set_knob refuse_hds 1
    status=0
    devmemtcp doctor eth1 --probe --yes >out || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_line out 'Steering a queue: set tcp-data-split on'
    expect_line out 'the driver does not let header split be turned on'
    expect_line out 'not ready: 1 check failed'
}

test_doctor_probe_asks_first() {
    local status=0
    devmemtcp doctor eth1 --probe >out 2>messages </dev/null || status=$?
    expect_equal 'exit status' 64 "$status"
    expect_line messages '--probe needs --yes if standard input is not a terminal'
    status=0
    devmemtcp doctor --probe --yes >out 2>messages || status=$?
    expect_equal 'exit status' 64 "$status"
    # The guest has no script(1); socat provides the terminal. The answer is no, then yes.
    local answer asked hand
    mkfifo answers
    for answer in n y; do
        socat - "EXEC:devmemtcp doctor eth1 --probe,pty,stderr,setsid,ctty" <answers >"said.$answer" &
        asked=$!
        exec {hand}>answers
        await_text "said.$answer" "bind a queue of eth1 for a moment? Its traffic moves to other queues"
        echo "$answer" >&"$hand"
        wait "$asked"
        exec {hand}>&-
    done
    ! grep -q 'was bound' said.n || fail 'it bound after a no'
    expect_line said.y 'queue 7 was bound'
}
