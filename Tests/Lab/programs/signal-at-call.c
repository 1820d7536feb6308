/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signal-at-call CALL[,CALL...] SIGNAL NUMBER COMMAND...: runs a command and sends it a signal as it enters
 * the NUMBERth of these system calls, counted over all its threads and children. With SIGKILL, the command
 * does not execute the call. The exit status is that of the command, or 128 and the number of the signal that
 * ended it.
 *
 * strace -e inject does the same, but stops a process at every system call, which takes ten times as long under
 * emulation, and cannot send signals with --seccomp-bpf.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
	const char *name;
	int number;
} known[] = {
	{ "fsync", SYS_fsync }, { "ioctl", SYS_ioctl }, { "rename", SYS_rename }, { "sendmsg", SYS_sendmsg },
	{ "sendto", SYS_sendto }, { "unlink", SYS_unlink },
};

#define MAX_CALLS 8

static void die(const char *what)
{
	perror(what);
	exit(126);
}

static unsigned int number_of(const char *name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(known[i].name, name))
			return known[i].number;
	fprintf(stderr, "signal-at-call: unknown call %s\n", name);
	exit(126);
}

/* The kernel stops this process, also after exec, at these calls only. */
static void watch(char *names)
{
	struct sock_filter code[2 * MAX_CALLS + 2];
	struct sock_fprog program = { .filter = code };
	int calls = 0;

	code[program.len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (char *name = strtok(names, ","); name && calls < MAX_CALLS; name = strtok(NULL, ","), calls++) {
		code[program.len++] =
			(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number_of(name), 0, 1);
		code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	}
	code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		die("signal-at-call: seccomp");
}

static int follow(pid_t child, int signal_number, long wanted)
{
	long seen = 0;

	for (;;) {
		int status, pass = 0;
		pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0) {
			if (errno == EINTR)
				continue;
			die("signal-at-call: waitpid");
		}
		if (WIFEXITED(status) && pid == child)
			return WEXITSTATUS(status);
		if (WIFSIGNALED(status) && pid == child)
			return 128 + WTERMSIG(status);
		if (!WIFSTOPPED(status))
			continue;
		if (status >> 16 == PTRACE_EVENT_SECCOMP) {
			if (++seen == wanted)
				kill(child, signal_number);
		} else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP) {
			/* New threads and children start with SIGSTOP. */
			pass = WSTOPSIG(status);
		}
		ptrace(PTRACE_CONT, pid, 0, pass);
	}
}

int main(int count, char **arguments)
{
	pid_t child;
	int status;

	if (count < 5) {
		fprintf(stderr, "usage: signal-at-call CALL[,CALL...] SIGNAL NUMBER COMMAND...\n");
		return 126;
	}
	child = fork();
	if (child < 0)
		die("signal-at-call: fork");
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0))
			die("signal-at-call: ptrace");
		raise(SIGSTOP);
		watch(arguments[1]);
		execvp(arguments[4], arguments + 4);
		die(arguments[4]);
	}
	if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		die("signal-at-call: waitpid");
	if (ptrace(PTRACE_SETOPTIONS, child, 0,
		   PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
			   PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC))
		die("signal-at-call: ptrace");
	ptrace(PTRACE_CONT, child, 0, 0);
	return follow(child, atoi(arguments[2]), atol(arguments[3]));
}
