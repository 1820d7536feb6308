/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LAB_WIRE_H
#define LAB_WIRE_H

struct lab_kind;
struct lab_wire;

/* Module parameters: how long the thread sleeps when there is nothing to do. */
extern unsigned int lab_poll_us, lab_idle_ms;

/* The wire must be destroyed also after a failure. */
int lab_wire_create(unsigned int index, const struct lab_kind *near, const struct lab_kind *far);
int lab_wire_start(struct lab_wire *wire);
void lab_wire_stop(struct lab_wire *wire);
void lab_wire_destroy(unsigned int index);

#endif
