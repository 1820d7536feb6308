// SPDX-License-Identifier: Apache-2.0
/* The functions of the stand-in for NVIDIA's driver by name, and what their calls have in common. */
#include "cuda-stand-in.h"
#include "cuda-private.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char *const names[] = {
#define NAME(name, parameters) #name,
	FUNCTIONS(NAME)
#undef NAME
};

static unsigned calls[function_count];

uint32_t stand_in_begin(enum function function, bool needs_context)
{
	size_t length = strlen(names[function]);
	const char *fail;
	unsigned number;

	pthread_mutex_lock(&lock);
	number = ++calls[function];
	fail = stand_in_setting("CUDA_STAND_IN_FAIL");
	if (fail && !strncmp(fail, names[function], length) && fail[length] == ':') {
		char *end;
		unsigned long nth = strtoul(fail + length + 1, &end, 10);

		if (!nth || nth == number)
			return *end == '=' ? strtoul(end + 1, NULL, 10) : cdm_CUDA_ERROR_UNKNOWN;
	}
	if (function <= function_cuGetErrorString)
		return 0;
	if (stand_in.process != getpid())
		return cdm_CUDA_ERROR_NOT_INITIALIZED;
	if (needs_context && stand_in_current_gpu() < 0)
		return cdm_CUDA_ERROR_INVALID_CONTEXT;
	return 0;
}

void stand_in_end(void) { pthread_mutex_unlock(&lock); }

void stand_in_forget_calls(void) { memset(calls, 0, sizeof(calls)); }

void *cuda_stand_in_symbol(const char *name)
{
	static void *const addresses[] = {
#define ADDRESS(name, parameters) (void *)name,
		FUNCTIONS(ADDRESS)
#undef ADDRESS
	};

	for (size_t i = 0; i < function_count; i++)
		if (!strcmp(names[i], name))
			return addresses[i];
	return NULL;
}

size_t cuda_stand_in_functions(void) { return function_count; }
const char *cuda_stand_in_function(size_t index) { return names[index]; }

unsigned cuda_stand_in_calls(const char *name)
{
	for (size_t i = 0; i < function_count; i++)
		if (!strcmp(names[i], name))
			return calls[i];
	return 0;
}
