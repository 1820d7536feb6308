# shellcheck shell=bash
# What the guest's scripts share.
# SPDX-License-Identifier: Apache-2.0

# pause SECONDS: sleeps without starting a process.
pause() {
    [[ -n ${pause_channel:-} ]] || exec {pause_channel}<> <(:)
    read -r -t "$1" -u "$pause_channel" || true
}
