#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Receives a stream into memory of an NVIDIA GPU, and leaves it there in one piece.

Usage: gpu-receive.py IFACE PORT BYTES, as root

The program allocates the memory itself, so that it has the GPU's address, and exports it as a dma-buf, which
"devmemtcp bind" binds to a queue of the NIC. The NIC writes payload there in fragments, and recvmsg(2) says where each
is; the GPU copies them together. Needs nothing but Python, the driver, and devmemtcp.
"""

import ctypes
import json
import socket
import struct
import subprocess
import sys
from ctypes import byref, c_int, c_size_t, c_uint64, c_void_p

SO_DEVMEM_LINEAR, SO_DEVMEM_DMABUF, SO_DEVMEM_DONTNEED, MSG_SOCK_DEVMEM = 78, 79, 80, 0x2000000
SIZE = 64 << 20

cuda = ctypes.CDLL("libcuda.so.1")


def call(name, *arguments):
    result = getattr(cuda, name)(*arguments)
    if result != 0:
        raise SystemExit(f"{name}: CUDA error {result}")


def allocate(size):
    address = c_uint64()
    call("cuMemAlloc_v2", byref(address), c_size_t(size))
    return address.value


def export(address, size):
    descriptor = c_int()
    dma_buf, no_flags = c_int(1), c_uint64(0)
    call("cuMemGetHandleForAddressRange", byref(descriptor), c_uint64(address), c_size_t(size), dma_buf, no_flags)
    return descriptor.value


def receive(connection, memory, target, count):
    """Receives up to count bytes to the GPU's address target, and returns their number."""
    done = 0
    while done < count:
        data, controls, _, _ = connection.recvmsg(1 << 20, 1 << 16, MSG_SOCK_DEVMEM)
        tokens = []
        read = 0
        for level, kind, content in controls:
            if level != socket.SOL_SOCKET or kind not in (SO_DEVMEM_DMABUF, SO_DEVMEM_LINEAR):
                continue
            offset, size, token, _, _ = struct.unpack("<QIIII", content)
            used = min(size, count - done)
            if kind == SO_DEVMEM_DMABUF:
                call("cuMemcpyDtoD_v2", c_uint64(target + done), c_uint64(memory + offset), c_size_t(used))
                tokens.append(token)
            else:
                # Bytes that the NIC did not split off are in data, as are those without any control message.
                call("cuMemcpyHtoD_v2", c_uint64(target + done), data[read : read + used], c_size_t(used))
                read += size
            done += used
        if not controls:
            if not data:
                break
            used = min(len(data), count - done)
            call("cuMemcpyHtoD_v2", c_uint64(target + done), data, c_size_t(used))
            done += used
        # The NIC may write there again once the copies are done.
        call("cuCtxSynchronize")
        for token in tokens:
            connection.setsockopt(socket.SOL_SOCKET, SO_DEVMEM_DONTNEED, struct.pack("<II", token, 1))
    return done


def main(interface, port, count):
    device, context = c_int(), c_void_p()
    call("cuInit", 0)
    call("cuDeviceGet", byref(device), 0)
    call("cuDevicePrimaryCtxRetain", byref(context), device)
    call("cuCtxPushCurrent_v2", context)
    memory, target = allocate(SIZE), allocate(count)
    descriptor = export(memory, SIZE)
    listener = socket.create_server(("", port))
    command = ["devmemtcp", "bind", interface, "--rx", "auto", "--flow", f":{port}"]
    command += ["--provider", f"fd:{descriptor}", "--json"]
    bind = subprocess.Popen(command, pass_fds=[descriptor], stdout=subprocess.PIPE)
    try:
        bound = json.loads(bind.stdout.readline())
        print(f"queues {bound['queues']} of {interface} write to the GPU; listening on :{port}", flush=True)
        connection, peer = listener.accept()
        received = receive(connection, memory, target, count)
        connection.close()
        print(f"{received} bytes from {peer[0]} are at {target:#x} of the GPU")
    finally:
        bind.terminate()
        bind.wait()
    # What it is good for, such as torch.frombuffer or a kernel, goes here. This shows the beginning.
    shown = ctypes.create_string_buffer(min(received, 16))
    call("cuMemcpyDtoH_v2", shown, c_uint64(target), c_size_t(len(shown)))
    print(f"they begin with {shown.raw.hex()}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
