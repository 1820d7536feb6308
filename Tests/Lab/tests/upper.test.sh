# shellcheck shell=bash
# An interface above a NIC, or an address that no NIC has, leads to the NIC or to a message that names it.
# SPDX-License-Identifier: Apache-2.0

readonly upper4=198.18.5.1 upper_far4=198.18.5.2

# expect_words TEXT KIND: each command must refuse the interface $upper with TEXT, and doctor report its KIND.
expect_words() {
    expect_refusal "$1" devmemtcp bind "$upper" --rx auto
    expect_refusal "$1" devmemtcp bind "$upper" --tx
    expect_refusal "$1" devmemtcp steer plan "$upper" --queues auto
    expect_refusal "$1" devmemtcp serve --interface "$upper" --listen :5201
    expect_refusal "$1" devmemtcp connect --interface "$upper" "$far4:5201" --discard </dev/null
    expect_refusal "$1" devmemtcp queue restart "$upper" 0
    expect_refusal "$1" devmemtcp bench run "$far4" --interface "$upper"
    devmemtcp doctor "$upper" >out 2>messages && fail 'doctor calls it ready'
    expect_line out "$2"
}

# expect_delivery ADDRESS ARGUMENTS...: a stream from the far end must arrive complete.
expect_delivery() {
    local address=$1
    shift
    start_serve --listen "$address:5201" --validate 7 --json "$@"
    pattern 3000000 | send "$address" 5201
    serve_ok
    expect_equal 'bytes' 3000000 "$(report .validation.checked_bytes)"
}

# add_far_address: the address of $upper's peer, until the end of the test.
add_far_address() {
    undo in_peer ip address delete "$upper_far4/24" dev eth1
    in_peer ip address add "$upper_far4/24" dev eth1
}

test_vlan_names_its_nic() {
    modprobe 8021q
    undo delete_link eth1.5
    ip link add link eth1 name eth1.5 type vlan id 5
    ip address add "$upper4/24" dev eth1.5
    ip link set eth1.5 up
    undo in_peer ip link delete eth1.5
    in_peer ip link add link eth1 name eth1.5 type vlan id 5
    in_peer ip address add "$upper_far4/24" dev eth1.5
    in_peer ip link set eth1.5 up
    upper=eth1.5
    expect_words 'it is a VLAN on eth1, which has no queues of a NIC (name eth1 to receive' 'a VLAN on eth1'
    expect_refusal 'it is a VLAN on eth1' devmemtcp serve --listen "$upper4:5201" --discard
    expect_delivery "$upper4" --interface eth1 --allow-host-memory
    echo "# a VLAN's payload in device memory: $(report .placement.device_share)"
}

test_bridge_names_its_nic() {
    modprobe bridge
    add_link br5 type bridge
    ip link set eth1 master br5
    ip address add "$upper4/24" dev br5
    ip link set br5 up
    add_far_address
    upper=br5
    expect_refusal 'it is a bridge on eth1, which has no queues of a NIC' devmemtcp validate "$upper"
    expect_words 'it is a bridge on eth1, which has no queues of a NIC (name eth1 to receive' 'a bridge on eth1'
    expect_refusal 'it is a bridge on eth1' devmemtcp serve --listen "$upper4:5201" --discard
    expect_delivery "$upper4" --interface eth1
    echo "# a bridge's payload in device memory: $(report .placement.device_share)"
}

test_bond_names_its_nic() {
    # Without a bond0, which would stay.
    modprobe bonding max_bonds=0
    take_down
    add_link bond5 type bond mode active-backup
    ip link set eth1 master bond5
    ip address add "$upper4/24" dev bond5
    ip link set bond5 up
    add_far_address
    upper=bond5
    expect_refusal 'it is a bond of eth1, which has no queues of a NIC' devmemtcp validate "$upper"
    expect_words 'it is a bond of eth1, which has no queues of a NIC (name eth1 to receive' 'a bond of eth1'
    expect_refusal 'it is a bond of eth1' devmemtcp serve --listen "$upper4:5201" --discard
    expect_delivery "$upper4" --interface eth1
    echo "# a bond's payload in device memory: $(report .placement.device_share)"
}

# A router may have its addresses on the loopback interface.
test_address_of_lo_leads_to_the_nic_by_the_route() {
    undo ip address delete 192.0.2.77/32 dev lo
    ip address add 192.0.2.77/32 dev lo
    undo in_peer ip route delete 192.0.2.77
    in_peer ip route add 192.0.2.77 via "$near4"
    expect_refusal 'name the NIC with --interface, or the peer with --from' \
        devmemtcp serve --listen 192.0.2.77:5201 --discard
    expect_delivery 192.0.2.77 --from "$far4"
    expect_equal 'interface' eth1 "$(report .interface)"
    expect_delivery 192.0.2.77 --interface eth1
    # In the other direction it is the source address.
    in_peer socat -u TCP-LISTEN:5202,reuseaddr OPEN:got,creat,trunc &
    local receiver=$!
    await_far_listener 5202
    pattern 100000 | devmemtcp connect "$far4:5202" --bind 192.0.2.77 --discard --json >out
    wait "$receiver"
    expect_equal 'interface' eth1 "$(report .interface)"
    expect_equal 'local' 192.0.2.77 "$(report '.local | split(":")[0]')"
    expect_equal 'bytes' 100000 "$(wc -c <got)"
}

test_dummy_names_no_nic() {
    modprobe dummy numdummies=0
    add_link dummy5 type dummy
    ip link set dummy5 up
    upper=dummy5
    expect_words 'it is a dummy, with no NIC below it' 'a dummy, with no NIC below it'
}
