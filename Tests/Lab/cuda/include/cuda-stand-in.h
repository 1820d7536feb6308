/* SPDX-License-Identifier: Apache-2.0 */
/* What unit tests need of the stand-in for NVIDIA's driver; see cuda-stand-in.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Forgets failures and settings, reads the environment again, and zeroes the counts of calls. */
void cuda_stand_in_reset(void);

/* Sets what an environment variable of the stand-in sets; NULL unsets it. */
void cuda_stand_in_set(const char *name, const char *value);

/* Returns the address of a function of the driver, or NULL. */
void *cuda_stand_in_symbol(const char *name);

/* The number of functions of the driver, and their names in the order in which they are defined. */
size_t cuda_stand_in_functions(void);
const char *cuda_stand_in_function(size_t index);

/* The number of calls of a function. */
unsigned cuda_stand_in_calls(const char *name);

/*
 * What the driver holds: contexts retained and pushed, allocations, reserved addresses, mappings,
 * handles, streams, registered host memory, host memory of its own, modules.
 */
size_t cuda_stand_in_live(void);

/* The bytes copied out of and into exported memory of the GPUs. */
uint64_t cuda_stand_in_copied_out(void);
uint64_t cuda_stand_in_copied_in(void);

/* Calls a function in a child of fork(2) and returns the child's wait status, or -1. */
int cuda_stand_in_in_child(void (*function)(void *), void *argument);
