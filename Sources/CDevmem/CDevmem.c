/* SPDX-License-Identifier: Apache-2.0 */
#include "CDevmem.h"

const int cdm_F_ADD_SEALS = F_ADD_SEALS;
const int cdm_F_SEAL_SHRINK = F_SEAL_SHRINK;
const unsigned int cdm_MFD_CLOEXEC = MFD_CLOEXEC;
const unsigned int cdm_MFD_ALLOW_SEALING = MFD_ALLOW_SEALING;

int cdm_ioctl(int fd, unsigned long request, void *argument)
{
	return ioctl(fd, request, argument);
}

int cdm_open(const char *path, int flags, mode_t mode)
{
	return open(path, flags, mode);
}

int cdm_fcntl(int fd, int command, long argument)
{
	return fcntl(fd, command, argument);
}

int cdm_memfd_create(const char *name, unsigned int flags)
{
	return memfd_create(name, flags);
}

int cdm_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
	return accept4(fd, address, length, flags);
}
