// SPDX-License-Identifier: GPL-2.0
/* Keeps the module whole until the gve device is here. */
#include "device.h"

const struct lab_kind lab_gve = { .name = "gve" };
