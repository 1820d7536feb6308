// SPDX-License-Identifier: Apache-2.0
/*
 * A stand-in for NVIDIA's driver library, libcuda.so.1: GPUs whose memory is host memory. In the guest
 * the memory is a dma-buf of the heap "system", which a NIC can use; elsewhere it is a memfd.
 *
 * It is as strict as the driver may be. Addresses of a GPU's memory are no addresses of the process. Copies
 * of registered host memory are done when their stream is synchronized and not before; others are done
 * at once. Host memory must not be unmapped while it is registered. What needs a current context fails
 * without one, and everything fails in a child of fork(2). Kernels run by an interpreter (ptx.c), also when their
 * stream is synchronized; a module that the interpreter does not understand is refused.
 *
 * The environment says what the driver is like:
 *	CUDA_STAND_IN_GPUS	PCI addresses, separated by spaces; empty for no GPU
 *	CUDA_STAND_IN_MEMORY	bytes of each GPU
 *	CUDA_STAND_IN_VERSION	of CUDA, such as 12080
 *	CUDA_STAND_IN_FAIL	NAME:N=RESULT: the Nth call of a function from now on fails; N is 0 for all
 *	CUDA_STAND_IN_WITHOUT	what is missing, separated by spaces: dmabuf, dmabuf-0 of the first GPU...,
 *				plain for the export of ordinary memory, pcie for the mapping flag, vmm,
 *				register for registered host memory, and ordering for GPUs that see writes of a NIC only after a flush
 *	CUDA_STAND_IN_LOG	a file for counts at exit
 * The log has a line "live N" that is 0 if all was freed, the bytes of exported memory that were copied out and in, and
 * a line for each function that was called.
 */
#include "cuda-stand-in.h"
#include "cuda-private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct stand_in stand_in;

size_t cuda_stand_in_live(void)
{
	size_t live = stand_in.pushed + stand_in.registrations + stand_in.streams + stand_in.modules;

	for (size_t i = 0; i < max_objects; i++)
		live += !!stand_in.blocks[i] + !!stand_in.ranges[i].size;
	for (int i = 0; i < max_gpus; i++)
		live += stand_in.gpus[i].retained;
	return live;
}

uint64_t cuda_stand_in_copied_out(void) { return stand_in.copied_out; }
uint64_t cuda_stand_in_copied_in(void) { return stand_in.copied_in; }

int cuda_stand_in_in_child(void (*function)(void *), void *argument)
{
	int status = -1;
	pid_t child = fork();

	if (!child) {
		function(argument);
		_exit(0);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

__attribute__((destructor)) static void write_log(void)
{
	const char *path = getenv("CUDA_STAND_IN_LOG");
	FILE *log = path && stand_in.process == getpid() ? fopen(path, "w") : NULL;

	if (!log)
		return;
	fprintf(log, "live %zu\ncopied-out %llu\ncopied-in %llu\n", cuda_stand_in_live(),
		(unsigned long long)stand_in.copied_out, (unsigned long long)stand_in.copied_in);
	for (size_t i = 0; i < function_count; i++) {
		const char *name = cuda_stand_in_function(i);
		unsigned calls = cuda_stand_in_calls(name);

		if (calls)
			fprintf(log, "%s %u\n", name, calls);
	}
	fclose(log);
}
