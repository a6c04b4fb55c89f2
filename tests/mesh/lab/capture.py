"""Notes the IPv4 packets of a device into a file until its input is closed: `capture.py DEVICE FILE`."""

import select
import socket
import struct
import sys

EVERY_PROTOCOL = 3
MOST = 64 << 20


def main():
    device, path = sys.argv[1:]
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERY_PROTOCOL))
    raw.bind((device, 0))
    print("ready", flush=True)
    kept = 0
    with open(path, "wb") as file:
        while kept < MOST:
            ready, _, _ = select.select([raw, sys.stdin], [], [])
            if raw in ready:
                packet = raw.recv(65535)
                if packet[12:14] == b"\x08\x00":
                    file.write(struct.pack("!I", len(packet)) + packet)
                    kept += len(packet)
            elif sys.stdin in ready:
                return


if __name__ == "__main__":
    main()
