// SPDX-License-Identifier: Apache-2.0
/* The settings of the stand-in for NVIDIA's driver; cuda-stand-in.c lists them. */
#include "cuda-stand-in.h"
#include "cuda-private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The settings of unit tests; otherwise those of the environment count. */
static struct {
	const char *name;
	char value[256];
	bool is_set;
} settings[] = {
	{ .name = "CUDA_STAND_IN_GPUS" }, { .name = "CUDA_STAND_IN_MEMORY" },
	{ .name = "CUDA_STAND_IN_VERSION" }, { .name = "CUDA_STAND_IN_FAIL" },
	{ .name = "CUDA_STAND_IN_WITHOUT" },
};

const char *stand_in_setting(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (!strcmp(settings[i].name, name) && settings[i].is_set)
			return settings[i].value;
	return getenv(name);
}

bool stand_in_lacks(const char *what)
{
	const char *list = stand_in_setting("CUDA_STAND_IN_WITHOUT");
	size_t length = strlen(what);

	while (list && *list) {
		size_t word = strcspn(list, " ");

		if (word == length && !strncmp(list, what, length))
			return true;
		list += word + strspn(list + word, " ");
	}
	return false;
}

void stand_in_read_settings(void)
{
	const char *text = stand_in_setting("CUDA_STAND_IN_GPUS");

	if (!text)
		text = "0000:00:1f.0";
	for (stand_in.gpu_count = 0; stand_in.gpu_count < max_gpus; stand_in.gpu_count++) {
		struct gpu *gpu = &stand_in.gpus[stand_in.gpu_count];
		size_t word;

		text += strspn(text, " ");
		word = strcspn(text, " ");
		if (!word)
			break;
		snprintf(gpu->address, sizeof(gpu->address), "%.*s", (int)word, text);
		gpu->context.gpu = stand_in.gpu_count;
		text += word;
	}
	text = stand_in_setting("CUDA_STAND_IN_MEMORY");
	stand_in.gpu_memory = text ? strtoull(text, NULL, 0) : 1 << 30;
	text = stand_in_setting("CUDA_STAND_IN_VERSION");
	stand_in.version = text ? atoi(text) : 12080;
}

void cuda_stand_in_reset(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		settings[i].is_set = false;
	stand_in_forget_calls();
	stand_in.copied_out = stand_in.copied_in = 0;
	stand_in_read_settings();
}

void cuda_stand_in_set(const char *name, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (!strcmp(settings[i].name, name)) {
			settings[i].is_set = value;
			snprintf(settings[i].value, sizeof(settings[i].value), "%s", value ? value : "");
		}
	stand_in_forget_calls();
	stand_in_read_settings();
}
