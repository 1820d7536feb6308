// SPDX-License-Identifier: Apache-2.0
/* Keeps an XDP program, which passes every packet, on a network interface in
 * generic mode.
 * Usage: xdp-hold IFACE
 *
 * Prints "attached", and detaches the program at SIGTERM, SIGINT, SIGHUP or the
 * end of its standard input, whichever comes first. So it ends at once if that is
 * /dev/null; bash's "coproc" provides a pipe that stays open. Attaching disables
 * the interface's rx-gro-hw, and nothing enables it again.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Noreturn void die(const char *what, const char *which)
{
	fprintf(stderr, "xdp-hold: %s %s: %s\n", what, which, strerror(errno));
	exit(1);
}

static int bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int load_program(void)
{
	static const struct bpf_insn pass_all[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0,
		  .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_XDP;
	attr.expected_attach_type = BPF_XDP;
	attr.insns = (uintptr_t)pass_all;
	attr.insn_cnt = sizeof(pass_all) / sizeof(pass_all[0]);
	attr.license = (uintptr_t)"";
	strcpy(attr.prog_name, "pass_all");
	return bpf(BPF_PROG_LOAD, &attr);
}

/* The program stays attached while the link is open. */
static int attach(int program, unsigned int interface)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = program;
	attr.link_create.target_ifindex = interface;
	attr.link_create.attach_type = BPF_XDP;
	attr.link_create.flags = XDP_FLAGS_SKB_MODE;
	return bpf(BPF_LINK_CREATE, &attr);
}

/* Blocks the signals that end this program, so that they can be read. */
static int open_signals(void)
{
	sigset_t ending;

	sigemptyset(&ending);
	sigaddset(&ending, SIGTERM);
	sigaddset(&ending, SIGINT);
	sigaddset(&ending, SIGHUP);
	sigprocmask(SIG_BLOCK, &ending, NULL);
	return signalfd(-1, &ending, SFD_CLOEXEC);
}

static int input_goes_on(void)
{
	char ignored[256];
	ssize_t got = read(STDIN_FILENO, ignored, sizeof(ignored));

	return got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN));
}

static void wait_for_end(int signals)
{
	struct pollfd event[] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};

	for (;;) {
		if (poll(event, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			die("cannot wait for", "the end");
		}
		if (event[0].revents)
			return;
		if (event[1].revents && !input_goes_on())
			return;
	}
}

int main(int argc, char **argv)
{
	unsigned int interface;
	int signals, program, link;

	if (argc != 2) {
		fputs("xdp-hold: usage: xdp-hold IFACE\n", stderr);
		return 1;
	}
	signals = open_signals();
	if (signals < 0)
		die("cannot read", "signals");
	interface = if_nametoindex(argv[1]);
	if (!interface)
		die("cannot find", argv[1]);
	program = load_program();
	if (program < 0)
		die("cannot load", "the XDP program");
	link = attach(program, interface);
	if (link < 0)
		die("cannot attach to", argv[1]);

	if (puts("attached") < 0 || fflush(stdout))
		die("cannot write to", "standard output");
	wait_for_end(signals);
	close(link);
	return 0;
}
