# shellcheck shell=bash
# Privileges are dropped once all is set up, root is not needed, and nobody decides which file root writes.
# SPDX-License-Identifier: Apache-2.0

# privileges PID: prints for each thread its capabilities, whether it may gain any, and whether its calls are filtered.
privileges() {
    awk '
        /^Pid:/ { main = $2 == '"$1"' ? "main" : "thread" }
        /^Cap(Inh|Prm|Eff|Amb):/ { sub(/^0+/, "", $2); sets = sets " " ($2 == "" ? 0 : $2) }
        /^NoNewPrivs:/ { new = $2 }
        /^Seccomp:/ { print main sets, new, $2; sets = "" }' /proc/"$1"/task/*/status | sort -u
}

has_privileges() { [[ $(privileges "$1") == "$2" ]]; }

# The capabilities that undoing takes: CAP_NET_ADMIN (12) and CAP_DAC_OVERRIDE (1).
readonly undoing='main 0 1002 1002 0 1 2'

# begin_stream PORT: opens a connection from the far end that stays open while ./input does.
begin_stream() {
    rm -f input
    mkfifo input
    # It reads the answer too: closing a connection with unread data resets it.
    in_peer socat -t 20 - "TCP:$near4:$1" <input >/dev/null &
    peer=$!
    exec {stream}>input
    pattern 7000 >&"$stream"
}

end_stream() {
    exec {stream}>&-
    wait "$peer"
}

test_payload_is_received_without_capabilities() {
    local serve_engine stream peer way powerless
    for serve_engine in socket io_uring; do
        powerless='thread 0 0 0 0 1 2'
        for way in '--output got' '--output got-%n --keep-open' '--discard --duplex echo'; do
            [[ $serve_engine$way != io_uring*echo ]] || continue
            # shellcheck disable=SC2086 # options
            start_serve --listen "$near4:5201" $way
            begin_stream 5201
            while_runs=$server await has_privileges "$server" "$undoing"$'\n'"$powerless"
            end_stream
            [[ $way != *keep-open ]] || kill -TERM "$server"
            end_serve
            ((status == 0 || status == 143)) || fail "$way ended with $status: $(cat messages)"
        done
        # With several queues a connection may move to another, for which io_uring asks again.
        start_serve --listen "$near4:5201" --discard --queues 6-7
        begin_stream 5201
        [[ $serve_engine != io_uring ]] || powerless='thread 0 1000 0 0 1 2'
        while_runs=$server await has_privileges "$server" "$undoing"$'\n'"$powerless"
        end_stream
        end_serve
        ((status == 0)) || fail "it ended with $status: $(cat messages)"
        expect_equal 'bytes of the first way' 7000 "$(stat -c %s got)"
        expect_equal 'bytes of the second way' 7000 "$(stat -c %s got-1)"
    done
}

test_payload_is_sent_without_capabilities() {
    local stream
    mkfifo input
    in_peer socat -u TCP-LISTEN:5301,reuseaddr /dev/null &
    await_port 5301 in_peer
    devmemtcp connect "$far4:5301" --input input 2>messages &
    server=$!
    exec {stream}>input
    pattern 7000 >&"$stream"
    await has_privileges "$server" 'main 0 0 0 0 1 2'
    exec {stream}>&-
    wait "$server" || fail "it ended with $?: $(cat messages)"
}

test_memory_is_held_with_the_capabilities_of_undoing() {
    local holder
    mkfifo held
    devmemtcp bind eth1 --rx 7 >held 2>messages &
    holder=$!
    read -r _ <held
    await has_privileges "$holder" "$undoing"
    kill -TERM "$holder"
    wait "$holder" || true
    # A command keeps what its user gave it.
    devmemtcp bind eth1 --rx 7 --quiet -- grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status >sets 2>messages
    grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status >own
    cmp sets own
}

# What another command needs to run as the user of a service: CAP_NET_ADMIN, memory, and a folder for journals.
as_service() {
    undo rm -rf /run/devmemtcp
    rm -rf /run/devmemtcp
    install -d -o 65534 -g 65534 -m 755 /run/devmemtcp
    keep_mode /dev/udmabuf
    chmod 666 /dev/udmabuf
    chmod 777 .
}

keep_mode() { undo chmod "$(stat -c %a "$1")" "$1"; }

test_root_is_not_needed_with_an_ambient_capability() {
    as_service
    start_command setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+net_admin --ambient-caps=+net_admin \
        devmemtcp serve --listen "$near4:5201" --output got --json
    pattern 300000 >sent
    send "$near4" 5201 <sent
    serve_ok
    cmp sent got
    expect_equal owner 65534 "$(stat -c %u got)"
    expect_equal 'bytes in device memory' 300000 "$(report .counts.device_bytes)"
}

test_root_is_not_needed_with_a_file_capability() {
    as_service
    cp "$(type -P devmemtcp)" tool
    setcap cap_net_admin=ep tool
    start_command setpriv --reuid=65534 --regid=65534 --clear-groups "$PWD/tool" serve --listen "$near4:5201" \
        --output got --json
    pattern 300000 >sent
    send "$near4" 5201 <sent
    serve_ok
    cmp sent got
    expect_equal 'bytes in device memory' 300000 "$(report .counts.device_bytes)"
}

test_links_of_another_user_are_not_followed() {
    keep /proc/sys/fs/protected_{regular,symlinks,hardlinks}
    sysctl -qw fs.protected_regular=0 fs.protected_symlinks=0 fs.protected_hardlinks=0
    chmod 755 .
    mkdir --mode=1777 shared
    echo precious >victim
    chmod 644 victim
    as_nobody ln -s "$PWD/victim" shared/link
    as_nobody ln -s "$PWD" shared/way
    as_nobody ln victim shared/name
    local path text
    while read -r path text; do
        expect_refusal "open shared/$path: $text, in a folder that others may write to" \
            devmemtcp serve --listen "$near4:5201" --output "shared/$path"
    done <<'END'
link link is a link of user 65534
way/victim way is a link of user 65534
name name is one of 2 names of a file
END
    expect_line victim precious
    # Connections to come are refused a file each, and nothing else ends.
    start_serve --listen "$near4:5201" --output 'shared/link%n' --keep-open --json
    as_nobody ln -s "$PWD/victim" shared/link1
    pattern 7000 | send "$near4" 5201 || true
    pattern 7000 | send "$near4" 5201
    await test -s shared/link2
    kill -TERM "$server"
    end_serve
    expect_line victim precious
    expect_line out 'link1 is a link of user 65534'
}
