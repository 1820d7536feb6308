# shellcheck shell=bash
# Queues of the NIC that are leased to a container, and the commands inside it. The container's network is made in
# dropin-guest.test.sh.
# SPDX-License-Identifier: Apache-2.0

# container_serve ARGUMENTS...: starts serve in the container at a new port, with the rule that its host adds.
container_serve() {
    next_port
    ethtool -N eth1 flow-type tcp6 dst-port "$port" action "$guest_queue" >rule
    start_command "${place[@]}" devmemtcp serve --interface nk_guest --listen "[$guest6]:$port" --json "$@"
}

# end_container_serve: the status must be 0, and all payload in device memory of the leased queue.
end_container_serve() {
    serve_ok
    ethtool -N eth1 delete "$(sed -n 's/.*ID //p' rule)"
    expect_line messages 'it is not steered, as its queues are leased'
    expect_equal queues '[1]' "$(report '.queues | tostring')"
    expect_equal 'payload elsewhere' 0 "$(report '.counts | .linear_bytes + .ordinary_bytes')"
}

# commands_in_a_container ENGINE...: uses what is leased with each engine. No setting of the NIC may change, and no journal
# may be written.
commands_in_a_container() {
    local before engine size
    rm -rf /run/devmemtcp
    before=$(nic_settings eth1)
    head -c 3000001 /dev/urandom >sent
    for engine; do
        container_serve --engine "$engine" --validate 7
        pattern 2000000 | send "$guest6" "$port"
        end_container_serve
        expect_equal 'bytes checked' 2000000 "$(report .validation.checked_bytes)"
        expect_equal 'bytes wrong' 0 "$(report .validation.wrong_bytes)"
        expect_equal engine "$engine" "$(report .engine)"
        container_serve --engine "$engine" --output got
        send "$guest6" "$port" <sent
        end_container_serve
        cmp sent got
    done

    next_port
    in_peer socat -u "TCP6-LISTEN:$port" CREATE:back &
    local listener=$!
    await_far_listener "$port"
    "${place[@]}" devmemtcp connect "[$far6]:$port" <sent >text 2>&1 || fail "connect: $(cat text)"
    wait "$listener"
    cmp sent back
    expect_line text 'interface   nk_guest'

    start_bind nk_guest --rx auto --tx --json
    expect_equal 'bound queues' '[1]' "$(jq -c .queues <<<"$holds")"
    expect_refusal 'end its holder, or choose another queue' "${place[@]}" devmemtcp bind nk_guest --rx 1
    kill "$server"
    end_bind
    expect_equal 'exit status of bind' 143 "$status"

    next_port
    ethtool -N eth1 flow-type tcp6 dst-port "$port" action "$guest_queue" >rule
    start_far_end
    "${place[@]}" devmemtcp bench run "$far6" --bytes 3000000 --rx device --tx device --port "$port" --json \
        >bench 2>told || fail "bench: $(cat told)"
    kill -TERM "$server"
    end_serve
    ethtool -N eth1 delete "$(sed -n 's/.*ID //p' rule)"
    expect_equal 'bytes in device memory' 3000000 "$(jq '.inbound.device_bytes' bench)"

    "${place[@]}" devmemtcp doctor nk_guest >checks || fail "doctor: $(cat checks)"
    expect_line checks 'Leased queues: 1; '
    expect_equal 'settings of the NIC' "$before" "$(nic_settings eth1)"
    [[ -z $(compgen -G '/run/devmemtcp/*.journal') ]] || fail "there is $(ls /run/devmemtcp)"
}

test_container_with_a_leased_queue() {
    make_guest
    commands_in_a_container socket io_uring
}

# io_uring lets only the first user namespace receive into device memory.
test_container_in_a_user_namespace() {
    make_guest userns
    commands_in_a_container socket
    container_serve --engine auto --validate 7
    pattern 100000 | send "$guest6" "$port"
    end_container_serve
    expect_equal engine socket "$(report .engine)"
}

# What its host forgot to set is told with the payload that misses device memory.
test_container_whose_flow_is_not_steered() {
    make_guest
    container_serve --validate 7
    ethtool -N eth1 delete "$(sed -n 's/.*ID //p' rule)"
    pattern 100000 | send "$guest6" "$port"
    end_serve
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'the flow rule of the NIC that leases the queue is not set'
}

test_queue_lease_and_unlease() {
    undo delete_namespace other
    ip netns add other
    add_link nk_host type netkit mode l2 peer name nk_guest numrxqueues 3
    expect_refusal 'no queue of a NIC is leased to it' devmemtcp bind nk_guest --rx auto
    expect_refusal 'none of its queues is leased' devmemtcp queue unlease eth1 5
    ip link set nk_guest netns other

    devmemtcp queue lease eth1 5 --to other/nk_guest >text
    expect_equal text 'queue 5 of eth1 is queue 1 of other/nk_guest' "$(cat text)"
    expect_refusal 'Device queue in use due to queue leasing' devmemtcp queue lease eth1 5 --to other/nk_guest
    devmemtcp queue lease eth1 6 --to /run/netns/other/nk_guest --json >out
    expect_equal report '{"interface":"eth1","leases":[{"leased_queue":2,"queue":6}],"netns":"/run/netns/other","to":"nk_guest","version":1}' \
        "$(jq -cS . out)"
    expect_equal 'leased queues' '5,6' \
        "$(devmemtcp show eth1 --json | jq -r '[.interfaces[0].queues[] | select(.lease).id] | join(",")')"

    expect_refusal 'netkit maximum queue limit reached (make one for more' devmemtcp queue lease eth1 4 --to other/nk_guest
    expect_refusal 'here nk_guest in the network namespace with id' devmemtcp queue unlease eth1 6
    expect_refusal 'it is not leased, only 5-6' devmemtcp queue unlease eth1 4 --delete
    devmemtcp queue unlease eth1 6 --delete >text
    expect_equal text 'nk_guest is deleted, and queues 5-6 of eth1 are back' "$(cat text)"
    expect_equal 'leased queues' '' \
        "$(devmemtcp show eth1 --json | jq -r '[.interfaces[0].queues[] | select(.lease).id] | join(",")')"
    [[ ! -e /sys/class/net/nk_host ]] || fail 'the peer is still there'
}

test_queue_lease_refusals() {
    undo delete_namespace other
    ip netns add other
    add_link nk_host type netkit mode l2 peer name nk_guest numrxqueues 4
    add_link pair0 type veth peer name pair1
    expect_refusal 'name the other end' devmemtcp queue lease eth1 5 --to nk_host
    expect_refusal 'name the container'\''s end of a netkit pair' devmemtcp queue lease eth1 5 --to pair0
    expect_refusal 'Device is not a virtual device' devmemtcp queue lease eth1 5 --to eth1
    expect_refusal 'choose an existing one' devmemtcp queue lease eth1 99 --to nk_guest
    expect_refusal 'name a queue of a physical NIC' devmemtcp queue lease pair0 0 --to nk_guest
    expect_refusal 'find interface nosuch' devmemtcp queue lease eth1 5 --to nosuch
    expect_refusal 'open /run/netns/nowhere' devmemtcp queue lease eth1 5 --to nowhere/nk_guest
    expect_refusal 'find interface nk_guest' devmemtcp queue lease eth1 5 --to other/nk_guest
    expect_refusal 'enter the network namespace /etc' devmemtcp queue lease eth1 5 --to /etc/nk_guest
    expect_refusal 'find interface eth9' devmemtcp queue lease eth9 5 --to nk_guest
    expect_refusal 'Operation not permitted (run as root or with CAP_NET_ADMIN)' \
        setpriv --reuid 65534 --clear-groups devmemtcp queue lease eth1 5 --to nk_guest
    # What was leased before the refusal stays, and is told.
    ! devmemtcp queue lease eth1 5 99 --to nk_guest >out 2>messages || fail 'there is no queue 99'
    expect_equal out 'queue 5 of eth1 is queue 1 of nk_guest' "$(cat out)"
    expect_line messages 'lease queue 99 of eth1 to nk_guest'
    ! devmemtcp queue lease eth1 7 99 --to nk_guest --json >out 2>messages || fail 'there is no queue 99'
    expect_equal 'what is leased' 'queue 7 is leased' "$(report .error.message)"
    start_bind eth1 --rx 6
    expect_refusal 'end its holder, or choose another queue' devmemtcp queue lease eth1 6 --to nk_guest
    kill "$server"
    end_bind
    expect_refusal 'queue 5 is leased to a virtual interface' devmemtcp bind eth1 --rx 5
    devmemtcp queue unlease eth1 5 --delete >text
    expect_line text 'queues 5,7 of eth1 are back'
}
