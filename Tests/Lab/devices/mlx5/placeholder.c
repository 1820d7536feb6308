// SPDX-License-Identifier: GPL-2.0
/* Keeps the module whole until the mlx5 device is here. */
#include "device.h"

const struct lab_kind lab_mlx5 = { .name = "mlx5" };
