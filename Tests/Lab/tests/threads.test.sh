# shellcheck shell=bash
# Where the threads run, and what they do before they sleep.
# SPDX-License-Identifier: Apache-2.0

# small_messages: prints 20 of them with time between them, less than a second even on a busy host.
small_messages() {
    local number
    for ((number = 0; number < 20; number++)); do
        pattern 700
        pause 0.005
    done
}

# polls_busily OPTION...: whether packets of a connection came by busy polling.
polls_busily() {
    local before
    before=$(busy_polled)
    start_serve --listen "$near4:5201" --validate 7 --json "$@"
    if [[ $* == *echo* ]]; then
        small_messages | in_peer devmemtcp connect "$near4:5201" --quiet --discard
    else
        small_messages | send "$near4" 5201
    fi
    serve_ok
    expect_equal 'bytes checked' 14000 "$(report .validation.checked_bytes)"
    (($(busy_polled) > before))
}

test_threads_poll_the_nic_with_either_engine() {
    local engine
    for engine in socket io_uring; do
        polls_busily --engine "$engine" --busy-poll 1000000 || fail "no packet came by busy polling: $engine"
        expect_equal 'time told' 1000000 "$(report .busy_poll_us)"
        ! polls_busily --engine "$engine" || fail "packets came by busy polling: $engine"
        expect_equal 'time told' null "$(report .busy_poll_us)"
    done
    polls_busily --duplex echo --busy-poll 1000000 || fail 'no packet came by busy polling: echo'
}

test_threads_that_send_poll_the_nic() {
    local before
    before=$(busy_polled)
    in_peer devmemtcp serve --listen "$far4:5201" --discard --quiet --allow-host-memory 2>far_messages &
    local peer=$!
    await_far_listener 5201
    pattern 20000002 | devmemtcp connect "$far4:5201" --discard --quiet --json --busy-poll 1000000 >out
    wait "$peer"
    expect_equal 'time told' 1000000 "$(report .busy_poll_us)"
    (($(busy_polled) > before)) || fail 'no packet came by busy polling'
}

test_threads_run_on_the_processors_given() {
    local processors
    processors=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status)
    validate_pattern "$near4" 700
    expect_equal 'by default' "$processors the host has one NUMA node" "$(report '"\(.cpus) \(.cpus_reason)"')"
    validate_pattern "$near4" 700 --cpus any
    expect_equal 'any' "$processors null" "$(report '"\(.cpus) \(.cpus_reason)"')"
    start_serve --listen "$near4:5201" --discard --cpus 0 --json
    keep_sending
    await_text messages 'connection from'
    await has_thread_on 0
    kill -TERM "$server"
    end_serve
    wait "$sender" || true
    expect_equal 'of a list' '0 null' "$(report '"\(.cpus) \(.cpus_reason)"')"
    start_command taskset -c 0 devmemtcp serve --listen "$near4:5201" --validate 7 --json
    pattern 700 | send "$near4" 5201
    serve_ok
    expect_equal 'by taskset' 0 "$(report .cpus)"
    local status=0
    devmemtcp serve --listen "$near4:5201" --discard --cpus 0,99 2>messages || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_equal lines 1 "$(wc -l <messages)"
    expect_line messages 'run on processor 99: Invalid argument'
}

# has_thread_on LIST: whether a thread of the server may run on these processors only.
has_thread_on() { grep -qx "Cpus_allowed_list:[[:space:]]*$1" /proc/"$server"/task/*/status; }

test_threads_of_napi_are_told() {
    local threaded=/sys/class/net/eth1/threaded value told=(false true)
    undo write_file "$threaded" "$(<"$threaded")"
    for value in 0 1; do
        echo "$value" >"$threaded"
        validate_pattern "$near4" 700
        expect_equal "threaded $value" "${told[value]}" "$(report .napi_threaded)"
    done
}
