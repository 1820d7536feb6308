/* SPDX-License-Identifier: Apache-2.0 */
/* What unit tests need of the stand-in for AMD's runtime; see rocm-stand-in.c. */
#pragma once

/* Sets what ROCM_STAND_IN sets; NULL unsets it. */
void rocm_stand_in_set(const char *value);

/* Returns the address of a function of the runtime, or NULL. */
void *rocm_stand_in_symbol(const char *name);
