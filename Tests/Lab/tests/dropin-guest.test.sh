# shellcheck shell=bash
# The drop-in as the kernel's test harness runs it in a container: in a network namespace, or in a user namespace, with a
# leased queue of the NIC. The helpers are in dropin.test.sh.
# SPDX-License-Identifier: Apache-2.0

readonly guest6=2001:db8:9::2:2 guest_queue=7

# make_guest [userns]: makes a container's network until the end of the test: one end of a netkit pair in a namespace,
# with a leased queue of eth1. The host makes all settings. "${place[@]}" runs a command there.
#
# The harness redirects both directions before the host's stack sees a packet, with a program that looks up the
# neighbour. Here the container has the NIC's address, and the far end is its neighbour. Routing would work with some
# NICs only: ip6_forward() drops the checksum that the NIC computed, and the stack cannot read the payload to compute
# another.
make_guest() {
    local namespace=guest
    allow_ncdevmem
    undo reset_nic
    modprobe -a sch_ingress cls_flower act_mirred
    if [[ ${1:-} == userns ]]; then
        unshare --user --net --map-root-user sleep infinity &
        namespace=$!
        undo end_process "$namespace"
        # The mapping comes after the namespace.
        await maps_its_users "$namespace"
        place=(nsenter --user="/proc/$namespace/ns/user" --net="/proc/$namespace/ns/net" --setuid=0 --setgid=0 --)
    else
        undo delete_namespace guest
        ip netns add guest
        place=(ip netns exec guest)
    fi
    add_link nk_host type netkit mode l2 peer name nk_guest numrxqueues 2
    ip link set nk_host address "$(in_peer cat /sys/class/net/eth1/address)"
    ip link set nk_guest address "$(cat /sys/class/net/eth1/address)"
    devmemtcp queue lease eth1 "$guest_queue" --to nk_guest >/dev/null
    ip link set nk_guest netns "$namespace"
    ip link set nk_host up
    ip address add fe80::1/64 dev nk_host nodad
    "${place[@]}" ip -6 -batch - <<END
link set lo up
link set nk_guest up
address add fe80::2/64 dev nk_guest nodad
address add $guest6/64 dev nk_guest nodad
route add default via fe80::1 dev nk_guest
END
    undo in_peer ip -6 route delete "$guest6/128"
    in_peer ip -6 route add "$guest6/128" via "$near6"
    tc qdisc add dev nk_host clsact
    tc filter add dev nk_host ingress protocol ipv6 flower ip_proto tcp \
        action mirred egress redirect dev eth1
    undo tc qdisc delete dev eth1 clsact
    tc qdisc add dev eth1 clsact
    tc filter add dev eth1 ingress protocol ipv6 flower ip_proto tcp dst_ip "$guest6" \
        action mirred egress redirect dev nk_host
    ethtool -G eth1 tcp-data-split on
    ! nic_has threshold || /lab/programs/hds-thresh eth1 0
    ethtool -X eth1 equal "$guest_queue"
}

end_process() { kill "$1" 2>/dev/null || true; }

maps_its_users() {
    [[ $(readlink "/proc/$1/ns/user") != $(readlink /proc/self/ns/user) && -n $(<"/proc/$1/uid_map") ]]
}

# guest_receive ...: as receive, with the flow rule that the harness adds.
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

# everything_in_a_guest: does what the harness does there. Nothing may write a journal.
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
    nic_has page-size || return 0
    reserve_huge_pages 64
    local size
    for size in 1024 16384 65536; do guest_receive_ok "$size" 0 -v 7 -b 16384; done
}

test_dropin_in_a_user_namespace() {
    link_dropin
    rm -rf /run/devmemtcp
    make_guest userns
    everything_in_a_guest
}
