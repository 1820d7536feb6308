/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LAB_KNOBS_H
#define LAB_KNOBS_H

struct lab_device;

void lab_knobs_create(void);
void lab_knobs_remove(void);
/* Creates the directory of a device. */
void lab_knobs_add(struct lab_device *dev);

#endif
