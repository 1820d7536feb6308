# shellcheck shell=bash
# Helpers for the scripts of the guest.
# SPDX-License-Identifier: Apache-2.0

# pause SECONDS: sleeps without starting a process.
pause() {
    [[ -n ${pause_channel:-} ]] || exec {pause_channel}<> <(:)
    read -r -t "$1" -u "$pause_channel" || true
}

# find_port NAME: prints the kernel's name of the port, such as vport0p1.
find_port() {
    local file
    for file in /sys/class/virtio-ports/*/name; do
        if [[ $(<"$file") == "$1" ]]; then
            file=${file%/name}
            printf '%s\n' "${file##*/}"
            return
        fi
    done
    return 1
}

# driver_of NIC: prints the kernel's driver for a software device.
driver_of() {
    case $1 in
    gve) echo gve ;;
    mlx5) echo mlx5_core ;;
    esac
}

# The PCI domain of the software devices, and its only bus.
readonly devices_bus=1ab0:00
