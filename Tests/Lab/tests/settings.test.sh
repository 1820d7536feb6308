# shellcheck shell=bash
# Settings are restored also as the kernel sees them: a user's remain a user's, and a driver's a driver's.
# SPDX-License-Identifier: Apache-2.0

# as_nic QUEUES OPTION...: loads labnic with other parameters until the end of the test.
as_nic() {
    needs_nic labnic 'only labnic behaves as other drivers do'
    undo renew_nic
    /lab/guest/nic-remove
    # The largest MTU that all drivers accept.
    LABNIC_OPTIONS="${*:2}" /lab/guest/nic-setup "$lab_nic" "$lab_far" "$lab_wires" "$1" 8896
}

# set_threshold BYTES: sets hds-thresh, if the NIC has it.
set_threshold() { /lab/programs/hds-thresh eth1 "$1" >/dev/null 2>&1 || true; }

# plain_binding: prints the kernel's reply to a binding by a program that changes no setting.
plain_binding() {
    local index
    index=$(</sys/class/net/eth1/ifindex)
    /lab/programs/netlink-ask netdev 13 "1=u32:$index" 2.1=u32:7 2.3=u32:0 3=udmabuf:4194304 2>&1 || true
}

# split_is users|drivers: header split must be set by a user, or by the driver. Restores the threshold.
split_is() {
    local threshold answer
    threshold=$(devmemtcp steer show eth1 --json | jq '.interfaces[0].settings.hds_thresh // 0')
    set_threshold 0
    answer=$(plain_binding)
    set_threshold "$threshold"
    if [[ $answer == *'tcp-data-split is disabled'* ]]; then answer=drivers; else answer=users; fi
    expect_equal "whose setting split is (${manners:-})" "$1" "$answer"
}

receive_some() {
    start_serve --listen "$near4:5201" --from "$far4" --json --discard
    pattern 100000 | send "$near4" 5201
    serve_ok
}

# probe_nic: doctor binds a queue for a moment. Only these two checks must pass.
probe_nic() {
    local id
    devmemtcp doctor eth1 --probe --yes --json >doctor || true
    for id in probe-bind-rx probe-restore; do
        expect_equal "$id ($manners)" ok "$(jq -r --arg id "$id" '.checks[] | select(.id == $id).verdict' doctor)"
    done
}

test_split_keeps_its_owner() {
    local manners before
    for manners in labnic bnxt fbnic gve mlx5; do
        as_nic 8 "manners=$manners"
        split_is drivers
        before=$(settings)
        receive_some
        probe_nic
        expect_equal "settings ($manners)" "$before" "$(settings)"
        split_is drivers
        [[ $manners != mlx5 ]] || ethtool -K eth1 rx-gro-hw on
        ethtool -G eth1 tcp-data-split on
        split_is users
        before=$(settings)
        receive_some
        probe_nic
        split_is users
        # The same where no test binding is possible.
        hide "$udmabuf"
        hide "$heap"
        devmemtcp steer apply eth1 --queues 7 >out
        unhide "$heap"
        unhide "$udmabuf"
        devmemtcp steer restore eth1 >out
        split_is users
        # The same after a death.
        start_serve --listen "$near4:5201" --discard
        kill -KILL "$server"
        end_serve
        devmemtcp steer restore eth1 >out
        split_is users
        expect_equal "settings ($manners)" "$before" "$(settings)"
    done
}

# No death between two changes loses a user's split.
test_death_keeps_a_users_split() {
    local number status
    as_nic 8 manners=bnxt
    ethtool -G eth1 tcp-data-split on
    for ((number = 1; number < 200; number++)); do
        status=0
        # The journal is written before and after each change.
        /lab/programs/signal-at-call fsync 9 "$number" \
            devmemtcp steer apply eth1 --queues 7 >out 2>messages || status=$?
        devmemtcp steer restore --all >out
        split_is users
        ((status == 137)) || break
    done
    expect_equal 'status at last' 0 "$status"
    ((number > 6)) || fail "it died only $number times"
}

# carrier_losses COMMAND...: prints how often the link goes down meanwhile. The counter counts down and up.
carrier_losses() {
    local before
    before=$(</sys/class/net/eth1/carrier_changes)
    "$@" >out
    echo $((($(</sys/class/net/eth1/carrier_changes) - before) / 2))
}

# The link goes down no more often than the plan says.
test_links_go_down_no_more_often_than_planned() {
    local manners setting most found words
    for words in 'bnxt auto' 'bnxt on' 'gve off' 'gve auto' 'gve on' 'fbnic auto' 'mlx5 auto'; do
        read -r manners setting <<<"$words"
        as_nic 8 "manners=$manners"
        ethtool -G eth1 tcp-data-split "$setting" || true
        devmemtcp steer plan eth1 --queues 7 --json >plan
        for most in applying restoring; do
            if [[ $most == applying ]]; then
                found=$(carrier_losses devmemtcp steer apply eth1 --queues 7)
            else
                found=$(carrier_losses devmemtcp steer restore eth1)
            fi
            echo "# $words, $most: the link went down $found times, $(jq ".interruptions.$most" plan) at most"
            # An interruption that does not drop the link cannot be seen here.
            ((found <= $(jq ".interruptions.$most" plan))) || fail "more often than planned"
        done
    done
}

# A default RSS table is restored as a default, so it follows the number of channels.
test_a_default_table_follows_the_channels() {
    local manners
    for manners in labnic bnxt fbnic mlx5; do
        as_nic 8 "manners=$manners"
        ethtool -L eth1 combined 4
        devmemtcp steer apply eth1 --queues 3 >out
        ethtool -L eth1 combined 8
        devmemtcp steer restore eth1 >restored
        expect_equal "queues of the table ($manners)" '0 1 2 3 4 5 6 7' \
            "$(settings | jq -r '[.contexts[0].table | unique[] | tostring] | join(" ")')"
        ethtool -L eth1 combined 6
        expect_equal "queues of the table with fewer channels ($manners)" '0 1 2 3 4 5' \
            "$(settings | jq -r '[.contexts[0].table | unique[] | tostring] | join(" ")')"
    done
}

# The netlink messages of a large NIC are longer than a page.
test_a_large_nic_is_steered_and_bound() {
    local before
    as_nic 256 rss_entries=2048
    before=$(settings)
    expect_equal 'RSS entries' 2048 "$(jq '.contexts[0].table | length' <<<"$before")"
    start_serve --listen "$near4:5201" --queues 250-255 --json --discard
    pattern 100000 | send "$near4" 5201
    serve_ok
    expect_equal 'settings' "$before" "$(settings)"
    devmemtcp bind eth1 --rx 16-255 --memory 256M --json -- true >out 2>messages || fail "$(cat messages)"
    expect_equal 'settings' "$before" "$(settings)"
    devmemtcp steer apply eth1 --queues 16-255 >out
    expect_equal 'queues of RSS' 16 "$(settings | jq '.contexts[0].table | unique | length')"
    devmemtcp steer restore eth1 >out
    expect_equal 'settings' "$before" "$(settings)"
}

# One binding cannot have neighbouring queues of two DMA devices, as NICs of several PCI functions have.
test_queues_of_one_dma_device_are_chosen() {
    as_nic 8 dma_devices=2
    devmemtcp bind eth1 --rx 'auto 2' -- true >out 2>messages || fail "$(cat messages)"
    expect_equal 'queues' '5,7' \
        "$(devmemtcp steer plan eth1 --queues 'auto 2' --json | jq -r '.queues | join(",")')"
    devmemtcp steer plan eth1 --queues 6-7 >plan
    expect_line plan 'queues 6-7 are on 2 DMA devices, and a binding cannot span several; --queues 5,7 would do'
    expect_refusal 'DMA device mismatch' devmemtcp bind eth1 --rx 6-7 -- true
}
