# shellcheck shell=bash
# Every command that README and the manual pages show works as it stands, but for sizes and times.
# SPDX-License-Identifier: Apache-2.0

# documented_commands: prints the commands of README and of the examples in the manual that this suite has, or that feed
# them, each once. Those of other programs (srun, ansible, systemctl) are not run.
documented_commands() {
    {
        sed -n 's/^    //; T; s/  *# .*//; p' /lab/documents/README.md
        awk '/^\.(EX|nf)/ { on = 1 } /^\.(EE|fi)/ { on = 0 } on' /lab/documents/*.[78] | sed -n 's/^[#$] //p'
        sed -n '/^\.SH EXAMPLES/,/^\.SH SEE/p' /lab/documents/ncdevmem.8
    } | sed 's/\\-/-/g; s/\\e/\\/g; s/\\(aq/'\''/g' |
        grep -E '^((NETIF|yes|echo|nc|devmemtcp|ncdevmem)\b)' | sort -u
}

# smaller COMMAND: the same with sizes and times for an emulated machine.
smaller() {
    local words=$1
    words=${words//100G/32M}
    words=${words//head -c 1G/head -c 1M}
    words=${words//--cpus 8-11/--cpus 0-1}
    words=${words//--interval 10 --count 60/--interval 0.1 --count 3}
    # At a terminal it asks.
    [[ $words != *--probe ]] || words+=' --yes'
    # What these check is checked elsewhere.
    [[ $words != 'devmemtcp bench run '* || $words == *--bytes* ]] || words+=' --time 0.5'
    [[ $words != *'devmemtcp validate'* || $words == *--filter* || $words == *--list* ]] || words+=' --filter tokens'
    printf '%s\n' "$words"
}

# ends STATUS COMMAND: runs it to its end.
ends() {
    status=0
    bash -c "$2" >out 2>messages || status=$?
    expect_equal "status of: $2 ($(tail -n 3 messages))" "$1" "$status"
}

# is_ended_by_us COMMAND: runs it until it has printed something, and ends it.
is_ended_by_us() {
    bash -c "exec $1" >out 2>&1 &
    local pid=$!
    while_runs=$pid await is_not_empty out
    kill "$pid"
    status=0
    wait "$pid" || status=$?
    expect_equal "status of: $1" 143 "$status"
}

# receives COMMAND SENDER: what the sender sends at the far end goes to the command, which must end well.
receives() {
    start_command bash -c "exec $1"
    in_peer bash -c "$2"
    serve_ok
    [[ $1 != *'--output big.out'* ]] || cmp big.bin big.out
}

# beside PORT COMMAND EXAMPLE: runs the example while the command listens at the far end.
beside() {
    # Without in_peer, so that the signal goes to the command.
    ip netns exec peer bash -c "exec $2" >served 2>&1 &
    local pid=$!
    await_far_listener "$1"
    ends 0 "$3"
    if [[ $2 == devmemtcp* ]]; then
        kill "$pid"
        wait "$pid" || true
    else
        # It ends with its connection.
        wait "$pid"
    fi
}

# far_port_is_free: whether no socket at the far end has port 5201.
far_port_is_free() { [[ -z $(in_peer ss -Htan 'sport = :5201') ]]; }

# example COMMAND: runs it beside what it needs. An example that nobody knows how to run is a failure.
example() {
    case $1 in
    *' --provider fd:5')
        receives "devmemtcp bind eth1 --tx --quiet -- bash -c 'exec 5<&3 3<&-; exec $1'" "$file_sender"
        ;;
    *' --provider cuda'*)
        # The settings end with the subshell; a failure in it does not end this test by itself.
        (
            use_cuda
            example_of_any_memory "$1"
        ) || exit
        ;;
    *) example_of_any_memory "$1" ;;
    esac
}

example_of_any_memory() {
    case $1 in
    'devmemtcp serve '*--validate*) receives "$1" "$pattern_sender" ;;
    'devmemtcp serve '*) receives "${1/--output big.bin/--output big.out}" "$file_sender" ;;
    "$file_sender" | "$pattern_sender") receives "devmemtcp serve --listen $near4:5201 --discard" "$1" ;;
    'devmemtcp connect '* | 'nc -l '*)
        beside 5201 'nc -l 5201 > big.got' 'devmemtcp connect 192.0.2.2:5201 --input big.bin'
        cmp big.bin big.got
        ;;
    'devmemtcp bind '*' --socket '*)
        launch bash -c "exec $1"
        drain_messages
        while_runs=$server await test -S /run/devmem.socket
        kill "$server"
        end_serve
        expect_equal "status of: $1" 143 "$status"
        ;;
    'devmemtcp bench serve '*) beside 5201 "$1" 'devmemtcp bench run 192.0.2.2 --bytes 1M' ;;
    'devmemtcp bench matrix '*)
        ends 0 'devmemtcp bench run --remote netns:peer --interface eth1 --bytes 1M --json >results'
        ends 0 "$1"
        expect_line matrix.svg '</svg>'
        ;;
    'devmemtcp bench run '*--remote*) ends 0 "$1" ;;
    'devmemtcp bench run '*) beside 5201 'devmemtcp bench serve' "$1" ;;
    'devmemtcp steer restore training')
        devmemtcp steer apply eth1 --queues 6 --name training --quiet
        ends 0 "$1"
        ;;
    'devmemtcp show eth1 --watch') is_ended_by_us "$1" ;;
    'devmemtcp show --prometheus-file '*)
        mkdir -p /var/lib/prometheus/node-exporter
        ends 0 "$1"
        ;;
    'devmemtcp queue lease '*)
        ip netns add pod
        ip link add nk_host type netkit mode l2 peer name nk0 numrxqueues 2
        ip link set nk0 netns pod
        ends 0 "$1"
        ends 0 "devmemtcp queue unlease eth1 7 --delete"
        ip netns delete pod
        ;;
    'ncdevmem -l '*)
        launch bash -c "exec $1"
        drain_messages
        await_port 5201
        # The sender binds a port that a connection of an earlier example may still occupy.
        await far_port_is_free
        in_peer bash -c "$dropin_sender"
        end_serve
        expect_equal "status of $1: $(tail -n 3 messages)" 0 "$status"
        ;;
    # It has just run, for the receiver.
    "$dropin_sender") ;;
    'echo hello | ncdevmem '*) beside 5201 'nc -l 5201' "$1" ;;
    'devmemtcp '* | 'ncdevmem -f eth1 -b '* | 'NETIF='*' devmemtcp validate'*) ends 0 "$1" ;;
    *) fail "nobody knows how to run: $1" ;;
    esac
}

# the_one PATTERN: prints the only documented command that matches.
the_one() {
    local found
    found=$(printf '%s\n' "${commands[@]}" | grep -- "$1") || fail "no example matches $1"
    [[ $found != *$'\n'* ]] || fail "several examples match $1: $found"
    smaller "$found"
}

# run_examples OPTION...: runs the documented commands that grep(1) selects.
run_examples() {
    local commands command chosen before file_sender pattern_sender dropin_sender waits=net.ipv4.tcp_max_tw_buckets
    make_ssh
    # An example binds a port at the far end that another one has used, and could do so only after a minute.
    undo in_peer sysctl -q -w "$waits=$(in_peer sysctl -n "$waits")"
    in_peer sysctl -q -w "$waits=0"
    undo delete_link nk_host
    undo delete_namespace pod
    reserve_huge_pages 40
    before=$(nic_settings eth1)
    pattern 3000000 >big.bin
    printf '#!/bin/sh\nexit 0\n' >server
    chmod +x server
    # Another user runs it.
    chmod a+rx .
    ln -s "$(command -v devmemtcp)" bin/ncdevmem
    mapfile -t commands < <(documented_commands)
    file_sender=$(the_one '^nc -N ')
    pattern_sender=$(the_one '^yes .* -N 192')
    dropin_sender=$(the_one '^yes .* -p 5201')
    mapfile -t chosen < <(printf '%s\n' "${commands[@]}" | grep -E "$@")
    ((${#chosen[@]} > 4)) || fail "only ${#chosen[@]} commands are documented"
    for command in "${chosen[@]}"; do
        printf '%s\n' "$command"
        example "$(smaller "$command")"
        devmemtcp steer restore --all >/dev/null
        expect_equal "settings after: $command" "$before" "$(nic_settings eth1)"
    done
    printf '# %d commands\n' "${#chosen[@]}"
}

# All commands, in parts.
readonly streaming='^(devmemtcp (serve|connect)|nc|yes|echo|ncdevmem) '
test_examples_of_bench() { run_examples 'devmemtcp bench'; }
test_examples_of_streaming() { run_examples "$streaming"; }
test_examples_of_validate() { run_examples 'devmemtcp validate'; }
test_examples_of_the_rest() { run_examples -v -e 'devmemtcp (bench|validate)' -e "$streaming"; }

# without_figures FILE: makes what a command prints comparable, whatever its figures.
without_figures() { sed -E 's/[0-9][0-9.]*/N/g; s/N [KMGT]?B\/s/N B\/s/; s/ +/ /g' "$@"; }

# What README shows under a command is what the command prints, but for figures.
test_output_shown_in_readme() {
    local command number
    mkdir blocks
    awk '/^```console/ { on = 1; count++; next } /^```/ { on = 0 } on { print >"blocks/" count }' /lab/documents/README.md
    for ((number = 1; ; number++)); do
        [[ -e blocks/$number ]] || break
        command=$(sed -n '1s/^# //p' "blocks/$number")
        tail -n +2 "blocks/$number" >expected
        # One that serves is sent the pattern.
        if [[ $command == *--validate* && $command == *' serve '* ]]; then
            bash -c "$command" >printed 2>&1 &
            server=$!
            await_port 5201
            pattern 67108864 | in_peer nc -N "$near4" 5201
            wait "$server"
        else
            bash -c "$command" >printed 2>&1 || true
        fi
        printf '# %s\n' "$command"
        cat printed
        diff <(without_figures expected) <(without_figures printed) || fail "README shows another output of: $command"
    done
    ((number > 3)) || fail 'README shows no output'
}
