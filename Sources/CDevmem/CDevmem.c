/* SPDX-License-Identifier: Apache-2.0 */
#include "CDevmem.h"

#include <asm-generic/hugetlb_encode.h>
#include <linux/bpf.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

const int cdm_F_SETPIPE_SZ = F_SETPIPE_SZ;
const int cdm_F_GETPIPE_SZ = F_GETPIPE_SZ;
const int cdm_EPOLL_CLOEXEC = EPOLL_CLOEXEC;
const uint32_t cdm_EPOLLET = EPOLLET;
const int cdm_TFD_CLOEXEC = TFD_CLOEXEC;
const int cdm_TFD_NONBLOCK = TFD_NONBLOCK;
const int cdm_O_DIRECT = O_DIRECT;
const int cdm_O_PATH = O_PATH;
const int cdm_AT_EMPTY_PATH = AT_EMPTY_PATH;
const int cdm_F_ADD_SEALS = F_ADD_SEALS;
const int cdm_F_SEAL_SHRINK = F_SEAL_SHRINK;
const int cdm_F_SEAL_WRITE = F_SEAL_WRITE;
const unsigned int cdm_MFD_CLOEXEC = MFD_CLOEXEC;
const unsigned int cdm_MFD_ALLOW_SEALING = MFD_ALLOW_SEALING;
const unsigned int cdm_MFD_HUGETLB = MFD_HUGETLB;
const unsigned int cdm_MFD_HUGE_SHIFT = HUGETLB_FLAG_ENCODE_SHIFT;

const int cdm_RUSAGE_THREAD = RUSAGE_THREAD;

int cdm_ioctl(int fd, unsigned long request, void *argument)
{
	return ioctl(fd, request, argument);
}

int cdm_open(const char *path, int flags, mode_t mode)
{
	return open(path, flags, mode);
}

int cdm_openat(int folder, const char *path, int flags, mode_t mode)
{
	return openat(folder, path, flags, mode);
}

const char *cdm_secure_getenv(const char *name)
{
	return secure_getenv(name);
}

char **cdm_environment(void)
{
	return environ;
}

int cdm_pidfd_open(pid_t pid)
{
	return syscall(SYS_pidfd_open, pid, 0);
}

int cdm_enter_network_namespace(int fd)
{
	return setns(fd, CLONE_NEWNET);
}

int cdm_capget(struct __user_cap_header_struct *header, struct __user_cap_data_struct *data)
{
	return syscall(SYS_capget, header, data);
}

int cdm_capset(struct __user_cap_header_struct *header,
	       const struct __user_cap_data_struct *data)
{
	return syscall(SYS_capset, header, data);
}

int cdm_set_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

int cdm_load_xdp_pass(void)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attributes = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insn_cnt = sizeof(program) / sizeof(program[0]),
		.insns = (uintptr_t)program,
		.license = (uintptr_t)"",
		.prog_flags = BPF_F_XDP_HAS_FRAGS,
		.expected_attach_type = BPF_XDP,
	};

	return syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
}

int cdm_io_uring_setup(unsigned int entries, struct cdm_io_uring_params *parameters)
{
	return syscall(SYS_io_uring_setup, entries, parameters);
}

int cdm_io_uring_enter(int fd, unsigned int submitted, unsigned int completed, unsigned int flags)
{
	return syscall(SYS_io_uring_enter, fd, submitted, completed, flags, NULL, 0);
}

int cdm_io_uring_register(int fd, unsigned int operation, void *argument, unsigned int count)
{
	return syscall(SYS_io_uring_register, fd, operation, argument, count);
}

int cdm_WTERMSIG(int status)
{
	return WTERMSIG(status);
}

int cdm_WEXITSTATUS(int status)
{
	return WEXITSTATUS(status);
}

int cdm_flock(int fd, int operation)
{
	return flock(fd, operation);
}

int cdm_fcntl(int fd, int command, long argument)
{
	return fcntl(fd, command, argument);
}

void *cdm_mremap(void *from, size_t size, void *to)
{
	return mremap(from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

int cdm_ppoll(struct pollfd *watched, unsigned long count, const struct timespec *timeout)
{
	return ppoll(watched, count, timeout, NULL);
}

int cdm_memfd_create(const char *name, unsigned int flags)
{
	return memfd_create(name, flags);
}

int cdm_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	return accept4(fd, address, length, flags);
}

long cdm_set_mempolicy(int mode, const unsigned long *nodes, unsigned long bits)
{
	return syscall(SYS_set_mempolicy, mode, nodes, bits);
}

long cdm_get_mempolicy(int *mode, unsigned long *nodes, unsigned long bits)
{
	return syscall(SYS_get_mempolicy, mode, nodes, bits, NULL, 0);
}

int cdm_set_affinity(const void *mask, size_t size)
{
	return sched_setaffinity(0, size, mask);
}

int cdm_get_affinity(void *mask, size_t size)
{
	return sched_getaffinity(0, size, mask);
}

#ifndef CDM_COMMIT
#define CDM_COMMIT ""
#endif

const char *cdm_commit(void)
{
	return CDM_COMMIT;
}
