# shellcheck shell=bash
# Every pair of programs of which one is ours, over both address families, with sizes around a page: the receiver gets
# what was sent, and both programs succeed. Ours runs at the near end; if both are ours, each runs there in turn.
# SPDX-License-Identifier: Apache-2.0

readonly ncdevmem=/lab/peers/ncdevmem
readonly interop_sizes=(0 1 4095 4096 4097 1048576)
# Under emulation, clearing 64 MiB for each stream would take longer than everything else.
readonly interop_memory=8M

# at END COMMAND...: runs the command at the near or the far end.
at() {
    local end=$1
    shift
    if [[ $end == far ]]; then in_peer "$@"; else "$@"; fi
}

bracketed() { if [[ $1 == *:* ]]; then printf '[%s]' "$1"; else printf '%s' "$1"; fi; }

# start_receiver PROGRAM END ADDRESS: payload goes to ./out, messages go to ./messages.
start_receiver() {
    local program=$1 end=$2 address=$3 host family=4 ready='istening on'
    host=$(bracketed "$address")
    [[ $address != *:* ]] || family=6
    case $program in
    serve) launch at "$end" devmemtcp serve --listen "$host:5201" --memory "$interop_memory" --output - ;;
    socat) launch at "$end" socat -dd -u "TCP$family-LISTEN:5201,bind=$host,reuseaddr" - ;;
    nc) launch at "$end" nc -v -n -d -l "$address" 5201 ;;
    ncdevmem)
        ready='Waiting or connection on'
        launch at "$end" "$ncdevmem" -l -f eth1 -s "$address" -p 5201
        ;;
    esac
    await_message "$ready" || {
        wait "$server" || true
        fail "$program ended before it listened: $(cat messages)"
    }
    drain_messages
}

# run_sender PROGRAM END ADDRESS < DATA: prints what the receiver sends back.
run_sender() {
    local program=$1 end=$2 address=$3 host
    host=$(bracketed "$address")
    case $program in
    connect) at "$end" devmemtcp connect "$host:5201" --memory "$interop_memory" ;;
    socat) at "$end" socat -u - "TCP:$host:5201" ;;
    nc) at "$end" nc -n -N "$address" 5201 ;;
    ncdevmem) at "$end" "$ncdevmem" -f eth1 -s "$address" -p 5201 ;;
    esac
}

# make_payload SENDER BYTES: writes ./sent. ncdevmem sends one line at a time and waits until it is acknowledged, so it
# gets text, and long lines of much text.
make_payload() {
    local sender=$1 bytes=$2 width=1000
    if [[ $sender == ncdevmem ]]; then
        ((bytes <= 65536)) || width=65535
        { base64 -w "$width" /dev/urandom 2>/dev/null || true; } | head -c "$bytes" >sent
    else
        head -c "$bytes" /dev/urandom >sent
    fi
}

# transfer SENDER RECEIVER END ADDRESS: sends ./sent to the receiver, which runs at that end and address.
transfer() {
    local sender=$1 receiver=$2 end=$3 address=$4 from=near sent_status=0
    echo "$sender -> $receiver at $address, $(stat -c %s sent) bytes"
    [[ $end == far ]] || from=far
    start_receiver "$receiver" "$end" "$address"
    run_sender "$sender" "$from" "$address" <sent >answer 2>sender-messages || sent_status=$?
    ((sent_status == 0)) || fail "$sender ended with $sent_status: $(tail -n 5 sender-messages)"
    end_serve
    ((status == 0)) || fail "$receiver ended with $status: $(tail -n 5 messages)"
    expect_equal 'SHA-256' "$(sha256sum <sent)" "$(sha256sum <out)"
    expect_equal 'bytes that came back' 0 "$(stat -c %s answer)"
}

# all_sizes SENDER RECEIVER END: transfers every size over both address families.
all_sizes() {
    local sender=$1 receiver=$2 end=$3 addresses=("$near4" "$near6") address size
    [[ $end == near ]] || addresses=("$far4" "$far6")
    for address in "${addresses[@]}"; do
        for size in "${interop_sizes[@]}"; do
            make_payload "$sender" "$size"
            transfer "$sender" "$receiver" "$end" "$address"
        done
    done
}

# far_settings: prints the settings of the far NIC, which the runner does not compare.
far_settings() { in_peer bash -c "$(declare -f nic_settings); nic_settings eth1"; }

test_interop_connect_to_serve_there() { all_sizes connect serve far; }

test_interop_connect_to_serve_here() { all_sizes connect serve near; }

test_interop_connect_to_socat() { all_sizes connect socat far; }

test_interop_connect_to_nc() { all_sizes connect nc far; }

test_interop_connect_to_ncdevmem() {
    allow_ncdevmem in_peer
    local before
    before=$(far_settings)
    all_sizes connect ncdevmem far
    expect_equal 'settings of the far end' "$before" "$(far_settings)"
}

test_interop_socat_to_serve() { all_sizes socat serve near; }

test_interop_nc_to_serve() { all_sizes nc serve near; }

test_interop_ncdevmem_to_serve() {
    allow_ncdevmem in_peer
    all_sizes ncdevmem serve near
}

# The kernel's ncdevmem works here as on a real NIC, with the command line of the kernel's devmem.py.
test_interop_ncdevmem_by_itself() {
    allow_ncdevmem
    local address
    for address in "$near4" "$near6"; do
        launch "$ncdevmem" -l -f eth1 -s "$address" -p 5201 -v 7
        await_message 'Waiting or connection on' || fail "it ended: $(cat messages)"
        drain_messages
        pattern 100000 | send "$address" 5201
        end_serve
        ((status == 0)) || fail "ncdevmem ended with $status: $(tail -n 5 messages)"
        expect_line messages 'total_received=100000'
        expect_line out 'Validated buffer'
    done
}

test_interop_link_local_addresses() {
    local near=fe80::a far=fe80::b
    undo ip address del "$near/64" dev eth1
    ip address add "$near/64" dev eth1 nodad
    undo in_peer ip address del "$far/64" dev eth1
    in_peer ip address add "$far/64" dev eth1 nodad
    make_payload connect 1048576
    transfer connect serve far "$far%eth1"
    transfer connect serve near "$near%eth1"
    transfer connect socat far "$far%eth1"
    transfer socat serve near "$near%eth1"
}

test_interop_host_names() {
    keep /etc/hosts
    printf '%s %s\n' "$near4" near.test "$far4" far.test "$near6" near6.test "$far6" far6.test >>/etc/hosts
    make_payload connect 70000
    transfer connect serve far far.test
    transfer connect serve near near6.test
    transfer connect socat far far.test
    transfer socat serve near near.test
}

# fault_knobs END: packets are lost, late, not split, and partly split, all at once.
fault_knobs() {
    local knob
    for knob in drop_nth:100 reorder_nth:50 unsplit_nth:7 partial_split_nth:5; do
        echo "${knob#*:}" >"$knobs/$1/${knob%:*}"
    done
}

# expect_faults: the last receiver must have got payload in all three ways.
expect_faults() {
    grep -Eq '^device memory +[1-9]' messages || fail "nothing came in device memory: $(cat messages)"
    grep -Eq '^elsewhere +[1-9][0-9]* bytes linear, [1-9][0-9]* ordinary' messages ||
        fail "the faults did not show: $(cat messages)"
}

test_interop_with_faults_of_the_nic() {
    needs_knobs drop_nth reorder_nth unsplit_nth partial_split_nth
    make_payload connect 8388608
    fault_knobs w0a
    transfer connect serve near "$near4"
    expect_faults
    fault_knobs w0b
    transfer connect serve far "$far6"
    expect_faults
}
