# shellcheck shell=bash
# Programs that embed the library, from Tests/Embedding.
# SPDX-License-Identifier: Apache-2.0

# start_embedding PROGRAM ARGUMENT...: starts it and waits until it listens.
start_embedding() {
    [[ -x /lab/embedding/$1 ]] || fail "$1 was not built before the lab was started; scripts/test builds it"
    "/lab/embedding/$1" "${@:2}" >out 2>&1 &
    embedding=$!
    await_text out listening
}

test_embedding_receives_with_a_closure() {
    local sum
    head -c 300001 /dev/urandom >sent
    sum=$(od -An -v -tu1 -w1 sent | awk 'BEGIN { sum = 1 } { sum = (sum * 31 + $1) % 4294967296 } END { printf "%d", sum }')
    start_embedding receive eth1 "$near4:5201"
    send "$near4" 5201 <sent || true
    wait "$embedding" || fail "it ended with $?: $(cat out)"
    expect_line out "of 300001 bytes in device memory, sum $sum"
}

test_embedding_keeps_payload_in_a_thread_of_its_own() {
    # More than the 16 MiB that it has, so that memory must come back in time.
    start_embedding handover eth1 5201
    head -c 30000000 /dev/zero | send "$near4" 5201 || true
    wait "$embedding" || fail "it ended with $?: $(cat out)"
    expect_line out 'of 30000000 bytes kept for a while'
    expect_equal 'kept' true "$(awk '/kept for a while/ { print ($1 >= 29970000 ? "true" : $0) }' out)"
}

test_embedding_errors_are_worded_for_a_library() {
    [[ -x /lab/embedding/receive ]] || fail 'receive was not built before the lab was started; scripts/test builds it'
    /lab/embedding/receive eth9 "$near4:5201" >out 2>&1 && fail 'it succeeded'
    expect_line out 'receive: find interface eth9: No such device'
}
