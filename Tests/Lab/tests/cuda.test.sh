# shellcheck shell=bash
# Memory of GPUs, with stand-ins for the drivers, whose GPUs have memory of the host (Tests/Lab/cuda).
# SPDX-License-Identifier: Apache-2.0

# use_cuda [NAME=VALUE...]: from now on the commands of this test find the stand-in; the settings are its own, without
# CUDA_STAND_IN_.
use_cuda() {
    local setting
    export LD_LIBRARY_PATH=/lab/programs/cuda CUDA_STAND_IN_LOG=$PWD/cuda
    for setting; do export "CUDA_STAND_IN_$setting"; done
}

# cuda_count NAME: of the stand-in's log, which the command wrote when it ended.
cuda_count() { awk -v name="$1" '$1 == name { found = $2 } END { print found + 0 }' cuda; }

# expect_freed: the command left nothing in the driver. What it copied is in $copied_out and $copied_in.
expect_freed() {
    [[ -e cuda ]] || fail 'the driver was not used'
    expect_equal 'left in the driver' 0 "$(cuda_count live)"
    copied_out=$(cuda_count copied-out) copied_in=$(cuda_count copied-in)
    rm cuda
}

# dmabufs: prints the number of dma-bufs of the guest. The kernel may free that of a closed binding later, also that of the
# test before.
dmabufs() { sed -n 's/^Total \([0-9]*\) objects.*/\1/p' /sys/kernel/debug/dma_buf/bufinfo; }

dmabufs_are_at_most() {
    receive_on_each_processor
    (($(dmabufs) <= $1))
}

test_cuda_memory_receives() {
    use_cuda
    local before engine
    before=$(dmabufs)
    for engine in socket io_uring; do
        validate_pattern "$near4" 5000003 --provider cuda --engine "$engine"
        expect_equal engine "$engine" "$(report .engine)"
        expect_equal memory 67108864 "$(report .dmabuf_bytes)"
        expect_device_share
        # A kernel of the GPU compares, and nothing is copied.
        (($(cuda_count cuLaunchKernel) > 0)) || fail 'no kernel ran'
        expect_equal modules 1 "$(cuda_count cuModuleLoadData)"
        expect_freed
        expect_equal 'bytes copied out' 0 "$copied_out"
        expect_equal 'bytes copied in' 0 "$copied_in"

        receive_random 3000001 --provider cuda:0 --engine "$engine"
        expect_freed
        ((copied_out > 2990000)) || fail "$copied_out bytes copied out"

        start_serve --listen "$near4:5201" --discard --json --provider cuda --engine "$engine"
        pattern 5000003 | send "$near4" 5201
        serve_ok
        expect_device_share
        expect_freed
        expect_equal 'bytes copied out' 0 "$copied_out"
    done
    await dmabufs_are_at_most "$before"
}

# wrong_pattern BYTES OFFSET...: the pattern of "pattern", with an X at each offset.
wrong_pattern() {
    local offset
    pattern "$1" >wrong
    for offset in "${@:2}"; do printf X | dd of=wrong bs=1 seek="$offset" conv=notrunc status=none; done
    cat wrong
}

# expect_wrong BYTES OFFSET...: the report has as many wrong bytes, and the first of them.
expect_wrong() {
    expect_equal 'what is wrong' "$1 $(($# - 1)) $2 $(pattern $(($2 + 1)) | tail -c 1 | od -An -tu1 | tr -d ' ') 88" \
        "$(report '.validation | "\(.checked_bytes) \(.wrong_bytes) \(.first_mismatch.offset) \(.first_mismatch.expected) \(.first_mismatch.found)"')"
}

test_cuda_wrong_bytes_are_found() {
    use_cuda
    local engine offsets
    for engine in socket io_uring; do
        for offsets in 0 2000002 '1048575 1048576 1048583' '777777 777778 1999999'; do
            start_serve --listen "$near4:5201" --validate 7 --json --provider cuda --engine "$engine"
            # shellcheck disable=SC2086  # Several words.
            wrong_pattern 2000003 $offsets | send "$near4" 5201
            end_serve
            expect_equal "exit status with $offsets" 1 "$status"
            # shellcheck disable=SC2086
            expect_wrong 2000003 $offsets
            (($(cuda_count cuLaunchKernel) > 0)) || fail 'no kernel ran'
            expect_freed
            expect_equal 'bytes copied out' 0 "$copied_out"
        done
    done
}

# Where the driver refuses the kernel, the CPU reads copies, and only what was received.
test_cuda_kernel_that_is_refused() {
    use_cuda
    local engine
    for engine in socket io_uring; do
        CUDA_STAND_IN_FAIL=cuModuleLoadData:0=218 start_serve --listen "$near4:5201" --validate 7 --json \
            --provider cuda --engine "$engine"
        wrong_pattern 2000003 1500000 | send "$near4" 5201
        end_serve
        expect_equal 'exit status' 1 "$status"
        expect_wrong 2000003 1500000
        expect_line messages 'the CPU compares and fills copies of the memory: load kernels into GPU 0'
        expect_equal 'lines about it' 1 "$(grep -c 'the CPU compares' messages)"
        expect_equal launches 0 "$(cuda_count cuLaunchKernel)"
        expect_freed
        expect_equal 'bytes copied out' "$(report .counts.device_bytes)" "$copied_out"
    done
    # Both in one session: the file needs the bytes.
    start_serve --listen "$near4:5201" --validate 7 --output got --json --provider cuda
    pattern 2000003 | send "$near4" 5201
    serve_ok
    expect_equal launches 0 "$(cuda_count cuLaunchKernel)"
    expect_freed
    cmp got <(pattern 2000003)
}

test_cuda_memory_of_several_queues() {
    use_cuda WITHOUT=ordering
    # One allocation for each queue of io_uring, one for all of the socket engine.
    validate_pattern "$near4" 5000003 --provider cuda --queues 6-7 --engine io_uring --memory 32M
    expect_equal memory 33554432 "$(report .dmabuf_bytes)"
    expect_equal dma-bufs 2 "$(cuda_count cuMemGetHandleForAddressRange)"
    (($(cuda_count cuFlushGPUDirectRDMAWrites) > 0)) || fail 'nothing was flushed'
    expect_freed
    # Sizes are whole large pages.
    validate_pattern "$near4" 1000003 --provider cuda --queues 6-7 --engine socket --memory 33M
    expect_equal memory 35651584 "$(report .dmabuf_bytes)"
    expect_equal dma-bufs 1 "$(cuda_count cuMemGetHandleForAddressRange)"
    expect_freed
}

# A GPU's memory is contiguous.
test_cuda_memory_in_large_buffers() {
    needs page-size
    use_cuda
    local engine
    for engine in socket io_uring; do
        validate_pattern "$near4" 5000003 --provider cuda --rx-page-size 64K --engine "$engine"
        expect_equal 'size of buffers' 65536 "$(report .rx_page_bytes)"
        expect_device_share
        expect_freed
    done
}

# Where ordinary memory of the GPU is not exported, memory that is made for other devices is.
test_cuda_memory_made_for_devices() {
    use_cuda 'WITHOUT=plain pcie'
    validate_pattern "$near4" 1000003 --provider cuda
    expect_device_share
    expect_equal mapped 1 "$(cuda_count cuMemMap)"
    expect_freed
}

test_cuda_memory_sends() {
    use_cuda
    local sink
    head -c 5000003 /dev/urandom >sent
    in_peer socat -u TCP-LISTEN:5301,reuseaddr OPEN:got,creat &
    sink=$!
    await_port 5301 in_peer
    devmemtcp connect "$far4:5301" --provider cuda --input sent
    wait "$sink"
    cmp sent got
    expect_freed
    expect_equal 'bytes copied in' 5000003 "$copied_in"
    expect_equal 'bytes copied out' 0 "$copied_out"
}

test_cuda_memory_answers() {
    use_cuda
    head -c 3000001 /dev/urandom >answer
    head -c 2000001 /dev/urandom >question
    start_serve --listen "$near4:5201" --output got --duplex file:answer --provider cuda
    in_peer socat -t 60 - "TCP:$near4:5201" <question >came
    serve_ok
    cmp question got
    cmp answer came
    expect_equal allocations 2 "$(cuda_count cuMemAlloc_v2)"
    expect_freed
    expect_equal 'bytes copied in' 3000001 "$copied_in"
}

test_cuda_memory_in_bench() {
    use_cuda
    bench_ok --bytes 5000001 --provider cuda --validate
    expect_true 'all in device memory' '.inbound.device_bytes > 0.999 * .inbound.bytes'
    expect_true 'every byte is right' '.inbound.wrong_bytes == 0'
    (($(cuda_count cuLaunchKernel) > 0)) || fail 'no kernel ran'
    expect_freed
    expect_equal 'bytes copied out' 0 "$copied_out"
    bench_ok --bytes 5000001 --provider cuda --tx device --validate
    expect_true 'from device memory' '.outbound | .sent_bytes == 5000001 and .memory.sender == "device"'
    expect_true 'compared' '.far.flows[0].validation.checked_bytes == 5000001'
    (($(cuda_count cuLaunchKernel) > 0)) || fail 'no kernel filled the memory'
    expect_freed
    expect_equal 'bytes copied in' 0 "$copied_in"
    # By the CPU.
    CUDA_STAND_IN_FAIL=cuModuleLoadData:0=218 \
        bench_ok --bytes 5000001 --provider cuda --tx device --validate
    expect_true 'compared' '.far.flows[0].validation.checked_bytes == 5000001'
    expect_freed
    ((copied_in > 0)) || fail 'nothing was copied in'
}

# Every family of cases that uses memory does so with a GPU's.
test_cuda_memory_in_validate() {
    use_cuda
    devmemtcp validate eth1 --remote netns:peer --provider cuda \
        --filter bind bound receive-ipv4 tokens send-ipv4.segments-of-4096 send-refusals io-uring >out ||
        fail "it ended with $?: $(grep -A4 '^not ok' out)"
    (($(grep -c '^ok' out) > 30)) || fail "few cases: $(cat out)"
    ! grep -q '^ok .* io-uring.*SKIP' out || fail "skipped: $(cat out)"
    expect_freed
    ((copied_out > 0 && copied_in > 0)) || fail "copied $copied_out bytes out and $copied_in in"
    local status=0
    devmemtcp validate eth1 --provider unix:/x 2>messages || status=$?
    expect_equal 'exit status' 64 "$status"
    expect_line messages 'unix:/x is only one dma-buf; the cases need several'
}

# bind hands the memory to a program.
test_cuda_memory_of_bind() {
    use_cuda
    start_command devmemtcp bind eth1 --tx --quiet --provider cuda -- devmemtcp serve --listen "$near4:5201" \
        --discard --json --provider fd:3
    pattern 5000003 | send "$near4" 5201
    serve_ok
    expect_equal memory 67108864 "$(report .dmabuf_bytes)"
    expect_device_share
    expect_freed
    devmemtcp bind eth1 --rx 7 --quiet --provider cuda -- true 2>messages || fail "it ended with $?: $(cat messages)"
    expect_freed
}

# expect_chosen PROVIDER GPU
expect_chosen() {
    start_serve --listen "$near4:5201" --discard --verbose --provider "$1"
    head -c 1000 /dev/zero | send "$near4" 5201
    serve_ok
    expect_line messages "the memory is of GPU $2 "
}

test_cuda_gpu_is_chosen() {
    local nearest=0 address
    address=$(basename "$(readlink -f /sys/class/net/eth1/device 2>/dev/null)")
    # labnic is no PCI device.
    if [[ $address == *:*:*.* ]]; then nearest=2; else address=0000:03:00.0; fi
    use_cuda "GPUS=0000:81:00.0 0000:82:00.0 $address 0000:84:00.0"
    expect_chosen cuda "$nearest"
    expect_chosen cuda:1 1
    expect_chosen cuda:GPU-40 3
    expect_chosen cuda:82:00.0 1
    expect_chosen cuda:near:eth1 "$nearest"
    # The nearest that can be used.
    use_cuda "WITHOUT=dmabuf-$nearest"
    expect_chosen cuda "$((nearest == 0))"
}

# refused TEXT OPTION...: serve fails, in one line with the text.
refused() {
    local text=$1 status=0
    devmemtcp serve --listen "$near4:5201" --discard "${@:2}" </dev/null 2>messages || status=$?
    expect_equal "exit status of $*" 1 "$status"
    expect_line messages "$text"
    expect_equal "lines of $*" 1 "$(wc -l <messages)"
}

test_cuda_memory_that_cannot_be_had() {
    local text provider settings setting
    refused "install NVIDIA's driver" --provider cuda
    use_cuda
    while IFS='|' read -r settings provider text; do
        # Each in a shell of its own, so that the settings end.
        (
            IFS=';'
            for setting in $settings; do export "CUDA_STAND_IN_$setting"; done
            refused "$text" --provider "$provider"
            expect_freed
        )
    done <<'END'
GPUS=|cuda|nvidia-smi -L lists the GPUs
WITHOUT=dmabuf|cuda|load NVIDIA's open kernel modules
WITHOUT=dmabuf-0;GPUS=0:1:0.0 0:2:0.0|cuda:0|the driver exports no dma-bufs of this GPU
WITHOUT=plain vmm|cuda|CUDA_ERROR_NOT_SUPPORTED: operation not supported
MEMORY=33554432|cuda|33554432 of the GPU's 33554432 bytes are free (choose a smaller --memory
GPUS=0:1:0.0 0:2:0.0|cuda:2|there is no such GPU (the GPUs are: 0 0000:01:00.0
GPUS=0:1:0.0 0:2:0.0|cuda:GPU-3|there is no such GPU
FAIL=cuDeviceGetCount:0=803|cuda|reload them or restart the host
|cuda:near:eth9|find interface eth9
END
    LD_LIBRARY_PATH=/lab/programs/cuda-old CUDA_STAND_IN_VERSION=11060 \
        refused 'the driver supports CUDA 11.6 and exports no dma-bufs' --provider cuda
    LD_LIBRARY_PATH=/lab/programs/cuda-broken refused 'it has no cuMemAlloc_v2' --provider cuda
}

# Every call of the driver fails in turn. The runner compares the NIC afterwards.
test_cuda_failure_of_any_call_leaves_nothing() {
    use_cuda
    local before call
    before=$(dmabufs)
    for call in cuDriverGetVersion cuDeviceGetCount cuDeviceGetName cuDeviceGetAttribute cuDevicePrimaryCtxRetain \
        cuCtxPushCurrent_v2 cuMemAlloc_v2 cuMemGetHandleForAddressRange cuStreamCreate; do
        CUDA_STAND_IN_FAIL=$call:0=999 refused CUDA_ERROR_UNKNOWN --provider cuda --queues 6-7
        expect_freed
    done
    # A copy that fails while payload arrives ends the session, and so does a kernel.
    for call in cuMemcpyDtoHAsync_v2 cuStreamSynchronize; do
        CUDA_STAND_IN_FAIL=$call:3=999 start_serve --listen "$near4:5201" --output got --provider cuda
        pattern 5000003 | send "$near4" 5201 || true
        end_serve
        expect_equal "exit status after $call" 1 "$status"
        expect_line messages 'copy from GPU 0'
        expect_freed
    done
    for call in cuLaunchKernel cuMemcpyDtoHAsync_v2 cuStreamSynchronize; do
        CUDA_STAND_IN_FAIL=$call:3=700 start_serve --listen "$near4:5201" --validate 7 --provider cuda
        pattern 5000003 | send "$near4" 5201 || true
        end_serve
        expect_equal "exit status after $call" 1 "$status"
        expect_line messages 'compare memory of GPU 0'
        expect_line messages 'CUDA_ERROR_ILLEGAL_ADDRESS'
        expect_freed
    done
    await dmabufs_are_at_most "$before"
}

test_cuda_memory_of_a_killed_process_is_freed() {
    use_cuda
    await dmabufs_are_at_most 0
    start_serve --listen "$near4:5201" --discard --provider cuda
    (($(dmabufs) > 0)) || fail 'there is no dma-buf'
    kill -KILL "$server"
    end_serve
    devmemtcp steer restore eth1 >restored
    await dmabufs_are_at_most 0
}

test_cuda_doctor_names_the_gpus() {
    use_cuda 'GPUS=0000:81:00.0 0000:82:00.0' WITHOUT=dmabuf-1
    # Other checks may fail.
    devmemtcp doctor eth1 --json >out || true
    report '.checks[] | select(.id == "gpus") | "\(.verdict): \(.evidence)"' >gpus
    expect_line gpus 'warning: GPU 0 (Stand-in A, 0000:81:00.0), 1.0 GiB, exports dma-bufs; GPU 1'
    expect_line gpus '1.0 GiB, exports no dma-bufs; NVIDIA'
    expect_equal distances 'GPU 0 is the best for this NIC' \
        "$(report '.checks[] | select(.id == "gpu-distance") | .evidence' | cut -d: -f1)"
    expect_freed
    # Without a GPU there is nothing to say.
    use_cuda GPUS=
    devmemtcp doctor eth1 --json >out || true
    expect_equal gpus 'cuda-library ok' \
        "$(report '.checks[] | select(.id | test("^(cuda|gpu)")) | "\(.id) \(.verdict)"')"
}

# use_rocm [SETTING]: the same with the stand-in for AMD's runtime.
use_rocm() {
    export LD_LIBRARY_PATH=/lab/programs/rocm CUDA_STAND_IN_LOG=$PWD/cuda ROCM_STAND_IN=${1:-}
}

test_rocm_memory() {
    local engine setting status=0
    # By the export of ROCm 7, and by that of HSA before it.
    for setting in '' 5; do
        use_rocm "$setting"
        for engine in socket io_uring; do
            validate_pattern "$near4" 5000003 --provider rocm --engine "$engine"
            expect_equal memory 67108864 "$(report .dmabuf_bytes)"
            expect_device_share
            expect_freed
            expect_equal 'bytes copied out' "$(report .counts.device_bytes)" "$copied_out"
        done
    done
    use_rocm
    bench_ok --bytes 5000001 --provider rocm:0 --tx device --validate
    expect_freed
    devmemtcp doctor eth1 --json >out || true
    expect_equal gpus 'rocm-library ok, amd-gpus ok' \
        "$(report '[.checks[] | select(.id | test("^(rocm|amd)")) | "\(.id) \(.verdict)"] | join(", ")')"
}

test_rocm_memory_that_cannot_be_had() {
    refused "install AMD's ROCm" --provider rocm
    use_rocm large
    refused 'those of other memory too' --provider rocm
    use_rocm '5 offset'
    refused 'it begins 4096 bytes into a dma-buf' --provider rocm
    use_rocm
    refused 'there is no such GPU' --provider rocm:1
    CUDA_STAND_IN_WITHOUT=dmabuf refused 'the driver exports no dma-bufs' --provider rocm
    CUDA_STAND_IN_MEMORY=33554432 refused "33554432 of the GPU's 33554432 bytes are free" --provider rocm
    expect_freed
}
