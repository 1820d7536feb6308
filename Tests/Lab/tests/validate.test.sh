# shellcheck shell=bash
# validate passes a NIC that does everything, and detects one that does not.
# SPDX-License-Identifier: Apache-2.0

# validate ARGUMENTS...: runs validate on eth1. TAP goes to ./out, and $status is the exit status.
validate() {
    status=0
    timeout $((limit - 10)) devmemtcp validate eth1 "$@" >out 2>messages || status=$?
}

# what_it_skips: prints the cases that do not apply to this NIC or this kernel, in the order of validate.
what_it_skips() {
    local patterns=(-e '^$')
    nic_has threshold || patterns+=(-e '^bind\.hds-thresh-not-zero$' -e '^bound\.hds-thresh-up$')
    nic_has split-held || patterns+=(-e '^bind\.header-split-off$' -e '^bound\.header-split-off$')
    nic_has sending || patterns+=(-e '^send-')
    nic_has page-size || patterns+=(-e '^large-pages\.')
    # The NIC may lack it where the kernel knows it.
    [[ $(kernel_lacks) != *page-size* ]] || patterns+=(-e '^bind\.page-size-')
    nic_has contexts || patterns+=(-e '^flows\.rss-context$')
    nic_has io-uring || patterns+=(-e '^io-uring\.')
    # What binds queues; tokens.no-tcp does not.
    nic_has receiving || patterns+=(-e '^bind\.good$' -e '^bound\.' -e '^tokens\.[^n]' -e '^receive-' -e '^flows\.'
        -e '^traffic\.' -e '^afterwards\.memory$')
    devmemtcp validate --list | cut -f1 | grep "${patterns[@]}" || true
}

# other_reasons: prints why cases are skipped with a driver that cannot receive, but for that.
other_reasons() {
    nic_has receiving || {
        nic_has contexts || echo 'eth1 has no RSS table'
        echo 'nothing was bound'
    }
}

# all_but_small_sends: prints the cases for gve, whose driver drops packets made of many small sends.
all_but_small_sends() { devmemtcp validate --list | cut -f1 | grep -Ev '^send-ipv[46]\.segments-of-(1|8|100)$'; }

# skipped_cases: prints the skipped cases of ./out, each with its group.
skipped_cases() { awk '/^ok .* # SKIP / { print $3 }' out; }

# Runs all cases and measures their time.
test_validate_passes_and_skips_only_what_the_nic_lacks() {
    local begun=$EPOCHREALTIME seconds skips cases filter=()
    cases=$(devmemtcp validate --list | wc -l)
    if nic_has sending && ! nic_has many-fragments; then
        mapfile -t filter < <(all_but_small_sends)
        cases=${#filter[@]} filter=(--filter "${filter[@]}")
    fi
    skips=$(what_it_skips | wc -l)
    reserve_huge_pages 16
    lower_mtu
    validate --remote netns:peer "${filter[@]}"
    seconds=$(jq -n "$EPOCHREALTIME - $begun")
    expect_equal "exit status ($(grep -v '^ *ok' out; cat messages))" 0 "$status"
    expect_equal 'messages' '' "$(cat messages)"
    expect_equal 'first lines' "TAP version 13 1..$cases" "$(head -n 2 out | paste -s -d ' ')"
    expect_equal 'cases' "$cases" "$(grep -Ec '^ok [0-9]+ [a-z0-9-]+\.[a-z0-9-]+( # SKIP .*)?$' out)"
    ! grep -q 'not ok' out || fail "$(grep 'not ok' out)"
    expect_equal 'skipped cases' "$(what_it_skips)" "$(skipped_cases)"
    expect_line out "# Totals: pass:$((cases - skips)) fail:0 xfail:0 xpass:0 skip:$skips"
    # What a kernel or its driver lacks is the reason, not that the NIC has no such setting.
    [[ -z $(kernel_lacks) ]] || expect_equal 'skipped for other reasons' "$(other_reasons)" "$(other_skips)"
    sed -n 's/^ok .* # SKIP /# skipped: /p' out | uniq -c | sed 's/^ *\([0-9]*\) # \(.*\)/# \1 \2/'
    # Under emulation, a driver that stops all queues for each change takes longer.
    [[ $lab_nic != labnic ]] || expect_equal 'under 120 s' true "$(jq -n "$seconds < 120")"
    printf '%s, %.1f s of 120\n' "$(tail -n 1 out)" "$seconds"
}

# Without a peer the cases that need one are skipped with that reason; without privilege all are.
test_validate_without_far_end_or_privilege() {
    validate
    expect_equal "exit status ($(cat out messages))" 0 "$status"
    expect_line out ' receive-ipv4.segments-of-1 # SKIP no peer: --remote or --peer gives one'
    ! grep -q 'not ok' out || fail "$(grep 'not ok' out)"
    validate --filter 'receive-*' bind
    expect_equal 'exit status' 0 "$status"
    validate --filter 'receive-*'
    expect_equal 'exit status when all are skipped' 4 "$status"
    status=0
    # In a directory that the user may enter.
    (cd / && exec setpriv --reuid 1000 --clear-groups devmemtcp validate eth1 \
        --filter bound bind) >out 2>messages || status=$?
    expect_equal "exit status without privilege ($(cat messages))" 4 "$status"
    expect_line out '# SKIP needs CAP_NET_ADMIN: run as root'
}

test_validate_json() {
    local skips verdicts=pass
    skips=$(what_it_skips | grep -c '^bind\.' || true)
    ((skips == 0)) || verdicts+=,skip
    validate --remote netns:peer --filter 'bind' 'receive-ipv6.segments-of-1' --json
    expect_equal "exit status ($(cat messages) $(report '.cases[] | select(.verdict == "fail") | tostring'))" 0 "$status"
    expect_equal 'counts' "$((16 - skips)),0,$skips" "$(report '[.passed, .failed, .skipped] | join(",")')"
    expect_equal 'verdicts' "$verdicts" "$(report '[.cases[].verdict] | unique | join(",")')"
    expect_equal 'far end' netns:peer "$(report .far_end)"
    expect_equal 'host' "$(hostname), $(uname -r), $(driver_name), eth1" \
        "$(report '[.host, .kernel, .driver, .interface] | join(", ")')"
    expect_equal 'lines' 1 "$(wc -l <out)"
}

# The settings with which a test farm runs the kernel's own tests.
test_validate_reads_the_harness_settings() {
    printf '%s\n' "NETIF=eth1 # the near end" "LOCAL_V4=$near4" "REMOTE_V4=$far4" \
        'REMOTE_TYPE=netns' 'REMOTE_ARGS=peer' >net.config
    status=0
    devmemtcp validate --filter receive-ipv4.segments-of-8 >out 2>messages || status=$?
    expect_equal "exit status ($(cat out messages))" 0 "$status"
    expect_line out '# Totals: pass:1 fail:0'
    rm net.config
    NETIF=eth1 LOCAL_V6=$near6 REMOTE_V6=$far6 REMOTE_TYPE=netns REMOTE_ARGS=peer \
        devmemtcp validate --filter send-ipv6.segments-of-100 >out 2>messages
    expect_line out '# Totals: pass:1 fail:0'
    mkdir farm
    echo NETIF >farm/net.config
    (expect_refusal 'read net.config: line 1 is not NAME=VALUE' \
        devmemtcp validate --config farm/net.config)
    (expect_refusal 'LOCAL_V4 "near" is not an IPv4 address' \
        env NETIF=eth1 LOCAL_V4=near devmemtcp validate)
}

test_validate_wrong_usage() {
    local arguments
    for arguments in 'eth1 --remote peer' 'eth1 --remote netns:../x' 'eth1 --remote ssh:-oProxy' \
        'eth1 --remote netns:peer --peer 192.0.2.2' 'eth1 --filter nothing' ''; do
        read -ra words <<<"$arguments"
        status=0
        devmemtcp validate "${words[@]}" >out 2>messages || status=$?
        expect_equal "exit status of '$arguments'" 64 "$status"
        [[ ! -s out ]] || fail "'$arguments' printed $(cat out)"
    done
    status=0
    devmemtcp validate eth9 >out 2>messages || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'find interface eth9'
    [[ ! -s out ]] || fail "it printed $(cat out)"
    status=0
    devmemtcp validate eth1 --remote netns:nowhere >out 2>messages || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'open /run/netns/nowhere: No such file or directory'
    expect_equal 'lines of the list' "$(devmemtcp validate --list --json | jq '.cases | length')" \
        "$(devmemtcp validate --list | wc -l)"
}

# make_ssh: replaces ssh and scp by scripts that run commands in the namespace "peer".
make_ssh() {
    mkdir bin
    cat >bin/ssh <<'END'
#!/bin/bash
while [[ $1 != -- ]]; do shift; done
[[ $2 == farhost ]] || { echo "no host $2" >&2; exit 255; }
exec ip netns exec peer sh -c "$3"
END
    cat >bin/scp <<'END'
#!/bin/bash
while [[ $1 != -- ]]; do shift; done
exec cat "$2" >"${3#farhost:}"
END
    chmod +x bin/ssh bin/scp
    PATH=$PWD/bin:$PATH
}

test_validate_over_ssh() {
    make_ssh
    validate --remote ssh:farhost --filter receive-ipv4.segments-of-4097 \
        send-ipv4.segments-of-4097 flows.several-connections
    expect_equal "exit status ($(cat out messages))" 0 "$status"
    expect_line out '# Totals: pass:3 fail:0'
    [[ -z $(compgen -G '/tmp/devmemtcp.*') ]] || fail "left behind: $(compgen -G '/tmp/devmemtcp.*')"
    validate --remote ssh:nohost
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'no host nohost'
    expect_line messages 'ssh must work without a prompt'
    # An scp that copies nothing leaves no file to run.
    printf '#!/bin/sh\nexit 0\n' >bin/scp
    validate --remote ssh:farhost
    expect_equal 'exit status' 1 "$status"
    [[ -z $(compgen -G '/tmp/devmemtcp.*') ]] || fail "left behind: $(compgen -G '/tmp/devmemtcp.*')"
}

# The peer only sends back what it gets: first our serve, then socat, which knows nothing of device memory.
test_validate_with_an_echoing_peer() {
    lower_mtu
    # Without in_peer, so that the signal goes to the command, which restores its NIC.
    ip netns exec peer devmemtcp serve --listen "$far4:5201" --duplex echo --keep-open --discard \
        >served 2>told &
    local echoing=$!
    await_far_listener 5201
    local sends=('send-*') answers=('*.segments-of-100' '*.segments-of-65536')
    if ! nic_has many-fragments; then
        mapfile -t sends < <(all_but_small_sends | grep '^send-')
        answers=('receive-*.segments-of-100' '*.segments-of-65536')
    fi
    validate --peer "$far4" --filter 'receive-*' "${sends[@]}"
    kill "$echoing"
    wait "$echoing" || true
    expect_equal "exit status ($(grep -v '^ *ok' out; cat messages))" 0 "$status"
    expect_line out ' # SKIP the peer'
    [[ -z $(compgen -G '/run/devmemtcp/*.journal') ]] || fail 'a journal is left'
    ip netns exec peer socat 'TCP6-LISTEN:5202,fork,reuseaddr' EXEC:cat &
    echoing=$!
    await_far_listener 5202
    validate --peer "[$far6]:5202" --filter "${answers[@]}"
    kill "$echoing"
    wait "$echoing" || true
    expect_equal "exit status ($(grep -v '^ *ok' out; cat messages))" 0 "$status"
}

# An interface that is not a NIC can do nothing of it, even for root.
test_validate_skips_an_interface_that_is_not_a_nic() {
    local name
    modprobe dummy numdummies=0
    add_link d0 type dummy
    for name in lo d0; do
        status=0
        devmemtcp validate "$name" --remote netns:peer >out 2>messages || status=$?
        expect_equal "exit status of $name ($(cat messages))" 4 "$status"
        expect_equal 'skipped cases' "$(devmemtcp validate --list | wc -l)" "$(skipped_cases | wc -l)"
    done
    expect_line out '# SKIP d0 is a dummy, with no NIC below it, not a NIC'
}

# validate leaves a NIC alone that an administrator has steered.
test_validate_refuses_a_nic_that_is_steered() {
    local before
    before=$(nic_settings eth1)
    devmemtcp steer apply eth1 --queues 7 --name training >out
    validate --remote netns:peer
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'validate eth1: Device or resource busy, it is steered by "training" to queues 7'
    expect_line messages '(devmemtcp steer restore eth1)'
    # bind never gets fewer queues than requested.
    (expect_refusal '2 wanted, but it is steered to 7' \
        devmemtcp bind eth1 --rx 'auto 2' -- true)
    devmemtcp steer restore eth1 >out
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

# far_end_that FILTER: as make_ssh, and the peer reads its requests through the filter.
far_end_that() {
    mkdir -p bin
    cat >bin/scp <<'END'
#!/bin/bash
while [[ $1 != -- ]]; do shift; done
exec cat "$2" >"${3#*:}"
END
    cat >bin/ssh <<END
#!/bin/bash
while [[ \$1 != -- ]]; do shift; done
$1 | ip netns exec peer sh -c "\$3"
END
    chmod +x bin/ssh bin/scp
    PATH=$PWD/bin:$PATH
}

# No case passes unless the peer really sends.
test_validate_needs_a_far_end_that_sends() {
    # The peer connects, sends nothing and closes.
    far_end_that "sed -u 's/\"bytes\":[0-9]*/\"bytes\":0/g'"
    validate --remote ssh:mute --filter 'receive-ipv4.*' receive-calls tokens flows traffic
    expect_equal 'exit status' 1 "$status"
    expect_equal 'cases that pass' 'tokens.no-tcp' "$(awk '/^ok / && !/ # SKIP / { print $3 }' out)"
    expect_line out 'receive-ipv4.segments-of-1: only 0 of 64 bytes arrived'
    # The peer never connects. The cases that need it are not skipped, as that would look like a pass.
    far_end_that "grep --line-buffered -v '\"action\":\"send\"'"
    validate --remote ssh:deaf
    expect_equal 'exit status' 1 "$status"
    [[ ! -s out ]] || fail "it printed $(cat out)"
    expect_line messages "the peer cannot reach $near4"
}

# A command fails if it cannot write its report, and restores the NIC.
test_reports_that_cannot_be_written() {
    local before words
    before=$(nic_settings eth1)
    for words in 'show eth1' 'show eth1 --json' 'steer plan eth1' 'queue restart eth1 7' \
        'validate eth1 --filter bind.good' 'doctor eth1 --probe --yes'; do
        read -ra words <<<"$words"
        status=0
        devmemtcp "${words[@]}" >/dev/full 2>messages || status=$?
        expect_equal "exit status of ${words[*]}" 1 "$status"
        expect_line messages 'devmemtcp: write to standard output: No space left on device'
        expect_equal 'settings' "$before" "$(nic_settings eth1)"
    done
    # Payload does not fit in a full file system.
    mkdir small
    undo umount "$PWD/small"
    mount -t tmpfs -o size=64k tmpfs small
    start_serve --listen "$near4:5201" --output small/got --json
    pattern 1000000 | send "$near4" 5201 || true
    end_serve
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'write to small/got: No space left on device'
    status=0
    devmemtcp bench run --remote netns:peer --interface eth1 --time 1 --csv small/csv --plot small/plot \
        --json >out 2>messages || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'No space left on device'
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

test_restore_after_a_killed_validate() {
    local before number killed=0
    lower_mtu
    before=$(nic_settings eth1)
    for number in 3 40 75 90; do
        devmemtcp validate eth1 --remote netns:peer >out 2>messages &
        local pid=$!
        within=300 while_runs=$pid await has_cases "$number"
        kill -KILL "$pid"
        wait "$pid" || killed=$((killed + 1))
        devmemtcp steer restore eth1 >restored
        expect_equal 'settings' "$before" "$(nic_settings eth1)"
    done
    expect_equal killed 4 "$killed"
    # The peer must end too.
    await no_devmemtcp_runs
}

has_cases() { (($(grep -c '^\(not \)\?ok' out || true) >= $1)); }

no_devmemtcp_runs() { ! pgrep -x devmemtcp >left; }

test_validate_ended_by_a_signal() {
    local before
    before=$(nic_settings eth1)
    devmemtcp validate eth1 --remote netns:peer >out 2>messages &
    local pid=$!
    within=300 while_runs=$pid await grep -q 'receive-calls' out
    kill -TERM "$pid"
    status=0
    wait "$pid" || status=$?
    expect_equal 'exit status' 143 "$status"
    expect_equal 'settings' "$before" "$(nic_settings eth1)"
}

# mutate END KNOB VALUE CASES TEXT: with the fault enabled, a case must fail and print the text. The software devices
# have only some of labnic's faults.
mutate() {
    local end=$1 knob=$2 value=$3 cases=$4 text=$5 line
    [[ $lab_nic == labnic || -e $knobs/$end/$knob ]] || return 0
    echo "$value" >"$knobs/$end/$knob"
    read -ra words <<<"$cases"
    validate --remote netns:peer --filter "${words[@]}"
    cp out "out.$knob"
    echo 0 >"$knobs/$end/$knob"
    devmemtcp steer restore eth1 >restored
    line=$(grep -F -m 1 -- "$text" out) || fail "$knob: no '$text' in: $(cat out messages)"
    expect_equal "exit status with $knob" 1 "$status"
    line=${line#\# }
    printf '# | %s %s=%s | %s |\n' "$end" "$knob" "$value" "${line/: / | }"
}

test_validate_detects_wrong_payload() {
    mutate w0a corrupt_nth 5 'receive-ipv4.segments-of-16384' 'expected'
    mutate w0b corrupt_nth 5 'send-ipv6.segments-of-16384' 'at the peer byte'
    mutate w0a stale_nth 5 'receive-ipv6.segments-of-16384' 'expected'
    mutate w0a lose_linear_nth 2 'receive-ipv4.segments-of-4096' 'expected'
    mutate w0a reuse_nth 1 'tokens.unique' 'delivered twice'
    mutate w0a drop_nth 1 'receive-ipv4.segments-of-1448' 'nothing came for 5.0 s'
}

test_validate_detects_payload_in_the_wrong_place() {
    needs_knobs unsplit_nth partial_split_nth ignore_hds_thresh wrong_queue_nth ignore_rule_insert ignore_rss_set
    mutate w0a unsplit_nth 3 'receive-ipv4.segments-of-8948' 'arrived in ordinary memory'
    mutate w0a partial_split_nth 3 'receive-ipv4.segments-of-8948' 'stayed with their headers'
    mutate w0a ignore_hds_thresh 1 'receive-ipv4.segments-of-8' 'arrived in ordinary memory'
    mutate w0a wrong_queue_nth 1 'receive-ipv4.segments-of-536' 'arrived in ordinary memory'
    mutate w0a ignore_rule_insert 9 'receive-ipv4.segments-of-536' 'reads back differently'
    mutate w0a ignore_rss_set 9 'flows.rss-context' 'reads back differently'
}

test_validate_detects_refusals_and_leaks() {
    reserve_huge_pages 16
    mutate w0a forget_hds_thresh 1 'bind.hds-thresh-not-zero' 'the request was accepted'
    ! nic_has threshold || /lab/programs/hds-thresh eth1 256
    mutate w0a ignore_provider 1 'bind.good' 'No data available'
    mutate w0a ignore_page_size 1 'large-pages.segments-of-100' 'Argument list too long'
    mutate w0a fail_queue_start 9 'bind.good' 'Input/output error'
    mutate w0a fail_queue_alloc 9 'traffic.restart-beside' 'Cannot allocate memory'
    mutate w0a fail_rss_set 9 'bind.good' 'set the RSS table'
    mutate w0a leak_nth 4 'receive-ipv4.segments-of-16384 afterwards' 'does not return them'
    mutate w0a lose_completion_nth 4 'send-ipv4.segments-of-16384' 'never reported complete'
    mutate w0a fail_rule_delete 9 'receive-ipv4.segments-of-536 afterwards' 'flow rule 0 is left'
}
