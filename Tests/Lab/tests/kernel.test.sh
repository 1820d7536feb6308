# shellcheck shell=bash
# What the tool says about a kernel that lacks something: "run --kernels" runs this on each kernel of the lab.
# SPDX-License-Identifier: Apache-2.0

# expected_warnings: prints the checks of doctor that must warn of this kernel.
expected_warnings() {
    local feature
    for feature in sending:bind-tx threshold:hds-thresh-setting page-size:rx-page-size io-uring:io-uring; do
        [[ " $(kernel_lacks) " != *" ${feature%:*} "* ]] || echo "${feature#*:}"
    done
    [[ $(uname -r) != 6.12.* ]] || echo queue-create
}

test_kernel_lacks_are_told() {
    local ids
    make_ready
    devmemtcp doctor eth1 --json >report
    ids=$(jq -r '.checks[] | select(.group == "kernel" and .verdict != "ok") | .id' report | sort)
    expect_equal "warnings of $(uname -r)" "$(expected_warnings | sort)" "$ids"
    expect_equal 'other verdicts' '' \
        "$(jq -r '.checks[] | select(.group == "kernel" and .verdict != "ok" and .verdict != "warning") | .id' report)"
    # A lack is named, with the kernel that has it.
    if ! nic_has sending; then
        expect_refusal 'this kernel lacks bind-tx (needs Linux 6.16)' devmemtcp bind eth1 --tx
        in_peer socat -u TCP-LISTEN:5202,reuseaddr OPEN:/dev/null &
        await_far_listener 5202
        expect_refusal 'this kernel lacks bind-tx (needs Linux 6.16)' devmemtcp connect "$far4:5202" --discard
    fi
    nic_has io-uring || expect_refusal 'this kernel' \
        devmemtcp serve --listen "$near4:5201" --discard --engine io_uring
    if [[ $(kernel_lacks) == *page-size* ]]; then
        reserve_huge_pages 4
        expect_refusal 'this kernel lacks rx-page-size' devmemtcp bind eth1 --rx 7 --memory 4M --page-size 16K
    fi
    [[ $(uname -r) != 6.12.* ]] || expect_refusal 'this kernel lacks queue-create (needs Linux 7.1)' \
        devmemtcp queue lease eth1 5 --to eth1
    if ! nic_has split-held; then
        devmemtcp doctor eth1 >shown
        expect_line shown 'this kernel has no such setting'
    fi
}
