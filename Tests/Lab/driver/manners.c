// SPDX-License-Identifier: GPL-2.0
/* The tables of manners by name, and functions that several of them use. */
#include <linux/log2.h>
#include <linux/string.h>

#include "labnic.h"

static const struct labnic_manners *const labnic_all_manners[] = {
	&labnic_manners_plain,
	&labnic_manners_bnxt,
	&labnic_manners_fbnic,
	&labnic_manners_gve,
	&labnic_manners_mlx5,
};

/* Returns NULL for an unknown name. */
const struct labnic_manners *labnic_manners_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(labnic_all_manners); i++)
		if (sysfs_streq(name, labnic_all_manners[i]->name))
			return labnic_all_manners[i];
	return NULL;
}

int labnic_check_ring_power(u32 size, const struct labnic_ring_limits *limits)
{
	return is_power_of_2(size) && size >= limits->min &&
	       size <= limits->max ? 0 : -EINVAL;
}
