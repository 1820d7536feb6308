# shellcheck shell=bash
# "scripts/lab run" and "scripts/lab shell": boots one guest, retries a boot that died early, and passes on the result or
# fails.
# SPDX-License-Identifier: Apache-2.0

readonly boot_attempts=3
# What messages call the guest and its command.
guest='the guest' command_name='the command'

# show_tail WHAT FILE: prints the last lines of a file that may be binary.
show_tail() {
    local what=$1 file=$2
    [[ -s $file ]] || return 0
    say "the last lines of $what:"
    tail -c 8192 "$file" | tail -n 40 | cat -v | sed 's/^/    /; s/\^M$//' >&2
}

bad_console_lines() { tr -d '\r' <"$work/console" | "$lab_dir/guest/kernel-log-check" "$nic"; }

show_complaints() {
    local complaint
    say "$1"
    for complaint in "${complaints[@]}"; do printf '    %s\n' "$complaint" >&2; done
}

# Under multi-threaded TCG a boot sometimes dies before anything of ours runs. Such a boot is tried again, unless a
# module of ours was involved.
may_boot_again() {
    ((!reached)) && [[ $outcome == died || $outcome == boot-limit ]] &&
        ! grep -a -q -E 'labnic|labdevices' "$work/console"
}

boot() {
    local attempt
    for ((attempt = 1; ; attempt++)); do
        reset_channels
        start_machine
        if [[ $mode == run ]]; then start_followers; fi
        follow_guest
        stop_machine
        finish_followers
        [[ -z $console_file ]] || cp "$work/console" "$console_file"
        if ((attempt >= boot_attempts)) || ! may_boot_again; then return; fi
        say "$guest died while booting (${outcome}: $(bad_console_lines | head -n 1)); trying again"
    done
}

# conclude: prints messages about the outcome of $guest, and returns the exit status.
conclude() {
    local lines
    case $outcome in
    ended)
        if ((${#complaints[@]})); then
            show_complaints "$command_name ended with status $guest_status, but $guest's kernel is not clean:"
            return "$exit_lab"
        fi
        lines=$(bad_console_lines || true)
        if [[ -n $lines ]]; then
            say "$command_name ended with status $guest_status, but $guest's console is not clean:"
            printf '%s\n' "$lines" >&2
            return "$exit_lab"
        fi
        return "$guest_status"
        ;;
    failed)
        show_complaints "$guest could not be set up:"
        bad_console_lines >&2 || true
        show_tail "the kernel's console" "$work/console"
        ;;
    limit)
        say "the command was still running after $limit s and was ended; --limit allows more"
        show_tail "the kernel's console" "$work/console"
        show_tail "stdout" "$work/stdout"
        show_tail "stderr" "$work/stderr"
        return "$exit_limit"
        ;;
    no-reader)
        return 141
        ;;
    no-partner)
        say "$guest was ended because the other one had ended"
        ;;
    died)
        if ((reached)); then say "$guest died while the command ran"; else say "$guest died while booting"; fi
        bad_console_lines >&2 || true
        show_tail "QEMU's own output" "$work/qemu.log"
        show_tail "the kernel's console" "$work/console"
        if ran_stale_code "$work/console"; then
            say "QEMU executed an int3 that is not in the memory of $guest: this is a fault of QEMU; run the command again"
            return "$exit_emulator"
        fi
        ;;
    boot-limit)
        say "$guest did not start the command within $boot_limit s"
        show_tail "the kernel's console" "$work/console"
        ;;
    esac
    return "$exit_lab"
}

on_signal() {
    stop_machine
    exit $((128 + $1))
}

clean_up() {
    stop_machine
    stop_far_guest
    [[ -z ${saved_terminal:-} ]] || stty "$saved_terminal" || true
    rm -rf "$work"
}

# Sets `work`, `tool`, `accelerator` and `boot_limit`, and makes the artefacts of $kernel.
begin_run() {
    need_commands qemu-system-x86_64 setpriv
    work=$(mktemp -d "${TMPDIR:-/tmp}/devmemtcp-lab.XXXXXX")
    trap clean_up EXIT
    trap 'on_signal 1' HUP
    trap 'on_signal 2' INT
    trap 'on_signal 15' TERM
    find_tool "$build" "$binary"
    prepare
    choose_accelerator
    # Emulation is slow on a busy machine, and counting instructions is slower still.
    boot_limit=180
    if ((icount)); then boot_limit=600; fi
}

# Makes the initramfs and boots it.
run_guest() {
    with_cache_lock shared make_initramfs "$work/initramfs"
    describe_machine "$accelerator"
    boot
}

run_lab() {
    local tool='' status=0 saved_terminal=''
    begin_run
    if [[ $mode == shell ]]; then
        saved_terminal=$(stty -g)
        read -r rows columns < <(stty size)
        terminal=${TERM:-linux}
    fi
    run_guest
    if [[ -n $saved_terminal ]]; then
        stty "$saved_terminal"
        saved_terminal=
    fi
    conclude || status=$?
    exit "$status"
}
