/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LAB_MEMORY_H
#define LAB_MEMORY_H

int lab_memory_create(void);
void lab_memory_destroy(void);

#endif
