# shellcheck shell=bash
# Neighbours on the host: containers that share the network namespace, other users, other namespaces.
# SPDX-License-Identifier: Apache-2.0

# elsewhere COMMAND...: runs the command with another /run, as in a container that shares only the network namespace.
elsewhere() { unshare --mount bash -c 'mount -t tmpfs none /run && exec "$@"' bash "$@"; }

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

# expect_in_use COMMAND...: the command must fail and name the holder of the NIC.
expect_in_use() {
    local status=0
    "$@" >out 2>&1 || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_line out "take eth1: Device or resource busy, it is in use by devmemtcp, pid $server"
}

test_containers_of_one_network_namespace_see_each_other() {
    start_bind eth1 --rx 7
    expect_in_use elsewhere devmemtcp bind eth1 --rx 6
    expect_in_use elsewhere devmemtcp steer apply eth1 --queues 6
    elsewhere devmemtcp steer show >shown
    expect_line shown "steering: in use by devmemtcp, pid $server, with no journal here"
    # There is nothing to restore, and nothing to forget.
    elsewhere devmemtcp steer restore --all >restored
    expect_line restored 'nothing is steered'
    kill "$server"
    end_bind
    elsewhere timeout 120 devmemtcp bind eth1 --rx 6 -- true 2>messages
}

# A container restores what a killed process of another one left, from a directory that both see.
test_containers_share_a_journal_of_their_choice() {
    local before
    before=$(nic_settings eth1)
    export DEVMEMTCP_STATE_DIR=$PWD/state
    start_bind eth1 --rx 7
    kill -KILL "$server"
    end_bind
    elsewhere devmemtcp steer restore --all >out
    expect_line out 'RSS table'
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
    # A directory that others may write to is refused.
    chmod 777 state
    expect_refusal 'others may write there' devmemtcp bind eth1 --rx 7 -- true
    DEVMEMTCP_STATE_DIR=state expect_refusal 'it is not an absolute path' devmemtcp bind eth1 --rx 7 -- true
}

# before_boot COMMAND...: runs the command with the boot id of an earlier boot.
before_boot() {
    unshare --mount bash -c 'echo 00000000-0000-4000-8000-000000000000 >earlier
        mount --bind earlier /proc/sys/kernel/random/boot_id && exec "$@"' bash "$@"
}

test_a_journal_of_an_earlier_boot_is_dropped() {
    local before journal
    before=$(nic_settings eth1)
    before_boot devmemtcp steer apply eth1 --queues 7 >out
    journal=$(ls /run/devmemtcp/*.journal)
    # A journal written since boot may belong to a container that sees another boot id.
    devmemtcp steer show eth1 >out
    expect_line out "its boot id is not this system's"
    expect_refusal "its boot id is not this system's" devmemtcp bind eth1 --rx 6 -- true
    touch --date=@1 "$journal"
    cp --preserve=timestamps "$journal" kept
    devmemtcp steer show eth1 >out
    expect_line out 'it is of an earlier boot, whose settings are gone'
    devmemtcp bind eth1 --rx 6 -- true 2>messages
    expect_line messages 'eth1: dropped the journal of devmemtcp steer apply'
    expect_line messages 'which was of an earlier boot'
    [[ ! -e $journal ]] || fail 'it is still there'
    cp --preserve=timestamps kept "$journal"
    devmemtcp doctor eth1 --json >facts || true
    expect_equal 'verdict' warning "$(jq -r '.checks[] | select(.id == "steering").verdict' facts)"
    devmemtcp steer restore --all >out
    expect_line out 'which was of an earlier boot'
    [[ ! -e $journal ]] || fail 'it is still there'
    # Under its own boot id the settings are restored.
    cp kept "$journal"
    before_boot devmemtcp steer restore --all >out
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

test_other_users_cannot_block_root() {
    local lock name foreign
    # Without the locks of earlier tests.
    rm -f /run/devmemtcp/*.lock
    devmemtcp bind eth1 --rx 7 -- true 2>messages
    lock=$(ls /run/devmemtcp/*.lock)
    ! as_nobody flock --nonblock "$lock" true 2>refused || fail 'another user took the lock'
    expect_line refused 'Permission denied'
    name=$(basename "$lock" .lock)
    as_nobody socat -u "ABSTRACT-RECV:devmemtcp/$name/exclusive/1f" - >/dev/null &
    foreign=$!
    await grep -q "@devmemtcp/$name/exclusive/1f" /proc/net/unix
    devmemtcp bind eth1 --rx 7 -- true 2>messages
    devmemtcp steer show >out
    expect_line out 'nothing is steered'
    kill "$foreign"
    wait "$foreign" || true
}

# sysfs shows the namespace that it was mounted in, which has an interface of the same name.
test_facts_come_from_the_own_network_namespace() {
    local seen
    nsenter --net=/run/netns/peer devmemtcp doctor eth1 --json >facts || true
    seen=$(jq -r '.interfaces[0] | "\(.driver) \(.mac)"' facts)
    in_peer devmemtcp doctor eth1 --json >facts || true
    expect_equal 'facts' "$(jq -r '.interfaces[0] | "\(.driver) \(.mac)"' facts)" "$seen"
    [[ $seen == *" $(in_peer cat /sys/class/net/eth1/address)" ]] || fail "not its address: $seen"
}

test_another_users_file_in_a_sticky_directory_is_not_written() {
    keep /proc/sys/fs/protected_regular
    mkdir --mode=1777 sticky
    chmod 755 .
    as_nobody bash -c 'umask 0; : >sticky/got'
    sysctl -qw fs.protected_regular=1
    expect_refusal 'open sticky/got: Permission denied' devmemtcp serve --listen "$near4:5201" --output sticky/got
}

test_a_command_of_another_user_has_no_capability() {
    setpriv --inh-caps +net_admin --ambient-caps +net_admin devmemtcp bind eth1 --rx 7 --user nobody -- \
        grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status >sets 2>messages
    expect_equal 'capability sets' 4 "$(grep -c '0000000000000000$' sets)"
}
