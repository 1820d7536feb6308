/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <errno.h>
#include <seccomp.h>

/* Macros with parameters, and results that libseccomp writes as such. */
static const uint32_t cdm_SCMP_ACT_ALLOW = SCMP_ACT_ALLOW;
static const uint32_t cdm_SCMP_ACT_EPERM = SCMP_ACT_ERRNO(EPERM);
static const int cdm_NR_SCMP_ERROR = __NR_SCMP_ERROR;
