# shellcheck shell=bash
# Payload in every kind of memory, with both engines.
# SPDX-License-Identifier: Apache-2.0

# receive_in PROVIDER [OPTION...]: with each engine; the dma-buf must have 64 MiB.
receive_in() {
    local engine
    for engine in socket io_uring; do
        validate_pattern "$near4" 5000003 --provider "$@" --engine "$engine"
        expect_equal "engine with $1" "$engine" "$(report .engine)"
        expect_equal "memory with $1" 67108864 "$(report .dmabuf_bytes)"
        expect_device_share
    done
}

test_memory_of_pages_and_heaps() {
    receive_in udmabuf
    receive_in heap:system
}

test_memory_of_huge_pages() {
    # Enough for both, as the kernel may free the memory of an ended one later.
    reserve_huge_pages 70
    receive_in udmabuf:2M
    pattern 5000003 >sent
    in_peer socat -u TCP-LISTEN:5301,reuseaddr OPEN:got,creat &
    local sink=$!
    await_port 5301 in_peer
    devmemtcp connect "$far4:5301" --provider udmabuf:2M --input sent
    wait "$sink"
    cmp sent got
    local status=0
    echo 0 >/proc/sys/vm/nr_hugepages
    devmemtcp serve --listen "$near4:5201" --discard --provider udmabuf:2M 2>messages || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'sysctl vm.nr_hugepages=32 reserves as many as this needs'
    devmemtcp serve --listen "$near4:5201" --discard --provider udmabuf:16M 2>messages || status=$?
    expect_line messages '/sys/kernel/mm/hugepages shows the sizes; 16M may be none'
}

test_memory_of_a_benchmark_that_sends() {
    reserve_huge_pages 16
    local provider
    for provider in udmabuf udmabuf:2M heap:system; do
        bench_ok --bytes 5000001 --tx device --validate --provider "$provider"
        expect_true "from device memory of $provider" '.outbound | .sent_bytes == 5000001 and .memory.sender == "device"'
    done
    bench --bytes 5000001 --tx device --provider heap:none
    expect_equal 'exit status' 1 "$status"
    expect_line messages /dev/dma_heap
}

# A program that makes its own dma-buf and starts this one: here bind does.
test_memory_of_an_inherited_descriptor() {
    local engine
    for engine in socket io_uring; do
        start_command devmemtcp bind eth1 --tx --quiet -- devmemtcp serve --listen "$near4:5201" --validate 7 --json \
            --provider fd:3 --memory 1M --engine "$engine"
        pattern 5000003 | send "$near4" 5201
        serve_ok
        expect_equal 'bytes checked' 5000003 "$(report .validation.checked_bytes)"
        expect_equal 'bytes wrong' 0 "$(report .validation.wrong_bytes)"
        expect_equal memory 67108864 "$(report .dmabuf_bytes)"
        expect_equal engine "$engine" "$(report .engine)"
    done
}

# is_handed_over: whether the dma-buf can be had from ./socket; a killed process leaves a socket that refuses.
is_handed_over() { socat -u UNIX-CONNECT:socket - >handed 2>>refusals; }

# hand_over OPTION...: binds in the background, and waits until the dma-buf can be had. A shell may lose a signal that it is
# sent before it became the program.
hand_over() {
    devmemtcp bind eth1 --quiet --socket "$PWD/socket" "$@" >bound 2>bind-messages &
    holder=$!
    while_runs=$holder await is_handed_over
}

test_memory_from_a_socket() {
    local place=unix:$PWD/socket holder
    hand_over --tx
    receive_in "$place"
    pattern 5000003 >sent
    in_peer socat -u TCP-LISTEN:5301,reuseaddr OPEN:got,creat &
    local sink=$!
    await_port 5301 in_peer
    devmemtcp connect "$far4:5301" --provider "$place" --input sent
    wait "$sink"
    cmp sent got
    kill -TERM "$holder"
    wait "$holder" || true
    [[ ! -e socket ]] || fail 'the socket is left'
    local status=0
    devmemtcp serve --listen "$near4:5201" --discard --provider "$place" 2>messages || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_line messages "receive a descriptor from $PWD/socket: No such file or directory"
}

# What is handed over says what is bound.
test_memory_handed_over_is_described() {
    local holder
    hand_over --rx 7 --tx
    expect_equal described '[[7],true,true,67108864]' "$(jq -c '[.queues, .rx_id > 0, .tx_id > 0, .dmabuf_bytes]' handed)"
    kill -KILL "$holder"
    wait "$holder" || true
    devmemtcp steer restore eth1 >restored
    # The socket of a killed process is replaced.
    hand_over --tx
    kill -TERM "$holder"
    wait "$holder" || true
}

test_memory_that_cannot_be_had() {
    local provider text
    while IFS='|' read -r provider text; do
        local status=0
        devmemtcp serve --listen "$near4:5201" --discard --provider "$provider" </dev/null 2>messages || status=$?
        expect_equal "exit status with $provider" 1 "$status"
        expect_line messages "$text"
        expect_equal "lines with $provider" 1 "$(wc -l <messages)"
    done <<'END'
fd:0|use descriptor 0: it is not a dma-buf
fd:999|use descriptor 999: Bad file descriptor
unix:/dev/null|receive a descriptor from /dev/null: Connection refused
heap:none|/dev/dma_heap
END
    # Two queues of io_uring take two dma-bufs.
    status=0
    devmemtcp bind eth1 --tx --quiet -- devmemtcp serve --listen "$near4:5201" --discard --queues 6-7 --engine io_uring \
        --provider fd:3 2>messages || status=$?
    expect_equal 'exit status' 1 "$status"
    expect_line messages 'make 2 dma-bufs: fd:3 is only one'
}
